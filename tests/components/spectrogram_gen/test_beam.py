"""The counters of the Beam stage."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile

from components.audio.clips import clip_starts
from components.audio.params import AudioParams
from components.datasets.track import Track
from components.spectrogram_gen.shards import Shard, WriteOptions

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
    pipeline | beam.Create(shards) | beam.ParDo(WriteShard(options))
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
