"""Tests of training's sources: examples on disk to tensors and arrays."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE, from_stored, to_stored
from components.common.errors import DataError
from components.examples import reader
from components.examples.subset import balanced_subset
from components.examples.writer import Clip, serialize
from components.trainer import data
from components.trainer.settings import AugmentationSettings
from tests.support import ROOT

PARAMS = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=8, clip_seconds=0.25
)


def _clip(number: int) -> Clip:
    """Return a clip whose spectrogram holds its number, so that a mix-up is seen."""
    return Clip(
        track_id=f"track-{number // 2}",
        artist_id=f"artist-{number // 4}",
        genre=f"genre-{number % 3}",
        label=number % 3,
        clip_index=number % 2,
        clip_start_s=float(number),
        mel_db=to_stored(np.full((PARAMS.n_mels, PARAMS.frames), -number / 8)),
    )


def _write(folder: pathlib.Path, numbers: list[list[int]], suffix: str = "") -> list[str]:
    compression = "GZIP" if suffix else ""
    for shard, of_shard in enumerate(numbers):
        name = folder / f"part-{shard:05d}-of-{len(numbers):05d}.tfrecord{suffix}"
        with tf.io.TFRecordWriter(str(name), compression) as writer:
            for number in of_shard:
                writer.write(serialize(_clip(number), PARAMS))
    return [f"{folder}/*"]


def _shards(sizes: list[int]) -> list[list[int]]:
    """0, 1, 2, ... in shards of these sizes."""
    ends = np.cumsum(sizes).tolist()
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@pytest.fixture
def patterns(tmp_path: pathlib.Path) -> list[str]:
    return _write(tmp_path, [[0, 1, 2, 3], [4, 5, 6], [], [7, 8, 9]])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink windows and blocks, so that files alternate and windows end within an epoch."""
    monkeypatch.setattr(reader, "BLOCK_CLIPS", 2)
    monkeypatch.setattr(reader, "CYCLE_FILES", 3)
    monkeypatch.setattr(data, "SHUFFLE_WINDOW_CLIPS", 7)


def _number(mel_db: Any) -> int:
    assert (mel_db == mel_db[0, 0]).all()
    return round(-8 * float(mel_db[0, 0]))


def _numbers(
    stream: data.Stream, batch_size: int = 3, shuffle: tuple[int, int] | None = None
) -> list[int]:
    batches = stream.batches(batch_size, shuffle=shuffle)
    return [_number(clip) for batch, _ in batches for clip in batch.numpy()]


def test_a_stream_gives_float32_spectrograms_and_labels(patterns: list[str]) -> None:
    stream = data.stream(patterns, PARAMS)
    batches = list(stream.batches(4))
    shape = (PARAMS.n_mels, PARAMS.frames)
    assert [batch.shape for batch, _ in batches] == [(4, *shape), (4, *shape), (2, *shape)]
    assert batches[0][0].dtype == tf.float32
    assert np.concatenate([labels for _, labels in batches]).tolist() == [
        number % 3 for number in range(10)
    ]
    assert stream.labels.tolist() == [number % 3 for number in range(10)]
    assert _numbers(stream) == list(range(10))


@pytest.mark.usefixtures("small_blocks")
def test_files_are_read_in_turn_block_by_block(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, _shards([3, 4, 1, 2, 5]))
    # Three files at a time, two records from each; the next file takes an ended one's place.
    expected = [0, 1, 3, 4, 7, 2, 5, 6, 8, 9, 10, 11, 12, 13, 14]
    assert _numbers(data.stream(patterns, PARAMS)) == expected
    loaded = data.load(patterns, PARAMS)
    assert [_number(clip) for clip in from_stored(loaded.inputs)] == expected
    assert loaded.labels.tolist() == [number % 3 for number in expected]


@pytest.mark.parametrize(("limit", "batches"), [(0, 4), (6, 2), (7, 3)])
def test_a_stream_knows_how_many_batches_it_has(
    patterns: list[str], limit: int, batches: int
) -> None:
    stream = data.stream(patterns, PARAMS, limit=limit).batches(3)
    assert int(stream.cardinality()) == batches == len(list(stream))


