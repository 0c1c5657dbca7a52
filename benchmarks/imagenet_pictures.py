"""Pictures of spectrograms that suit weights from ImageNet, compared on validation tracks.

    GENREFLOW_DATA=... python -m benchmarks.imagenet_pictures [--keep FOLDER]

EfficientNet-Lite0 with ImageNet's weights (GENREFLOW_DATA/efficientnet_lite0) maps one picture of 2
seconds of each track of gtzan_mels to its 1,280 features, and a logistic regression on these,
standardised, is tested in five folds by track. Copies of a track share a fold. Tracks that
are in GENREFLOW_DATA/gtzan too are left out, so that benchmarks.imagenet_transfer can report on
those recordings what was chosen here.

A picture is made of levels from 0 to 1, their colours, a size in pixels and an orientation. Levels
are decibels below the clip's peak, cut at some range, or the standardised clip, cut at some
deviations. The table has the accuracy by track and the paired difference to the first picture,
with 95 % bootstrap intervals by group of copies, and the milliseconds that a picture takes.

"--keep FOLDER" keeps the features, and a rerun reads them from there.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command
from benchmarks.shared import gtzan_tracks as gtzan

if TYPE_CHECKING:
    import keras

FIRST_FRAME = 21  # of the 2 seconds in the middle of the 3
FOLDS = 5
# Inverse strength of the regression's penalty; scikit-learn's 1.0 is for fewer features.
C = 0.003
BATCH = 32
# A recording that is in both sets correlates with itself above this, up to half a hop out of step.
SAME_RECORDING = 0.9
BANDS_TOGETHER = 4

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A way to make pictures of spectrograms.

    Attributes:
      colours: "viridis", "grey", "inverted grey" or another colour map of matplotlib.
      range_db: decibels below the peak that levels span; 0 to standardise each clip.
      deviations: either side of the mean that the levels of a standardised clip span.
      height, width: in pixels; 0 keeps the spectrogram's own.
      orientation: "low at the bottom", "low on top" or "time upwards".
    """

    colours: str = "viridis"
    range_db: float = 80.0
    deviations: float = 2.0
    height: int = 0
    width: int = 0
    orientation: str = "low at the bottom"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        upright = (self.height or gtzan.BANDS, self.width or gtzan.FRAMES)
        return upright[::-1] if self.orientation == "time upwards" else upright

    @property
    def levels(self) -> str:
        """Description of the levels."""
        if self.range_db:
            return f"{self.range_db:g} dB"
        return f"standardised, {self.deviations:g} deviations"

    def make(self, mel_db: Floats) -> Floats:
        """Return pictures 0..255, float32 `[clips, height, width, 3]`, before resizing."""
        if self.range_db:
            levels = 1 + mel_db / self.range_db
        else:
            centred = mel_db - mel_db.mean(axis=(1, 2), keepdims=True)
            deviations = centred / (centred.std(axis=(1, 2), keepdims=True) + 1e-3)
            levels = 0.5 + deviations / (2 * self.deviations)
        levels = np.clip(levels, 0, 1)
        if self.orientation == "low at the bottom":
            levels = levels[:, ::-1]
        elif self.orientation == "time upwards":
            levels = levels.transpose(0, 2, 1)[:, ::-1]
        if "grey" in self.colours:
            shown = 1 - levels if self.colours.startswith("inverted") else levels
            return np.repeat(np.floor(255.999 * shown)[..., np.newaxis], 3, axis=-1)
        import matplotlib

        table = 255 * matplotlib.colormaps[self.colours](np.arange(256))[:, :3]
        return np.asarray(table, np.float32)[np.floor(255.999 * levels).astype(int)]


TODAY = Picture()
GREY = Picture("grey", range_db=0)
SIZES = ((0, 0), (128, 128), (160, 160), (224, 224), (256, 174))
PICTURES = (
    *(
        dataclasses.replace(made, height=height, width=width)
        for made in (TODAY, GREY)
        for height, width in SIZES
    ),
    *(
        dataclasses.replace(made, height=160, width=160)
        for made in (
            Picture("grey"),
            Picture("inverted grey"),
            Picture("magma"),
            Picture("jet"),
            Picture(range_db=60),
            Picture(range_db=40),
            Picture("grey", range_db=60),
            Picture(range_db=0),
            Picture(range_db=0, deviations=3),
            Picture("magma", range_db=0),
            Picture("grey", range_db=0, deviations=3),
            Picture("inverted grey", range_db=0),
            Picture(orientation="low on top"),
            Picture(orientation="time upwards"),
            dataclasses.replace(GREY, orientation="low on top"),
            dataclasses.replace(GREY, orientation="time upwards"),
        )
    ),
)


def published_weights() -> pathlib.Path:
    """Return the file of ImageNet's weights; end the program if it is missing."""
    name = "efficientnet_lite0.safetensors"
    return command.data_folder("efficientnet_lite0", file=name) / name


def features(model: keras.Model, picture: Picture, mel_db: Floats) -> Floats:
    """Return the features of clips `[clips, 128, 87]`, float32 `[clips, 1280]`."""
    import keras

    found = []
    for begin in range(0, len(mel_db), BATCH):
        made = picture.make(mel_db[begin : begin + BATCH])
        resized = keras.ops.image.resize(made, picture.size, "bilinear", antialias=True)
        found.append(np.asarray(model.predict_on_batch(resized)))
    return np.concatenate(found)


