"""Reading of example files: their choice, their order, and errors about bad files."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from components.audio.params import AudioParams
from components.common.errors import DataError
from components.examples import reader
from components.examples.writer import Clip, serialize

PARAMS = AudioParams(
    sample_rate_hz=4000, fft_samples=256, hop_samples=128, n_mels=8, clip_seconds=0.25
)


def _example(number: int) -> bytes:
    mel_db = np.zeros((PARAMS.n_mels, PARAMS.frames), np.uint16)
    return serialize(Clip(f"t{number}", "", "folk", number, 0, 0.0, mel_db), PARAMS)


def _write(path: pathlib.Path, records: list[bytes], compression: str = "") -> None:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    _write(tmp_path / "part-0", [_example(number) for number in range(3)])
    _write(tmp_path / "part-1", [])
    _write(tmp_path / "part-2", [_example(3)])
    return tmp_path


def test_labels_come_by_file(folder: pathlib.Path) -> None:
    by_file = reader.labels(reader.find([f"{folder}/*"]))
    assert [labels.tolist() for labels in by_file] == [[0, 1, 2], [], [3]]
    assert {labels.dtype for labels in by_file} == {np.dtype(np.int64)}


def test_labels_of_many_long_files_stay_with_their_files(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CHECK_CLIPS", 2)
    for number in range(3, 15):
        _write(folder / f"part-{number:02d}", [_example(number)] * number)
    files = reader.find([f"{folder}/part-??"])
    expected = [[number] * number for number in range(3, 15)]
    assert [labels.tolist() for labels in reader.labels(files)] == expected


def test_files_are_sorted_and_counted_once(folder: pathlib.Path) -> None:
    files = reader.find([f"{folder}/part-2", f"{folder}/part-*"])
    assert [pathlib.Path(path).name for path in files.paths] == ["part-0", "part-1", "part-2"]
    assert files.bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert str(files) == f"{folder}/part-0 and 2 more"


def test_a_pattern_without_files_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"no files match .*Split-train"):
        reader.find([f"{tmp_path}/Split-train/*"])


def test_compressed_and_plain_files_together_are_refused(folder: pathlib.Path) -> None:
    _write(folder / "part-3.gz", [], "GZIP")
    with pytest.raises(DataError, match=r"some files end in \.gz"):
        reader.find([f"{folder}/*"])


def _flip(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("part-2", lambda content: content[:-5], "part-2: damaged, truncated"),
        ("part-2", lambda content: content[:20], "part-2: damaged, truncated"),
        # TensorFlow takes these for complete files.
        ("part-2", lambda content: content[:7], "part-2: truncated within a record"),
        ("part-0", lambda content: content + content[:11], "part-0: truncated within a record"),
        ("part-0", _flip, "part-0: damaged"),
        ("part-1", lambda _: b"some words that are no record", "part-1: .*no TFRecord"),
        ("part-1", None, "part-1: the file is missing"),
    ],
)
def test_what_is_wrong_is_told_with_the_files_name(
    folder: pathlib.Path, name: str, damage: Callable[[bytes], bytes] | None, message: str
) -> None:
    files = reader.find([f"{folder}/*"])
    path = folder / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        reader.labels(files)
    with pytest.raises(DataError, match=message):
        reader.check(files, PARAMS)
    if damage is None:
        with pytest.raises(DataError, match=message):
            _ = files.bytes


def test_a_damaged_compressed_file_is_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "part-0.gz"
    _write(path, [_example(0)], "GZIP")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-0\.gz: damaged"):
        reader.labels(reader.find([str(path)]))


def test_an_example_without_a_label_is_told(folder: pathlib.Path) -> None:
    _write(folder / "part-1", [tf.train.Example().SerializeToString()])
    with pytest.raises(DataError, match=r"part-1: an example lacks a feature"):
        reader.labels(reader.find([f"{folder}/*"]))


def test_a_spectrogram_of_another_size_is_told_where_its_size_matters(
    folder: pathlib.Path,
) -> None:
    short = tf.train.Example.FromString(_example(7))
    short.features.feature["mel_db"].bytes_list.value[0] = b"\\0" * (PARAMS.mel_bytes - 2)
    _write(folder / "part-1", [short.SerializeToString()])
    files = reader.find([f"{folder}/*"])
    reader.check(files)
    with pytest.raises(DataError, match=r"part-1: .*another size"):
        reader.check(files, PARAMS)


def test_other_errors_pass_where_the_files_are_sound(folder: pathlib.Path) -> None:
    files = reader.find([f"{folder}/*"])
    with (
        pytest.raises(tf.errors.ResourceExhaustedError, match="no memory"),
        reader.readable(files, PARAMS, clips=4),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")
    with (
        pytest.raises(DataError, match=r"part-0 and 2 more: 4 clips instead of 5"),
        reader.readable(files, PARAMS, clips=5),
    ):
        raise tf.errors.FailedPreconditionError(None, None, "fewer than promised")
