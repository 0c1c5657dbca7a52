"""The parser reads what the writer writes, and refuses spectrograms of the wrong size."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.audio.params import AudioParams
from components.examples import parser, schema
from components.examples.writer import Clip, serialize

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=64, hop_samples=32, n_mels=8, clip_seconds=0.0125
)
SHAPE = (8, 4)


def clip(seed: int = 0, **changes: object) -> Clip:
    mel_db = np.random.default_rng(seed).integers(0, 40961, SHAPE, np.uint16)
    made = Clip("fma:000002", "artist 1", "Hip-Hop", 3, 1, 12.5, mel_db)
    return dataclasses.replace(made, **changes)


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    track_id=texts,
    artist_id=texts,
    genre=texts,
    label=st.integers(0, 2**63 - 1),
    index=st.integers(0, 2**63 - 1),
    start_s=st.floats(0, 3600, width=32),
    seed=st.integers(0, 2**32),
)
def test_round_trip(
    track_id: str, artist_id: str, genre: str, label: int, index: int, start_s: float, seed: int
) -> None:
    mel_db = clip(seed).mel_db
    written = Clip(track_id, artist_id, genre, label, index, start_s, mel_db)
    read = parser.parse(tf.constant([serialize(written, PARAMS)]), PARAMS)
    assert read["track_id"].numpy()[0].decode() == track_id
    assert read["artist_id"].numpy()[0].decode() == artist_id
    assert read["genre"].numpy()[0].decode() == genre
    assert int(read["label"][0]) == label
    assert int(read["clip_index"][0]) == index
    assert float(read["clip_start_s"][0]) == start_s
    assert read["mel_db"].dtype == tf.float32
    np.testing.assert_array_equal(read["mel_db"].numpy()[0], mel_db / 512 - 80)


def test_a_batch_keeps_its_order() -> None:
    clips = [clip(seed, clip_index=seed) for seed in range(5)]
    read = parser.parse(tf.constant([serialize(c, PARAMS) for c in clips]), PARAMS)
    assert read["clip_index"].numpy().tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(
        read["mel_db"].numpy(), np.stack([c.mel_db / 512 - 80 for c in clips])
    )


def test_an_empty_batch() -> None:
    read = parser.parse(tf.constant([], tf.string), PARAMS)
    assert read["mel_db"].shape == (0, *SHAPE)


def test_the_same_clip_is_the_same_bytes_and_holds_nothing_else() -> None:
    serialized = serialize(clip(), PARAMS)
    assert serialized == serialize(clip(), PARAMS)
    features = tf.train.Example.FromString(serialized).features.feature
    assert set(features) == {
        "track_id", "artist_id", "genre", "label", "clip_index", "clip_start_s", "mel_db"
    }  # fmt: skip
    stored = features["mel_db"].bytes_list.value[0]
    assert len(stored) == PARAMS.mel_bytes == 64
    # Little-endian, band by band.
    np.testing.assert_array_equal(np.frombuffer(stored, "<u2").reshape(SHAPE), clip().mel_db)


def test_arrays_in_any_memory_order_or_byte_order_are_written_alike() -> None:
    mel_db = clip().mel_db
    expected = serialize(clip(), PARAMS)
    for same in (np.asfortranarray(mel_db), np.repeat(mel_db, 2, axis=1)[:, ::2]):
        assert serialize(clip(mel_db=same), PARAMS) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 5), np.uint16),
        np.zeros((8, 3), np.uint16),
        np.zeros((4, 8), np.uint16),
        np.zeros((32,), np.uint16),
        np.zeros(SHAPE, np.float32),
    ],
)
def test_the_writer_refuses_another_shape_or_dtype_and_names_the_clip(
    wrong: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
) -> None:
    with pytest.raises(ValueError, match=r"'fma:000002' clip 1: mel_db is .* not uint16 \(8, 4\)"):
        serialize(clip(mel_db=wrong), PARAMS)


def with_mel_bytes(content: bytes) -> bytes:
    example = tf.train.Example.FromString(serialize(clip(), PARAMS))
    example.features.feature[schema.MEL_DB].bytes_list.value[0] = content
    return example.SerializeToString()


@pytest.mark.parametrize(
    "sizes", [[63], [65], [62], [66], [0], [32, 32], [128], [64, 62], [64, 128]]
)
def test_the_parser_refuses_every_other_size(sizes: list[int]) -> None:
    batch = tf.constant([with_mel_bytes(b"\0" * size) for size in sizes])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"needs 64 bytes, uint16 \[8, 4\]"):
        parser.parse(batch, PARAMS)


def test_the_parser_refuses_two_half_pictures_inside_a_graph_too() -> None:
    # decode_raw and a reshape alone would merge them into one spectrogram.
    graph = tf.function(
        lambda serialized: parser.parse(serialized, PARAMS)["mel_db"],
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(tf.constant([with_mel_bytes(b"\0" * 32)] * 2))


@pytest.mark.parametrize(
    "name", ["track_id", "artist_id", "genre", "label", "clip_index", "mel_db"]
)
def test_a_missing_feature_is_named(name: str) -> None:
    example = tf.train.Example.FromString(serialize(clip(), PARAMS))
    del example.features.feature[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=name):
        parser.parse(tf.constant([example.SerializeToString()]), PARAMS)


@pytest.mark.parametrize(("evaluation_clips", "last"), [(None, 3), (2, 3), (9, 8), ("all", 299)])
def test_the_schema_knows_the_indices_of_the_clips_of_all_splits(
    evaluation_clips: Any, last: int
) -> None:
    params = AudioParams(evaluation_clips=evaluation_clips)
    text = schema.tfmd_schema_text(("Folk", "Rock"), params)
    (bounds,) = re.findall(r'name: "clip_index".*?int_domain \{(.*?)\}', text, re.DOTALL)
    assert [int(bound) for bound in re.findall(r"max: (\d+)", bounds)] == [last]