@pytest.mark.usefixtures("small_blocks")
@hypothesis.given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    batch_size=st.integers(1, 20),
    seed=st.integers(-(2**63), 2**63 - 1),
    limit=st.integers(0, 30),
)
@hypothesis.settings(
    max_examples=8, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_every_epoch_holds_every_clip_once_in_an_order_of_its_own(
    sizes: list[int], batch_size: int, seed: int, limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        patterns = _write(pathlib.Path(folder), _shards(sizes))
        first = data.stream(patterns, PARAMS, limit=limit, seed=seed)
        epochs = [_numbers(first, batch_size, (seed, epoch)) for epoch in range(3)]
        clips = sum(sizes)
        expected = list(range(clips))
        if limit:
            labels = np.arange(clips) % 3
            expected = balanced_subset(labels, limit, seed).tolist()
        for epoch in epochs:
            assert sorted(epoch) == expected
        if len(expected) > 6:
            assert not epochs[0] == epochs[1] == epochs[2]
        # TensorFlow's own state of chance has no part in it.
        tf.random.set_seed(len(sizes))
        tf.random.uniform([])
        again = data.stream(patterns, PARAMS, limit=limit, seed=seed)
        assert [_numbers(again, batch_size, (seed, epoch)) for epoch in range(3)] == epochs
        loaded = data.load(patterns, PARAMS, limit=limit, seed=seed)
        assert sorted(_number(clip) for clip in from_stored(loaded.inputs)) == expected


_IN_ANOTHER_PROCESS = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.random.set_seed(99)
from components.audio.params import AudioParams
from components.examples import reader
from components.trainer import data
reader.BLOCK_CLIPS, reader.CYCLE_FILES, data.SHUFFLE_WINDOW_CLIPS = 2, 3, 7
params = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=8, clip_seconds=0.25
)
stream = data.stream([sys.argv[1]], params)
for epoch in range(2):
    batches = stream.batches(3, shuffle=(5, epoch))
    print(*[round(-8 * float(c[0, 0])) for batch, _ in batches for c in batch.numpy()])
"""


@pytest.mark.usefixtures("small_blocks")
def test_a_process_with_one_core_and_another_global_seed_has_the_same_order(
    tmp_path: pathlib.Path,
) -> None:
    patterns = _write(tmp_path, _shards([5, 3, 0, 6, 4, 2, 7]))
    stream = data.stream(patterns, PARAMS)
    here = [_numbers(stream, 3, (5, epoch)) for epoch in range(2)]
    assert here[0] != here[1]
    assert _numbers(stream, 3, (6, 0)) != here[0]
    there = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS, *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert [[int(word) for word in line.split()] for line in there.stdout.splitlines()] == here


@pytest.mark.usefixtures("small_blocks")
def test_clips_are_shuffled_within_windows_also_of_one_file(tmp_path: pathlib.Path) -> None:
    order = _numbers(data.stream(_write(tmp_path, _shards([20])), PARAMS), 6, (1, 0))
    windows = [order[:7], order[7:14], order[14:]]
    in_order = [list(range(7)), list(range(7, 14)), list(range(14, 20))]
    assert [sorted(window) for window in windows] == in_order
    for window, unshuffled in zip(windows, in_order, strict=True):
        assert window != unshuffled
    # Each window has an order of its own.
    assert [number + 7 for number in windows[0]] != windows[1]


@pytest.mark.usefixtures("small_blocks")
def test_files_are_opened_in_another_order_in_each_epoch(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, _shards([20, 20, 20, 20, 20]))
    stream = data.stream(patterns, PARAMS)
    # A first window takes turns among the first three files.
    first = [frozenset(n // 20 for n in _numbers(stream, 7, (1, epoch))[:7]) for epoch in range(6)]
    assert {len(files) for files in first} == {3}
    assert len(set(first)) > 1


def test_shuffling_keeps_each_label_with_its_spectrogram(patterns: list[str]) -> None:
    for mel_db, labels in data.stream(patterns, PARAMS).batches(3, shuffle=(1, 0)):
        np.testing.assert_array_equal(np.round(-8 * mel_db[:, 0, 0]) % 3, labels)


def test_a_stream_varies_its_clips_as_clips_in_memory_are(tmp_path: pathlib.Path) -> None:
    settings = AugmentationSettings(time_masks=1, gain_db=4, shift_frames=3, mixup=0.4)
    # One block is in file order both ways, so the same numbers decide the same clips.
    patterns = _write(tmp_path, [list(range(12))])
    options = {"augmentation": settings, "genres": 3}
    streamed = list(data.stream(patterns, PARAMS).batches(5, **options))
    loaded = data.load(patterns, PARAMS).batches(5, **options)
    assert len(streamed) == len(loaded) == 3
    for index, (mel_db, targets) in enumerate(streamed):
        np.testing.assert_array_equal(mel_db, loaded[index][0])
        np.testing.assert_array_equal(targets, loaded[index][1])
    stream = data.stream(patterns, PARAMS)
    once = [[x.numpy() for x in b] for b in stream.batches(5, shuffle=(1, 2), **options)]
    again = [[x.numpy() for x in b] for b in stream.batches(5, shuffle=(1, 2), **options)]
    later = [[x.numpy() for x in b] for b in stream.batches(5, shuffle=(1, 3), **options)]
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(once, later, strict=True))


def test_loaded_clips_are_those_that_were_written(patterns: list[str]) -> None:
    clips = data.load(patterns, PARAMS)
    assert clips.inputs.dtype == STORED_DTYPE
    expected = [_clip(number) for number in range(10)]
    np.testing.assert_array_equal(clips.inputs, [clip.mel_db for clip in expected])
    assert clips.labels.tolist() == [clip.label for clip in expected]


def test_a_limit_takes_the_same_clips_loaded_and_streamed(patterns: list[str]) -> None:
    loaded = data.load(patterns, PARAMS, limit=4, seed=7)
    numbers = [_number(clip) for clip in from_stored(loaded.inputs)]
    assert len(set(numbers)) == 4
    assert loaded.labels.tolist() == [number % 3 for number in numbers]
    stream = data.stream(patterns, PARAMS, limit=4, seed=7)
    assert sorted(_numbers(stream)) == sorted(numbers)
    assert sorted(stream.labels) == sorted(number % 3 for number in numbers)


def test_a_limit_above_what_there_is_takes_all(patterns: list[str]) -> None:
    assert len(data.load(patterns, PARAMS, limit=11)) == 10


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_loading_holds_is_known_before_and_not_far_off(
    tmp_path: pathlib.Path, suffix: str
) -> None:
    patterns = _write(tmp_path, _shards([9, 8]), suffix)
    size = data.load(patterns, PARAMS).inputs.nbytes
    assert size == 17 * PARAMS.mel_bytes
    # Ids and framing are long beside spectrograms as small as these.
    assert size <= data.held_bytes(patterns, PARAMS) < 4 * size
    assert data.held_bytes(patterns, PARAMS, limit=3) == 3 * PARAMS.mel_bytes


def test_an_empty_split_is_empty_not_an_error_of_tensorflow(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, [[]])
    assert len(data.load(patterns, PARAMS)) == 0
    assert len(data.load(patterns, PARAMS, limit=3)) == 0
    for shuffle in (None, (1, 0)):
        stream = data.stream(patterns, PARAMS, limit=3)
        assert list(stream.batches(4, shuffle=shuffle)) == []


def test_compressed_files_are_known_by_their_names(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, [[0, 1], [2]], suffix=".gz")
    assert _numbers(data.stream(patterns, PARAMS)) == [0, 1, 2]
    assert len(data.load(patterns, PARAMS)) == 3


def test_spectrograms_of_other_parameters_are_refused(patterns: list[str]) -> None:
    other = dataclasses.replace(PARAMS, n_mels=16)
    with pytest.raises(DataError, match=r"part-00000.*another size"):
        data.load(patterns, other)
    stream = data.stream(patterns, other)
    with pytest.raises(DataError, match=r"part-00000.*another size"), stream.readable():
        list(stream.batches(4))


@pytest.mark.parametrize("limit", [0, 5])
def test_a_file_cut_where_tensorflow_sees_a_whole_one_is_told(
    patterns: list[str], limit: int
) -> None:
    file = pathlib.Path(patterns[0]).parent / "part-00001-of-00004.tfrecord"
    content = file.read_bytes()
    file.write_bytes(content[: 2 * len(content) // 3 + 11])
    with pytest.raises(DataError, match=r"part-00001.*truncated"):
        data.load(patterns, PARAMS, limit=limit)
    with pytest.raises(DataError, match=r"part-00001.*truncated"):
        data.stream(patterns, PARAMS, limit=limit)


def test_a_file_that_shrank_after_its_labels_were_read_is_told(patterns: list[str]) -> None:
    limited = data.stream(patterns, PARAMS, limit=9)
    stream = data.stream(patterns, PARAMS)
    folder = pathlib.Path(patterns[0]).parent
    _write(folder, [[0, 1, 2], [4, 5, 6], [], [7, 8, 9]])
    for shrunk in (stream, limited):
        with pytest.raises(DataError, match=r"9 clips instead of 10"), shrunk.readable():
            list(shrunk.batches(1))


@hypothesis.given(
    labels=st.lists(st.integers(0, 4), max_size=60),
    limit=st.integers(1, 70),
    seed=st.integers(-(2**63), 2**63),
)
def test_a_balanced_subset_takes_from_each_label_in_turn(
    labels: list[int], limit: int, seed: int
) -> None:
    chosen = balanced_subset(np.array(labels, np.int64), limit, seed).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(limit, len(labels))
    there = collections.Counter(labels)
    taken = collections.Counter(labels[position] for position in chosen)
    # A label has fewer than another's, by more than one turn, only when it ran out.
    most = max(taken.values(), default=0)
    for label, count in there.items():
        assert taken[label] >= min(count, most - 1)


def test_the_seed_decides_which_clips_a_subset_takes() -> None:
    labels = np.arange(300) % 3
    first = balanced_subset(labels, 30, 0)
    np.testing.assert_array_equal(first, balanced_subset(labels, 30, 0))
    assert not np.array_equal(first, balanced_subset(labels, 30, 1))
    # Spread over the whole split, not its beginning.
    assert first[0] < 60
    assert first[-1] > 240
