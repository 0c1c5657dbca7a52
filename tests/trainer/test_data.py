"""Examples on disk to tensors and arrays."""

from __future__ import annotations

import collections
import dataclasses
import pathlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from components.audio.params import AudioParams
from components.errors import DataError
from components.examples.writer import Clip, serialize
from components.trainer import data

PARAMS = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=8, clip_seconds=0.25
)


def _clip(number: int) -> Clip:
    """Its spectrogram tells its number, so that a mix-up shows."""
    return Clip(
        track_id=f"track-{number // 2}",
        artist_id=f"artist-{number // 4}",
        genre=f"genre-{number % 3}",
        label=number % 3,
        clip_index=number % 2,
        clip_start_s=float(number),
        mel_db=np.full((PARAMS.n_mels, PARAMS.frames), -number / 2, np.float16),
    )


def _write(folder: pathlib.Path, numbers: list[list[int]], suffix: str = "") -> list[str]:
    compression = "GZIP" if suffix else ""
    for shard, of_shard in enumerate(numbers):
        name = folder / f"part-{shard:05d}-of-{len(numbers):05d}.tfrecord{suffix}"
        with tf.io.TFRecordWriter(str(name), compression) as writer:
            for number in of_shard:
                writer.write(serialize(_clip(number), PARAMS))
    return [f"{folder}/*"]


@pytest.fixture
def patterns(tmp_path: pathlib.Path) -> list[str]:
    return _write(tmp_path, [[0, 1, 2, 3], [4, 5, 6], [], [7, 8, 9]])


def _numbers(dataset: tf.data.Dataset) -> list[int]:
    return [round(-2 * float(clip[0, 0])) for batch, _ in dataset for clip in batch.numpy()]


def test_a_stream_gives_spectrograms_and_labels_in_file_order(patterns: list[str]) -> None:
    batches = list(data.dataset(patterns, PARAMS, 4))
    assert [batch.shape for batch, _ in batches] == [
        (4, PARAMS.n_mels, PARAMS.frames),
        (4, PARAMS.n_mels, PARAMS.frames),
        (2, PARAMS.n_mels, PARAMS.frames),
    ]
    assert batches[0][0].dtype == tf.float32
    assert np.concatenate([labels for _, labels in batches]).tolist() == [
        number % 3 for number in range(10)
    ]
    assert _numbers(data.dataset(patterns, PARAMS, 4)) == list(range(10))


@pytest.mark.parametrize(("limit", "batches"), [(0, 4), (6, 2), (7, 3)])
def test_a_stream_knows_how_many_batches_it_has(
    patterns: list[str], limit: int, batches: int
) -> None:
    stream = data.dataset(patterns, PARAMS, 3, limit=limit)
    assert int(stream.cardinality()) == batches == len(list(stream))


def test_a_shuffled_stream_repeats_with_its_seed_and_varies_by_epoch(patterns: list[str]) -> None:
    first = data.dataset(patterns, PARAMS, 3, shuffle_seed=1)
    epochs = [_numbers(first), _numbers(first)]
    assert epochs[0] != epochs[1]
    again = data.dataset(patterns, PARAMS, 3, shuffle_seed=1)
    assert epochs == [_numbers(again), _numbers(again)]
    assert _numbers(data.dataset(patterns, PARAMS, 3, shuffle_seed=2)) != epochs[0]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))


def test_shuffling_keeps_each_label_with_its_spectrogram(patterns: list[str]) -> None:
    for mel_db, labels in data.dataset(patterns, PARAMS, 3, shuffle_seed=1):
        np.testing.assert_array_equal(np.round(-2 * mel_db[:, 0, 0]) % 3, labels)


def test_loaded_clips_are_the_streams(patterns: list[str]) -> None:
    clips = data.load(patterns, PARAMS)
    assert clips.inputs.dtype == np.float16
    expected = [_clip(number) for number in range(10)]
    np.testing.assert_array_equal(clips.inputs, [clip.mel_db for clip in expected])
    assert clips.labels.tolist() == [clip.label for clip in expected]


