"""The Beam stage: its counters, and the results that workers leave for the submitter."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile

from components.artifacts.worker_reports import read_reports
from components.audio.clips import clip_starts
from components.audio.params import AudioParams
from components.common.errors import GenreflowError
from components.datasets.track import Track
from components.spectrogram_gen.shards import Shard, ShardResult, WriteOptions
from pipeline.config.beam import LOCAL_RUNNER

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)


@pytest.mark.e2e
def test_the_stage_counts_tracks_clips_and_rejects_by_reason(tmp_path: pathlib.Path) -> None:
    import apache_beam as beam

    from components.spectrogram_gen.executor import WriteShard
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
    folders = str(tmp_path / "results"), str(tmp_path / "reports")
    pipeline | beam.Create(shards) | beam.ParDo(WriteShard(options, *folders))
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


def _executor(tmp_path: pathlib.Path) -> tuple[Any, list[Shard], WriteOptions, str]:
    from components.spectrogram_gen.executor import Executor

    for name in "ab":
        samples = np.random.default_rng(ord(name)).normal(0, 0.1, 8000)
        soundfile.write(tmp_path / f"{name}.wav", samples, 8000)
    splits = ("train",) * PARAMS.clips_per_track
    shards = [
        Shard(index, 2, ("train",), ((Track(name, str(tmp_path / f"{name}.wav"), "Folk"), splits),))
        for index, name in enumerate("ab")
    ]
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "out"))
    context = Executor.Context([LOCAL_RUNNER], str(tmp_path), unique_id="1")
    return Executor(context), shards, options, str(tmp_path / "rejects" / ".results")


@pytest.mark.e2e
def test_results_come_from_files_that_are_gone_afterwards(tmp_path: pathlib.Path) -> None:
    executor, shards, options, folder = _executor(tmp_path)
    results = executor._write(list(reversed(shards)), options, folder)
    assert [result.index for result in results] == [0, 1]
    assert [result.written[0][0] for result in results] == ["a", "b"]
    assert not pathlib.Path(folder).exists()


@pytest.mark.e2e
def test_a_worker_that_writes_to_another_disk_is_told_from_a_data_set_without_clips(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.spectrogram_gen import executor as module

    executor, shards, options, folder = _executor(tmp_path)
    write = module._write_result

    def elsewhere(here: str, result: Any) -> None:
        write(here if result.index == 0 else f"{here}-of-another-machine", result)

    monkeypatch.setattr(module, "_write_result", elsewhere)
    with pytest.raises(GenreflowError, match=r"1 of 2 shards have no result in .*another disk"):
        executor._write(shards, options, folder)


@pytest.mark.e2e
def test_an_old_attempts_results_are_not_this_ones(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.spectrogram_gen import executor as module

    executor, shards, options, folder = _executor(tmp_path)
    for shard in shards:
        module._write_result(folder, ShardResult.failed(shard, "another time"))
    monkeypatch.setattr(module, "_write_result", lambda here, result: None)
    with pytest.raises(GenreflowError, match="2 of 2 shards have no result"):
        executor._write(shards, options, folder)
