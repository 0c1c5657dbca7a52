"""Difficulty of the synthetic corpus: track accuracy of a random forest and of cnn_small.

    python -m benchmarks.synthetic_difficulty --seeds 0 1 2

The random forest is the reference study's: the flattened log-mel picture of a 2-second clip, PCA to
15 components fitted on the training clips, 300 trees. cnn_small trains as in the pipeline: Adam at
1e-3, batches of 32, at most 20 epochs, keeping the epoch of the lowest validation loss. Both
classify 4 clips a track; the track's genre is the one with the highest mean probability. Accuracies
are those of the official test split.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.shared import command
from components.audio.clips import clip_starts
from components.audio.decoding.decode import decode, resample
from components.audio.params import AudioParams
from components.audio.spectrogram.mel import log_mel
from components.audio.spectrogram.stored import from_stored, to_stored
from components.datasets.corpus import read_tracks
from components.datasets.settings import DatasetSettings
from components.datasets.track import SplitName, Track
from components.synthesis import write_corpus

PARAMS = AudioParams()
COMPONENTS = 15
TREES = 300
EPOCHS = 20
PATIENCE = 5

# For each split: spectrograms [tracks, clips, n_mels, frames] and labels [tracks].
Data = dict[SplitName, tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]


def spectrograms(track: Track) -> npt.NDArray[np.float32]:
    """Return a track's clips as read back from examples, `[clips, n_mels, frames]`."""
    samples, rate_hz = decode(track.uri)
    samples = resample(samples, rate_hz, PARAMS.sample_rate_hz)
    length = PARAMS.clip_samples
    starts = clip_starts(
        len(samples), length, PARAMS.clips_per_track, track_id=track.track_id, seed=0
    )
    clips = np.stack([samples[s : s + length] for s in starts])
    return from_stored(to_stored(log_mel(clips, PARAMS)))


def load(directory: str) -> Data:
    """Read a corpus, by split."""
    items = read_tracks(DatasetSettings(kind="synthetic"), directory)
    tracks = [item for item in items if isinstance(item, Track)]
    genres = sorted({track.genre for track in tracks})
    data: Data = {}
    for split in ("train", "validation", "test"):
        chosen = [track for track in tracks if track.split_hint == split]
        labels = np.array([genres.index(track.genre) for track in chosen])
        data[split] = (np.stack([spectrograms(track) for track in chosen]), labels)
    return data


def by_track(probabilities: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> float:
    """Return the accuracy of the mean of each track's probabilities.

    Args:
      probabilities: `[tracks * clips, genres]`.
      labels: `[tracks]`.
    """
    mean = probabilities.reshape(len(labels), PARAMS.clips_per_track, -1).mean(axis=1)
    return float((mean.argmax(axis=1) == labels).mean())


def forest_accuracy(data: Data) -> float:
    """Train the study's random forest. Return its accuracy on the test split, by track."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    def flat(split: SplitName) -> npt.NDArray[np.float32]:
        pictures = data[split][0]
        return pictures.reshape(-1, pictures.shape[2] * pictures.shape[3]).astype(np.float32)

    model = make_pipeline(
        PCA(COMPONENTS, svd_solver="randomized", random_state=0),
        RandomForestClassifier(TREES, random_state=0),
    )
    model.fit(flat("train"), np.repeat(data["train"][1], PARAMS.clips_per_track))
    return by_track(model.predict_proba(flat("test")), data["test"][1])


def network_accuracy(data: Data) -> float:
    """Train cnn_small. Return its accuracy on the test split, by track."""
    import keras

    from components.models import registry
    from components.models.settings import ModelSettings

    def clips(split: SplitName) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        pictures, labels = data[split]
        flat = pictures.reshape(-1, *pictures.shape[2:]).astype(np.float32)
        return flat, np.repeat(labels, PARAMS.clips_per_track)

    genres = len(set(data["train"][1].tolist()))
    model = registry.build(
        "cnn_small",
        ModelSettings(),
        n_mels=PARAMS.n_mels,
        frames=PARAMS.frames,
        genres=genres,
        seed=0,
    ).model
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    pictures, labels = clips("train")
    model.fit(
        pictures,
        labels,
        validation_data=clips("validation"),
        batch_size=32,
        epochs=EPOCHS,
        callbacks=[stop],
        verbose=0,
    )
    return by_track(model.predict(clips("test")[0], verbose=0), data["test"][1])


def main() -> None:
    """Print a row of the table for each seed."""
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the corpus")
    parser.add_argument("--forest-only", action="store_true", help="skip cnn_small")
    arguments = parser.parse_args()
    print("| corpus seed | random forest | cnn_small | test tracks | writing the corpus |")
    print("|---|---|---|---|---|", flush=True)
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            corpus = os.path.join(folder, "corpus")
            begun = time.monotonic()
            write_corpus(corpus, seed=seed)
            seconds = time.monotonic() - begun
            data = load(corpus)
        forest = forest_accuracy(data)
        network = "-" if arguments.forest_only else f"{network_accuracy(data):.1%}"
        tested = len(data["test"][1])
        print(f"| {seed} | {forest:.1%} | {network} | {tested} | {seconds:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
