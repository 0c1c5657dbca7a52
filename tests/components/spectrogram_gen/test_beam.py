"""The Beam stage: its counters, and the results that workers leave for the submitter."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np
import pytest
import soundfile

from components.artifacts.worker_reports import read_reports
from components.audio.clips import clip_starts
from components.audio.params import AudioParams
from components.common.errors import GenreflowError
from components.datasets.track import Track
from components.spectrogram_gen.plan_files import write_plan
from components.spectrogram_gen.shards import Shard, ShardResult, WriteOptions
from pipeline.config.beam import LOCAL_RUNNER
from tests.support.audio_stage import local_files

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)


@pytest.mark.e2e
def test_the_stage_counts_tracks_clips_and_rejects_by_reason(tmp_path: pathlib.Path) -> None:
    import apache_beam as beam

    from components.spectrogram_gen.job import WriteShard, begin
    from pipeline.process.beam_runner import LocalRunner

    for index in range(3):
        samples = np.random.default_rng(index).normal(0, 0.1, 8000)
        if index == 2:
            starts = clip_starts(8000, PARAMS.clip_samples, 4, track_id="2", seed=0)
            samples[max(starts) :] = 0
        soundfile.write(tmp_path / f"{index}.wav", samples, 8000)
    (tmp_path / "3.wav").write_text("words")
    splits = ("train",) * PARAMS.clips_per_track
    tracks = [Track(str(i), str(tmp_path / f"{i}.wav"), "Folk") for i in range(5)]
    shards = [
        Shard(0, 2, ("train",), tuple((t, splits) for t in tracks[:2])),
        Shard(1, 2, ("train",), tuple((t, splits) for t in tracks[2:])),
    ]
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "out"))
    pipeline = beam.Pipeline(LocalRunner())
    folders = begin(str(tmp_path / "results")), str(tmp_path / "reports")
    places = write_plan(str(tmp_path / "plan"), shards)
    pipeline | beam.Create(places) | beam.ParDo(WriteShard(options, *folders))
    result = pipeline.run()
    result.wait_until_finish()
    counters = {
        found.key.metric.name: found.committed
        for found in result.metrics().query()["counters"]
        if found.key.metric.namespace == "genreflow/spectrogram_gen"
    }
    assert counters == {
        "tracks_read": 3,
        "tracks_decoded": 3,
        "tracks_from_store": 0,
        "clips_written": 11,
        "clips_left_out_near_silent": 1,
        "rejected_undecodable": 1,
        "rejected_missing_file": 1,
    }
    assert read_reports(folders[1]) == {"train-0": 2, "train-1": 3}


def _stage(tmp_path: pathlib.Path) -> tuple[list[Shard], WriteOptions, str]:
    """Return two shards of one track each, their options, and the folder for the workers."""
    for name in "ab":
        samples = np.random.default_rng(ord(name)).normal(0, 0.1, 8000)
        soundfile.write(tmp_path / f"{name}.wav", samples, 8000)
    splits = ("train",) * PARAMS.clips_per_track
    shards = [
        Shard(index, 2, ("train",), ((Track(name, str(tmp_path / f"{name}.wav"), "Folk"), splits),))
        for index, name in enumerate("ab")
    ]
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "out"))
    return shards, options, str(tmp_path / "rejects" / ".results")


def _write(shards: list[Shard], options: WriteOptions, folder: str) -> list[ShardResult]:
    import apache_beam as beam

    from components.spectrogram_gen.job import write_shards

    return write_shards(beam.Pipeline(argv=[LOCAL_RUNNER]), shards, options, folder)


def _process(shard: Shard, options: WriteOptions, folder: str) -> None:
    """Write a shard as a worker of its own does."""
    from components.spectrogram_gen.job import WriteShard

    worker = WriteShard(options, folder, f"{folder}/reports")
    worker.setup()
    with tempfile.TemporaryDirectory() as plan:
        (place,) = write_plan(plan, [shard])
        worker.process(place)
    worker.teardown()


@pytest.mark.e2e
@pytest.mark.parametrize("same", [True, False])
def test_a_worker_with_other_code_refuses_in_words(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    from components.spectrogram_gen import job as module

    shards, options, folder = _stage(tmp_path)
    init = module.WriteShard.__init__

    def submit(self: Any, *arguments: Any) -> None:
        init(self, *arguments)
        self._code = self._code if same else "0123456789abcdef"

    monkeypatch.setattr(module.WriteShard, "__init__", submit)
    if same:
        assert len(_write(shards, options, folder)) == 2
        return
    with pytest.raises(GenreflowError, match=r"has other code of Genreflow \(.* \(0123456789abc"):
        _write(shards, options, folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.e2e
def test_after_a_problem_other_shards_abort(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.spectrogram_gen import job as module

    shards, options, folder = _stage(tmp_path)
    begun = []

    def fail(shard: Shard, *_: Any) -> None:
        begun.append(shard.index)
        raise GenreflowError("the store does not respond")

    monkeypatch.setattr(module, "write_shard", fail)
    module.begin(folder)
    for shard in shards:
        _process(shard, options, folder)
    assert begun == [0]
    results = module.read_results(folder, shards)
    assert [result.problem for result in results] == ["the store does not respond"] * 2


@pytest.mark.e2e
def test_a_worker_that_is_too_late_writes_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.spectrogram_gen import job as module

    shards, options, folder = _stage(tmp_path)
    _process(shards[0], options, folder)
    assert not (tmp_path / "out").exists()
    assert not pathlib.Path(folder).exists()

    # The submitter gives up while the worker decodes.
    module.begin(folder)
    read = module.WorkerReport.add

    def give_up(self: Any) -> None:
        read(self)
        shutil.rmtree(folder)

    monkeypatch.setattr(module.WorkerReport, "add", give_up)
    _process(shards[0], options, folder)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    assert not pathlib.Path(folder, module.STATE_FILE).exists()
    with pytest.raises(GenreflowError, match="1 of 1 shards have no result"):
        module.read_results(folder, shards[:1])


@pytest.mark.e2e
def test_two_attempts_of_a_shard_at_once_write_what_one_does(tmp_path: pathlib.Path) -> None:
    from components.spectrogram_gen import job as module

    shards, options, folder = _stage(tmp_path)
    module.begin(folder)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda shard: _process(shard, options, folder), [*shards, *shards]))
    both = local_files(tmp_path / "out")
    assert len(both) == 2
    assert len(module.read_results(folder, shards)) == 2
    once = dataclasses.replace(options, directory=str(tmp_path / "once"))
    module.begin(f"{folder}-once")
    for shard in shards:
        _process(shard, once, f"{folder}-once")
    assert local_files(tmp_path / "once") == both


@pytest.mark.parametrize(
    ("arguments", "elsewhere"),
    [
        ([], False),
        ([LOCAL_RUNNER, "--direct_running_mode=multi_processing"], False),
        (["--runner=DirectRunner"], False),
        (["--runner=PortableRunner", "--job_endpoint=localhost:1"], True),
        (["--runner=FlinkRunner"], True),
        (["--runner=DataflowRunner"], True),
    ],
)
def test_only_the_local_runners_workers_share_this_machines_disk(
    arguments: list[str], elsewhere: bool
) -> None:
    from components.spectrogram_gen.executor import _runs_elsewhere

    assert _runs_elsewhere(arguments) is elsewhere


@pytest.mark.e2e
def test_results_come_from_files_that_are_gone_afterwards(tmp_path: pathlib.Path) -> None:
    shards, options, folder = _stage(tmp_path)
    results = _write(list(reversed(shards)), options, folder)
    assert [result.index for result in results] == [0, 1]
    assert [result.written[0][0] for result in results] == ["a", "b"]
    assert not pathlib.Path(folder).exists()


@pytest.mark.e2e
def test_a_worker_that_writes_to_another_disk_is_told_from_a_data_set_without_clips(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.spectrogram_gen import job as module

    shards, options, folder = _stage(tmp_path)
    write = module.write_result

    def elsewhere(here: str, result: Any) -> None:
        write(here if result.index == 0 else f"{here}-of-another-machine", result)

    monkeypatch.setattr(module, "write_result", elsewhere)
    with pytest.raises(GenreflowError, match=r"1 of 2 shards have no result in .*another disk"):
        _write(shards, options, folder)


@pytest.mark.e2e
def test_an_old_attempts_results_are_not_this_ones(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.spectrogram_gen import job as module

    shards, options, folder = _stage(tmp_path)
    monkeypatch.setattr(module.secrets, "token_hex", lambda length: "0")
    for shard in shards:
        module.write_result(
            f"{folder}/1", ShardResult.failed(shard.index, shard.splits, "another time")
        )
    monkeypatch.setattr(module, "write_result", lambda here, result: None)
    with pytest.raises(GenreflowError, match="2 of 2 shards have no result"):
        _write(shards, options, folder)
