"""Effect of a split by clip on the figures: classical models on 55 recordings, under both splits.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.leak [--clips 4] [--seeds 10]

GENREFLOW_DATA/gtzan has ten genres with 5 or 6 recordings each. The audio stage cuts 2-second clips
as the pipeline does, and both splits use the same clips. There are five folds, stratified by genre,
once by clip, so that a recording can have clips in training and in test, and once by recording.
Models have the [baselines] defaults. Each split tests every clip once, by models that were fitted
(including the principal components) on the other four folds. So both train on as many clips, and
the same clips are counted. Each seed changes the clips, the folds and the models.

Intervals are 95 % bootstraps of whole recordings with all their clips and seeds. The difference is
paired. Guessing gets 0.10.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import numpy as np
import numpy.typing as npt

from benchmarks.shared import command
from benchmarks.shared.gtzan_tracks import format_interval, interval
from benchmarks.shared.recordings import FOLDS, Labels, assign_folds, read_recordings
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import from_stored
from components.baselines.settings import BASELINES, BaselineSettings
from components.baselines.train import array_blocks, fit

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Floats = npt.NDArray[np.float32]


def find_right_clips(
    mel_db: Floats, labels: Labels, fold: Labels, genres: list[str], seed: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """Test each clip in its own fold. Return for each model the right clips, bool `[clips]`."""
    right: dict[str, npt.NDArray[np.bool_]] = {}
    right |= {name: np.zeros(len(labels), bool) for name in BASELINES}
    settings = BaselineSettings(seed=seed, jobs=1)
    for number in range(FOLDS):
        test = fold == number
        fitted = fit(array_blocks(mel_db[~test]), labels[~test], genres, settings)
        features = fitted.transform(array_blocks(mel_db[test])())
        for name in BASELINES:
            answers = fitted.predict_proba(name, features)
            right[name][test] = answers.argmax(axis=1) == labels[test]
    return right


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--clips", type=int, default=4, help="clips a recording")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    folder = command.data_folder("gtzan", file="manifest.csv")
    audio = dataclasses.replace(AudioParams(), clips_per_track=arguments.clips)
    by_clip: dict[str, list[Floats]] = {name: [] for name in BASELINES}
    by_track: dict[str, list[Floats]] = {name: [] for name in BASELINES}
    for seed in range(arguments.seeds):
        recordings = read_recordings(folder, audio, seed)
        mel_db = np.asarray(from_stored(np.concatenate(recordings.mels)), np.float32)
        labels = np.repeat(recordings.labels, arguments.clips)
        rng = np.random.default_rng(seed)
        folds = (
            assign_folds(labels, rng),
            np.repeat(assign_folds(recordings.labels, rng), arguments.clips),
        )
        for found, fold in zip((by_clip, by_track), folds, strict=True):
            right_clips = find_right_clips(mel_db, labels, fold, recordings.genres, seed)
            for name, right in right_clips.items():
                shares = right.reshape(-1, arguments.clips).mean(axis=1)
                found[name].append(shares.astype(np.float32))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    groups = np.arange(len(recordings.labels))
    print(
        f"Share of right clips: {len(groups)} recordings, {arguments.clips} clips each, "
        f"{arguments.seeds} seeds\n"
    )
    print("| model | by clip | by recording | difference: the leak |")
    print("|---|---|---|---|")
    for name in BASELINES:
        one, other = (np.mean(found[name], axis=0) for found in (by_clip, by_track))
        cells = [format_interval(*interval(part, groups)) for part in (one, other, one - other)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
