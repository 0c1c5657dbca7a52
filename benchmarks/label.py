"""`genreflow label` beside the audio stage, its memory by the size of the catalogue, and reruns.

    GENREFLOW_DATA=... python -m benchmarks.label [throughput] [memory] [ways]

Each run has a process of its own, and what is compared alternates. Times are medians; processor
time counts all processes, and depends least on other work on the machine. The model is cnn_small
with random weights, which takes as long as a trained one.

- throughput: the real FMA mp3s under many names (--tracks). The audio stage writes the spectrograms
  of the same windows, with the isolated decoder and the clip store, in as many processes as there
  are cores. `label` runs as typed. Both are timed from their first finished track, without the
  start, and the ratio is that of tracks a second.
- memory: one window of 2 s under many names (--sizes), as the memory does not depend on how long
  the files are. The peak is the largest sampled sum of all processes' proportional share (PSS), and
  "unchanged" is a second run, which labels nothing.
- ways: a DoFn with a model made once a process, and Beam's RunInference, which takes the windows of
  all files as elements, on the same mp3s in one process.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.shared import audio_stage, command
from benchmarks.shared.sampling import Sample, watch
from components.common import progress
from components.common.progress import EVENT_FILE_VARIABLE

GENRES = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "Pop", "Rock", "Soul")


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("what", nargs="*", help="throughput, memory, ways; by default the first")
    parser.add_argument("--tracks", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 50_000])
    parser.add_argument("--one-run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_run:
        name, folder, model = arguments.one_run
        _ONE_RUNS[name](pathlib.Path(folder), model)
        return
    with tempfile.TemporaryDirectory(prefix="genreflow-benchmark-") as scratch:
        model = str(pathlib.Path(scratch, "model"))
        run_apart("model", pathlib.Path(scratch), model)
        for what in arguments.what or ["throughput"]:
            if what == "throughput":
                _throughput(pathlib.Path(scratch), model, arguments.tracks, arguments.repeats)
            elif what == "memory":
                _memory(pathlib.Path(scratch), model, arguments.sizes)
            else:
                _ways(pathlib.Path(scratch), model, arguments.tracks, arguments.repeats)


def _throughput(scratch: pathlib.Path, model: str, tracks: int, repeats: int) -> None:
    corpus = scratch / "throughput" / "data"
    corpus.parent.mkdir()
    audio_stage.write_corpus(corpus, tracks)
    found: dict[str, list[dict[str, float]]] = {"audio": [], "anew": []}
    for _ in range(repeats):
        for name, runs in found.items():
            runs.append(figures(run_apart(name, corpus, model), tracks))
            print(name, runs[-1], file=sys.stderr, flush=True)
    _print_comparison(found, "audio stage", "label")


def _ways(scratch: pathlib.Path, model: str, tracks: int, repeats: int) -> None:
    corpus = scratch / "ways" / "data"
    corpus.parent.mkdir()
    audio_stage.write_corpus(corpus, tracks)
    found: dict[str, list[dict[str, float]]] = {"inference": [], "dofn": []}
    for _ in range(repeats):
        for name, runs in found.items():
            runs.append(figures(run_apart(name, corpus, model), tracks))
            print(name, runs[-1], file=sys.stderr, flush=True)
    _print_comparison(found, "RunInference", "DoFn")


def _print_comparison(found: dict[str, list[dict[str, float]]], *shown: str) -> None:
    print("| | wall, ms/track | processor, ms/track | peak memory, MB |")
    print("|---|---|---|---|")
    medians = []
    for name, runs in zip(shown, found.values(), strict=True):
        medians.append({key: statistics.median(run[key] for run in runs) for key in runs[0]})
        value = medians[-1]
        print(
            f"| {name} | {value['wall_ms']:.1f} | {value['cpu_ms']:.1f} "
            f"| {value['peak_bytes'] / 1e6:.0f} |"
        )
    first, second = medians
    print(
        f"{shown[1]} has {first['wall_ms'] / second['wall_ms']:.2f} times the throughput of "
        f"{shown[0]}, by processor time {first['cpu_ms'] / second['cpu_ms']:.2f} times"
    )


def _memory(scratch: pathlib.Path, model: str, sizes: list[int]) -> None:
    print(
        "| files | whole, s | peak memory, MB | of it anonymous | unchanged, s | peak memory, MB |"
    )
    print("|---|---|---|---|---|---|")
    peaks = []
    for size in sizes:
        corpus = scratch / f"memory-{size}" / "data"
        _write_short_corpus(corpus, size)
        whole, again = (run_apart("label", corpus, model) for _ in range(2))
        peaks.append(max(sample.anonymous for sample in whole))
        shares = [max(sample.memory for sample in run) / 1e6 for run in (whole, again)]
        print(
            f"| {size} | {_seconds(whole):.0f} | {shares[0]:.0f} | {peaks[-1] / 1e6:.0f} "
            f"| {_seconds(again):.0f} | {shares[1]:.0f} |",
            flush=True,
        )
    print(f"the largest catalogue takes {peaks[-1] / peaks[0] - 1:+.1%} anonymous memory")


def _write_short_corpus(folder: pathlib.Path, size: int) -> None:
    """Make a folder of hard links to one window of noise."""
    import numpy as np
    import soundfile

    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 44100)
    soundfile.write(folder.parent / "noise.wav", noise, 22050)
    for index in range(size):
        os.link(folder.parent / "noise.wav", folder / f"{index:07d}.wav")


def _seconds(samples: list[Sample]) -> float:
    return samples[-1].clock - samples[0].clock


def figures(samples: list[Sample], tracks: int) -> dict[str, float]:
    """Return wall_ms and cpu_ms of a track, from the first finished one on, and peak_bytes."""
    begun = next(sample for sample in samples if sample.tracks)
    # The last tracks may be told after the last sample.
    most = max(sample.tracks for sample in samples)
    done = next(sample for sample in samples if sample.tracks == most)
    number = most - begun.tracks
    if number < tracks / 2:
        sys.exit(f"only {number} of {tracks} tracks were between two samples: use more --tracks")
    return {
        "wall_ms": 1000 * (done.clock - begun.clock) / number,
        "cpu_ms": 1000 * (done.cpu - begun.cpu) / number,
        "peak_bytes": max(sample.memory for sample in samples),
    }


def run_apart(name: str, folder: pathlib.Path, model: str) -> list[Sample]:
    """Do one run in a process of its own, and return its samples.

    Args:
      name: of the run: "model" makes the model, "anew" labels everything.
      folder: the corpus; the table is beside it, in "labels".
      model: folder of the model.
    """
    with tempfile.TemporaryDirectory() as scratch:
        events, log = pathlib.Path(scratch, "events"), pathlib.Path(scratch, "log")
        events.touch()
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "",
            EVENT_FILE_VARIABLE: str(events),
        }
        words = [sys.executable, "-m", command.module(__file__), "--one-run", name]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*words, str(folder), model],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            samples = list(watch(process, events))
        if process.returncode:
            sys.exit(log.read_text(errors="replace")[-4000:])
        return samples


# The runs, each in a process of its own


def _make_model(folder: pathlib.Path, model: str) -> None:
    from components.audio.params import AudioParams
    from components.models import registry
    from components.models.settings import ModelSettings
    from components.trainer.export import export_saved_model

    params = AudioParams()
    network: Any = registry.build(
        "cnn_small",
        ModelSettings(),
        n_mels=params.n_mels,
        frames=params.frames,
        genres=len(GENRES),
        seed=1,
    )
    export_saved_model(
        network.model, f"{model}/1", params=params, genres=GENRES, model_card={"synthetic": False}
    )


def _label(folder: pathlib.Path, model: str) -> None:
    from genreflow.labelling import run
    from pipeline.config.beam import BeamSettings, pipeline_args

    options = run.Options(model, str(folder), str(folder.parent / "labels"), jobs=0)

    run.label(options, pipeline_args(BeamSettings(), tracks=0), _pass_on())


def _label_anew(folder: pathlib.Path, model: str) -> None:
    shutil.rmtree(folder.parent / "labels", ignore_errors=True)
    _label(folder, model)


def _audio(folder: pathlib.Path, model: str) -> None:
    import apache_beam as beam

    from components.audio.decoding.limits import DecodeLimits
    from components.audio.params import MAX_EVALUATION_CLIPS, AudioParams
    from components.datasets.track import SplitName, Track
    from components.spectrogram_gen.job import write_shards
    from components.spectrogram_gen.shards import WINDOWS_SHARD_DIVISOR, WriteOptions, plan_shards
    from pipeline.config.beam import BeamSettings, pipeline_args

    files = sorted(folder.glob("*.mp3"))
    tracks = [Track(file.stem, str(file), "Rock") for file in files]
    test: SplitName = "test"
    clip_splits = (test,) * MAX_EVALUATION_CLIPS
    splits = {track.track_id: clip_splits for track in tracks}
    with tempfile.TemporaryDirectory() as scratch:
        options = WriteOptions(
            params=dataclasses.replace(AudioParams(), evaluation_clips="all"),
            genres=("Rock",),
            clip_seed=0,
            directory=f"{scratch}/examples",
            store=f"{scratch}/store",
            limits=DecodeLimits(),
        )
        beam_settings = BeamSettings(runner="direct")
        shards = plan_shards(tracks, splits, beam_settings.shard_tracks // WINDOWS_SHARD_DIVISOR)
        pipeline = beam.Pipeline(argv=pipeline_args(beam_settings, tracks=len(tracks)))
        write_shards(pipeline, shards, options, f"{scratch}/job")


def _inference(folder: pathlib.Path, model: str) -> None:
    """Predict by RunInference, which batches the windows of several files."""
    import apache_beam as beam
    import numpy as np
    from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference

    from components.audio.clips import cut
    from components.audio.decoding.isolation import IsolatedDecoder
    from components.audio.decoding.limits import DecodeLimits
    from pipeline.config.beam import IN_MEMORY
    from serving.model.local import LocalModel

    class Windows(beam.DoFn):  # type: ignore[misc]
        def setup(self) -> None:
            self._decoder = IsolatedDecoder(DecodeLimits())

        def teardown(self) -> None:
            self._decoder.close()

        def process(self, path: str) -> Iterator[Any]:
            for part in self._decoder.stream(path, 22050, 44100, 16):
                for window in cut(part.samples, 44100):
                    yield path, window

    class Handler(ModelHandler):  # type: ignore[misc]
        def load_model(self) -> Any:
            return LocalModel(model)

        def run_inference(self, batch: Any, loaded: Any, inference_args: Any = None) -> Any:
            return list(loaded.predict_windows(np.stack(batch)))

        def batch_elements_kwargs(self) -> dict[str, int]:
            return {"min_batch_size": 16, "max_batch_size": 16}

    class Mean(beam.DoFn):  # type: ignore[misc]
        def process(self, element: Any) -> Iterator[Any]:
            path, rows = element
            progress.report("progress", stage="label", done=next(_counter))
            yield path, np.mean(list(rows), axis=0)

    files = [str(file) for file in sorted(folder.glob("*.mp3"))]
    progress.report("progress", stage="label", done=1)
    with beam.Pipeline(argv=list(IN_MEMORY)) as pipeline:
        (
            pipeline
            | beam.Create(files)
            | beam.ParDo(Windows())
            | RunInference(KeyedModelHandler(Handler()))
            | beam.GroupByKey()
            | beam.ParDo(Mean())
        )


def _dofn(folder: pathlib.Path, model: str) -> None:
    """Predict by the DoFn, one file at a time, as RunInference does here."""
    from genreflow.labelling import run
    from pipeline.config.beam import IN_MEMORY

    shutil.rmtree(folder.parent / "labels", ignore_errors=True)
    options = run.Options(model, str(folder), str(folder.parent / "labels"), jobs=1)

    run.label(options, IN_MEMORY, _pass_on())


def _pass_on() -> Callable[[Mapping[str, Any]], None]:
    """Return a function that passes on the progress of labelling, without that of the listing."""
    labelling = False

    def pass_on(event: Mapping[str, Any]) -> None:
        nonlocal labelling
        labelling |= event["event"] == "node_started" and event["node"] == "Labelling"
        if labelling and event["event"] == "progress":
            progress.report("progress", stage="label", done=event["done"])

    return pass_on


_counter = iter(range(1, sys.maxsize))
_ONE_RUNS = {
    "model": _make_model,
    "label": _label,
    "anew": _label_anew,
    "audio": _audio,
    "inference": _inference,
    "dofn": _dofn,
}


if __name__ == "__main__":
    main()
