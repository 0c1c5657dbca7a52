"""DataCheck finds every kind of invalid example."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.audio.params import AudioParams
from components.data_check import check
from components.examples.writer import Clip, serialize

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
GENRES = ["Folk", "Rock"]


def _record(
    track: str, label: int, *, genre: str | None = None, index: int = 0, artist: str = ""
) -> bytes:
    return serialize(
        Clip(
            track_id=track,
            artist_id=artist,
            genre=GENRES[label] if genre is None else genre,
            label=label,
            clip_index=index,
            clip_start_s=0.0,
            mel_db=np.zeros((PARAMS.n_mels, PARAMS.frames), np.uint16),
        ),
        PARAMS,
    )


def _good() -> dict[str, list[bytes]]:
    return {
        "train": [_record("a", 0), _record("a", 0, index=1), _record("b", 1)],
        "validation": [_record("c", 0)],
        "test": [_record("d", 1)],
    }


def _problems(
    splits: dict[str, list[bytes]], *, leaky: bool = False, artists_apart: bool = True
) -> list[str]:
    return check.scan_examples(
        splits, GENRES, PARAMS, leaky=leaky, artists_apart=artists_apart
    ).problems


def test_examples_in_order_are_counted() -> None:
    findings = check.scan_examples(_good(), GENRES, PARAMS, leaky=False, artists_apart=True)
    assert findings.problems == []
    assert findings.clips == {"train": 3, "validation": 1, "test": 1}
    assert findings.tracks == {"train": 2, "validation": 1, "test": 1}


def test_a_swapped_label_is_found() -> None:
    splits = _good()
    splits["test"] = [_record("d", 0, genre="Rock")]
    assert _problems(splits) == ["test: track 'd' clip 0: label 0 is not that of 'Rock'"]


def test_an_unknown_genre_is_found() -> None:
    splits = _good()
    splits["validation"] = [_record("c", 0, genre="Jazz")]
    (problem,) = _problems(splits)
    assert "unknown genre 'Jazz'" in problem


def test_a_track_in_two_splits_is_found_unless_the_policy_leaks() -> None:
    splits = _good()
    splits["test"].append(_record("a", 0, index=2))
    assert _problems(splits) == ["track 'a' is in train and in test"]
    assert _problems(splits, leaky=True) == []


@pytest.mark.parametrize("spelling", ["Björk", "bj\u00f6rk ", "BJO\u0308RK"])
def test_an_artist_in_two_splits_is_found_once_where_the_policy_promised_none(
    spelling: str,
) -> None:
    splits = _good()
    splits["train"].append(_record("e", 0, artist="Björk"))
    splits["test"] += [_record("f", 0, artist=spelling, index=i) for i in range(3)]
    assert _problems(splits) == [f"artist {spelling!r} is in train and in test: track 'f'"]
    assert _problems(splits, artists_apart=False) == []


def test_artists_on_one_side_and_tracks_without_one_are_in_order() -> None:
    splits = _good()
    splits["train"] += [_record("e", 0, artist="a"), _record("f", 1, artist="a")]
    splits["test"].append(_record("g", 1, artist="b"))
    assert _problems(splits) == []


def test_a_clip_twice_is_found() -> None:
    splits = _good()
    splits["train"].append(_record("b", 1))
    assert _problems(splits) == ["train: track 'b' clip 0: occurs twice"]


@pytest.mark.parametrize("size", [0, PARAMS.mel_bytes - 2, PARAMS.mel_bytes + 2])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_spectrogram_of_the_wrong_size_is_found_in_every_split(split: str, size: int) -> None:
    splits = _good()
    example = tf.train.Example.FromString(_record("d", 1))
    example.features.feature["mel_db"].bytes_list.value[0] = bytes(size)
    splits["test"] = []
    splits[split].append(example.SerializeToString())
    assert _problems(splits) == [
        f"{split}: track 'd' clip 0: spectrogram of {size} bytes, not {PARAMS.mel_bytes}"
    ]


@pytest.mark.parametrize("name", ["track_id", "label", "mel_db"])
def test_a_missing_feature_is_found(name: str) -> None:
    splits = _good()
    example = tf.train.Example.FromString(_record("d", 1))
    del example.features.feature[name]
    splits["test"] = [example.SerializeToString()]
    assert _problems(splits) == [f"test: an example lacks {name}"]


def test_a_genre_without_training_clips_is_found() -> None:
    splits = _good()
    splits["train"] = splits["train"][:2]
    assert _problems(splits) == ["genre 'Rock' has no training clip"]


def test_many_problems_are_cut_short() -> None:
    splits = _good()
    splits["test"] = [_record(f"d{i}", 0, genre="Rock") for i in range(100)]
    assert len(_problems(splits)) == check.MAX_FINDINGS


def test_anomalies_become_lines_that_name_split_and_feature() -> None:
    message = text_format.Parse(
        """anomaly_info { key: "genre" value {
             reason { description: "Examples contain values missing from the schema: Jazz" } } }""",
        anomalies_pb2.Anomalies(),
    )
    assert check.anomaly_lines({"train": anomalies_pb2.Anomalies(), "test": message}) == [
        "test: feature genre: Examples contain values missing from the schema: Jazz"
    ]