def feature_model(size: tuple[int, int]) -> keras.Model:
    """Return the part of the pretrained network that maps pictures 0..255 to features."""
    import keras

    from components.models import registry
    from components.models.settings import ModelSettings

    settings = ModelSettings(weights=str(published_weights()))
    height, width = size
    network = registry.build(
        "efficientnet_lite0", settings, n_mels=height, frames=width, genres=2, seed=0
    )
    assert network.base is not None
    x = pictures = keras.Input((height, width, 3))
    for name in ("scale", "convolutions", "mean"):
        x = network.base.get_layer(name)(x)
    return keras.Model(pictures, x)


def predicted(inputs: Floats, labels: npt.NDArray[np.int64], fold: npt.NDArray[np.int64]) -> Floats:
    """Return 1 for each track that a regression trained on the other folds names right, or 0."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = np.zeros(len(labels), np.float32)
    for number in range(FOLDS):
        test = fold == number
        model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=300))
        model.fit(inputs[~test], labels[~test])
        right[test] = model.predict(inputs[test]) == labels[test]
    return right


def recorded_in(tracks: gtzan.Tracks, folder: pathlib.Path) -> npt.NDArray[np.bool_]:
    """Return which tracks are windows of the recordings in GENREFLOW_DATA/gtzan, `[tracks]`."""
    import librosa
    import soundfile

    def patches(spectrograms: Floats) -> Floats:
        frames = spectrograms.shape[-1]
        flat = spectrograms.reshape(-1, gtzan.BANDS // BANDS_TOGETHER, BANDS_TOGETHER, frames)
        flat = flat.mean(axis=2).reshape(len(spectrograms), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.float32)

    wanted, frames = patches(tracks.standard), tracks.standard.shape[-1]
    highest = np.zeros(len(tracks.labels), np.float32)
    with (folder / "manifest.csv").open(newline="") as file:
        uris = [row["uri"] for row in csv.DictReader(file)]
    for uri in uris:
        samples, rate = soundfile.read(folder / uri, dtype="float32")
        power = librosa.feature.melspectrogram(
            y=samples, sr=rate, n_fft=2048, hop_length=512, n_mels=gtzan.BANDS
        )
        level_db = librosa.power_to_db(power, ref=np.max)
        windows = np.lib.stride_tricks.sliding_window_view(level_db, frames, axis=1)
        found = patches(windows.transpose(1, 0, 2)) @ wanted.T
        highest = np.maximum(highest, found.max(axis=0))
    return highest > SAME_RECORDING


def chosen_tracks() -> gtzan.Tracks:
    """Return the tracks that are not among the 55 recordings, nor copies of one that is."""
    tracks = gtzan.load_tracks(gtzan.folder())
    same = recorded_in(tracks, command.data_folder("gtzan", file="manifest.csv"))
    kept = ~np.isin(tracks.groups, tracks.groups[same])
    return dataclasses.replace(
        tracks,
        standard=tracks.standard[kept],
        mel_db=tracks.mel_db[kept],
        labels=tracks.labels[kept],
        groups=tracks.groups[kept],
    )


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for features")
    arguments = parser.parse_args()
    tracks = chosen_tracks()
    mel_db = tracks.mel_db[:, :, FIRST_FRAME : FIRST_FRAME + gtzan.FRAMES]
    # Relative to each clip's own peak, as the project's spectrograms are.
    mel_db = np.maximum(mel_db - mel_db.max(axis=(1, 2), keepdims=True), -80)
    fold = gtzan.fold_of(tracks, 0) % FOLDS
    print(f"{len(tracks.labels)} tracks")
    print("| colours | levels | pixels | orientation | accuracy by track | minus the first | ms |")
    print("|---|---|---|---|---|---|---|")
    models: dict[tuple[int, int], keras.Model] = {}
    first: Floats | None = None
    for picture in PICTURES:
        height, width = picture.size
        cells = [picture.colours, picture.levels, f"{height} x {width}", picture.orientation]
        file = arguments.keep and arguments.keep / f"{'-'.join(cells).replace(' ', '_')}.npz"
        if file and file.exists():
            with np.load(file, allow_pickle=False) as kept:
                found, each_ms = kept["features"], float(kept["each_ms"])
        else:
            if picture.size not in models:
                models[picture.size] = feature_model(picture.size)
                features(models[picture.size], picture, mel_db[:BATCH])  # traces the graph
            begun = time.process_time()
            found = features(models[picture.size], picture, mel_db)
            each_ms = 1000 * (time.process_time() - begun) / len(found)
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                np.savez(file, features=found, each_ms=each_ms)
        right = predicted(found, tracks.labels, fold)
        first = right if first is None else first
        cells.append(gtzan.format_interval(*gtzan.interval(right, tracks.groups)))
        difference = gtzan.interval(right - first, tracks.groups)
        cells.append("" if picture == TODAY else gtzan.format_interval(*difference))
        print(f"| {' | '.join([*cells, f'{each_ms:.0f}'])} |", flush=True)


if __name__ == "__main__":
    main()
