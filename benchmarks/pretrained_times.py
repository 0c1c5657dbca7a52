"""Time of a run with a pretrained network by number of songs, and of its epochs.

    GENREFLOW_DATA=... python -m benchmarks.pretrained_times [--config pretrained]
        [--songs 55 500] [--extrapolate 8000] [--epochs-only]

The first table has seconds of every node of `genreflow run`, features included, for two numbers of
songs. The smaller is the recordings of GENREFLOW_DATA/gtzan as they are (55 of 15 to 30 s). The
larger repeats those of 30 s under new names, each copy at a level of its own, so that none is a
duplicate of another. CPU time is that of all the run's processes; two free cores need at least half
as long. The last column is a straight line through the other two.

The second table has musicnn's epochs a minute on 440 clips with 110 to validate on, as medians of
the epochs after the first: of the head on features that were computed once, and of the whole
network, as fine-tuning has them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import soundfile

from benchmarks.shared import command

LONG_SECONDS = 30.0
QUIETEST = 0.5
TRAIN_CLIPS, VALIDATION_CLIPS = 440, 110


@dataclasses.dataclass(frozen=True)
class Timed:
    """Seconds of a run: of each node, of the command, and of all its processes' CPU time."""

    nodes: dict[str, float]
    wall: float
    cpu: float


def make_corpus(folder: pathlib.Path, songs: int) -> None:
    """Write so many songs below folders of their genres.

    Up to the number of real recordings these are used as they are, and above it the long ones again
    and again.
    """
    real = sorted(command.data_folder("gtzan", file="manifest.csv").rglob("*.wav"))
    if songs > len(real):
        real = [file for file in real if soundfile.info(file).duration >= LONG_SECONDS]
    # One of each genre in turn.
    real.sort(key=lambda file: (file.name.split(".")[1], file.name))
    copies = -(-songs // len(real))
    for number in range(songs):
        copy, file = number // len(real), real[number % len(real)]
        target = folder / file.parent.name / f"{copy:04d}.{file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy == 0:
            shutil.copyfile(file, target)
        else:
            samples, rate_hz = soundfile.read(file, dtype="float32")
            level = 1 - (1 - QUIETEST) * copy / copies
            soundfile.write(target, level * samples, rate_hz, subtype="PCM_16")


def run(config: str, corpus: pathlib.Path, work_dir: pathlib.Path) -> Timed:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    words = [str(command.GENREFLOW), "run", "-c", config, "-d", str(corpus), "-w", str(work_dir)]
    with (work_dir.parent / "output.txt").open("ab") as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SystemExit((work_dir.parent / "output.txt").read_text(errors="replace")[-4000:])
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    nodes = json.loads((work_dir / "results.json").read_text(encoding="utf-8"))["nodes"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed({name: node["seconds"] for name, node in nodes.items()}, wall, cpu)


def print_runs(config: str, sizes: tuple[int, int], extrapolated: int) -> None:
    measured = []
    for songs in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_corpus(pathlib.Path(folder, "corpus"), songs)
            measured.append(run(config, pathlib.Path(folder, "corpus"), pathlib.Path(folder, "w")))
    small, large = measured
    factor = (extrapolated - sizes[0]) / (sizes[1] - sizes[0])

    def print_row(name: str, first: float, second: float) -> None:
        values = (first, second, first + factor * (second - first))
        print(f"| {name} | {' | '.join(f'{value:.0f}' for value in values)} |")

    columns = [f"{songs} songs, s" for songs in (*sizes, extrapolated)]
    print(f"| node | {' | '.join(columns)}, extrapolated |")
    print("|---|---|---|---|")
    for node in large.nodes:
        print_row(node, small.nodes[node], large.nodes[node])
    print_row("all, wall time", small.wall, large.wall)
    print_row("all, CPU time", small.cpu, large.cpu)


def print_epochs() -> None:
    from components.audio.params import AudioParams
    from components.audio.spectrogram.stored import to_stored
    from components.models import registry
    from components.models.settings import ModelSettings
    from components.trainer.batches import Clips
    from components.trainer.resolved import resolve
    from components.trainer.settings import TrainingSettings
    from components.trainer.training import train

    audio, genres = AudioParams.of_front_end("musicnn"), 10
    rng = np.random.default_rng(0)

    def clips(count: int) -> Clips:
        levels = rng.uniform(-80, -20, (count, audio.n_mels, audio.frames)).astype(np.float32)
        return Clips(to_stored(levels), rng.integers(0, genres, count))

    weights = command.data_folder("musicnn", "MSD_musicnn", file=".index")
    model = ModelSettings(weights=str(weights))
    training = TrainingSettings(epochs=20, fine_tune_epochs=3, patience=20)
    network = registry.build(
        "musicnn", model, n_mels=audio.n_mels, frames=audio.frames, genres=genres, seed=0
    )
    settings = resolve(training, model, registry.defaults("musicnn"))
    history = train(network, clips(TRAIN_CLIPS), clips(VALIDATION_CLIPS), settings)
    seconds: dict[str, Any] = {"head": [], "fine_tune": []}
    for epoch in history.epochs:
        seconds[epoch.phase].append(epoch.seconds)
    features = history.train_seconds - sum(map(sum, seconds.values()))
    print("\n| musicnn trains | epochs a minute | features, once, s |")
    print("|---|---|---|")
    for name, phase, once in (
        ("its head, on features", "head", f"{features:.1f}"),
        ("its base, as a whole", "fine_tune", ""),
    ):
        print(f"| {name} | {60 / statistics.median(seconds[phase][1:]):.1f} | {once} |")


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--config", default="pretrained", help="as for genreflow run")
    parser.add_argument("--songs", type=int, nargs=2, default=(55, 500))
    parser.add_argument("--epochs-only", action="store_true", help="the second table only")
    parser.add_argument("--extrapolate", type=int, default=8000)
    arguments = parser.parse_args()
    if not arguments.epochs_only:
        print_runs(arguments.config, arguments.songs, arguments.extrapolate)
    print_epochs()


if __name__ == "__main__":
    main()