def test_a_limit_takes_the_same_clips_loaded_and_streamed(patterns: list[str]) -> None:
    loaded = data.load(patterns, PARAMS, limit=4, seed=7)
    numbers = [round(-2 * float(clip[0, 0])) for clip in loaded.inputs]
    assert len(set(numbers)) == 4
    assert loaded.labels.tolist() == [number % 3 for number in numbers]
    streamed = _numbers(data.dataset(patterns, PARAMS, 3, shuffle_seed=7, limit=4))
    assert sorted(streamed) == sorted(numbers)


def test_a_limit_above_what_there_is_takes_all(patterns: list[str]) -> None:
    assert len(data.load(patterns, PARAMS, limit=11)) == 10


def test_examples_keep_their_track_ids(patterns: list[str]) -> None:
    batches = list(data.examples(patterns, PARAMS, 6))
    found = np.concatenate([batch["track_id"].numpy() for batch in batches])
    assert found.tolist() == [f"track-{number // 2}".encode() for number in range(10)]
    assert batches[0]["mel_db"].shape == (6, PARAMS.n_mels, PARAMS.frames)


def test_labels_and_the_count_need_no_spectrograms(patterns: list[str]) -> None:
    assert data.labels(patterns).tolist() == [number % 3 for number in range(10)]
    assert data.count_examples(patterns) == 10


def test_compressed_files_are_known_by_their_names(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, [[0, 1], [2]], suffix=".gz")
    assert _numbers(data.dataset(patterns, PARAMS, 2)) == [0, 1, 2]


def test_compressed_and_plain_files_together_are_refused(tmp_path: pathlib.Path) -> None:
    _write(tmp_path, [[0]])
    patterns = _write(tmp_path, [[1]], suffix=".gz")
    with pytest.raises(DataError, match=r"some files end in \.gz"):
        data.count_examples(patterns)


def test_an_empty_split_is_empty_not_an_error_of_tensorflow(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, [[]])
    assert data.count_examples(patterns) == 0
    assert len(data.labels(patterns)) == 0
    assert len(data.load(patterns, PARAMS)) == 0
    assert list(data.dataset(patterns, PARAMS, 4, shuffle_seed=1, limit=3)) == []


def test_a_pattern_without_files_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"no files match .*Split-train"):
        data.dataset([f"{tmp_path}/Split-train/*"], PARAMS, 4)


def test_a_file_cut_short_is_told_in_words(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, [[0, 1]])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match="cut short"):
        data.load(patterns, PARAMS)


def test_a_stray_text_file_is_told_in_words(tmp_path: pathlib.Path) -> None:
    patterns = _write(tmp_path, [[0, 1]])
    (tmp_path / "notes.txt").write_text("some words that are no record at all")
    with pytest.raises(DataError, match="no TFRecord"):
        data.labels(patterns)


def test_spectrograms_of_other_parameters_are_refused(patterns: list[str]) -> None:
    other = dataclasses.replace(PARAMS, n_mels=16)
    with pytest.raises(DataError, match="another size"):
        data.load(patterns, other)


@hypothesis.given(
    labels=st.lists(st.integers(0, 4), max_size=60),
    limit=st.integers(1, 70),
    seed=st.integers(-(2**63), 2**63),
)
def test_a_balanced_subset_takes_from_each_label_in_turn(
    labels: list[int], limit: int, seed: int
) -> None:
    chosen = data.balanced_subset(np.array(labels, np.int64), limit, seed).tolist()
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
    first = data.balanced_subset(labels, 30, 0)
    np.testing.assert_array_equal(first, data.balanced_subset(labels, 30, 0))
    assert not np.array_equal(first, data.balanced_subset(labels, 30, 1))
    # Spread over the whole split, not its beginning.
    assert first[0] < 60
    assert first[-1] > 240
