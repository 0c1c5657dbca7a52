"""The clip store: hits, misses and damaged files."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
from hypothesis import given

from components.audio.params import AudioParams
from components.datasets.track import SplitName, Track
from components.spectrogram_gen import extract
from components.spectrogram_gen.extract import TrackMels
from components.spectrogram_gen.shards import Shard, WriteOptions, shard_path, write_shard
from components.spectrogram_gen.store import ClipStore

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5,
    clips_per_track=3,
)  # fmt: skip
ALL_HEARD = ("",) * PARAMS.clips_per_track
SHAPE = (PARAMS.clips_per_track, PARAMS.n_mels, PARAMS.frames)


def _store(directory: object, **changes: object) -> ClipStore:
    params = changes.pop("params", PARAMS)
    settings = {"clip_seed": 0, "strict": False, "code": "c1", **changes}
    return ClipStore(str(directory), params, **settings)  # type: ignore[arg-type]


@pytest.fixture
def track(tmp_path: pathlib.Path) -> Track:
    samples = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    return Track("a", str(tmp_path / "a.wav"), "Folk")


@given(
    mels=hnp.arrays(np.uint16, SHAPE, elements=st.integers(0, 40960)),
    starts=hnp.arrays(np.int64, SHAPE[:1], elements=st.integers(0, 2**40)),
)
def test_what_was_put_is_found_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, mels: np.ndarray, starts: np.ndarray
) -> None:
    store = _store(tmp_path_factory.mktemp("store"))
    store.put("00" * 20, TrackMels(starts, mels, ALL_HEARD, "0123456789abcdef"))
    found = store.get("00" * 20)
    assert found is not None
    np.testing.assert_array_equal(found.mels, mels)
    np.testing.assert_array_equal(found.starts, starts)
    assert found.fingerprint == "0123456789abcdef"
    assert found.left_out == ALL_HEARD
    assert store.get("11" * 20) is None


def test_clips_that_were_left_out_are_kept_with_their_reasons(tmp_path: pathlib.Path) -> None:
    store = _store(tmp_path)
    left_out = ("near_silent", "", "channels_cancel")
    store.put(
        "00" * 20, TrackMels(np.array([7]), np.ones((1, *SHAPE[1:]), np.uint16), left_out, "")
    )
    found = store.get("00" * 20)
    assert found is not None
    assert (found.left_out, found.indices, found.starts.tolist()) == (left_out, [1], [7])


def test_everything_that_the_clips_depend_on_changes_the_key(
    tmp_path: pathlib.Path, track: Track
) -> None:
    changed = dataclasses.replace(PARAMS, hop_samples=100)
    keys = {
        _store(tmp_path).key(track),
        _store(tmp_path, clip_seed=1).key(track),
        _store(tmp_path, strict=True).key(track),
        _store(tmp_path, code="c2").key(track),
        _store(tmp_path, params=changed).key(track),
        _store(tmp_path).key(dataclasses.replace(track, track_id="b")),
    }
    os.utime(track.uri, ns=(0, 1_000))
    keys.add(_store(tmp_path).key(track))
    assert len(keys) == 7
    assert None not in keys
    # The label is not part of the clips.
    assert _store(tmp_path).key(dataclasses.replace(track, genre="Rock")) in keys


def test_strict_looks_at_contents_alone(tmp_path: pathlib.Path, track: Track) -> None:
    store = _store(tmp_path, strict=True)
    before = store.key(track)
    os.utime(track.uri, ns=(0, 1_000))
    assert store.key(track) == before
    content = bytearray(pathlib.Path(track.uri).read_bytes())
    content[-1] ^= 1
    pathlib.Path(track.uri).write_bytes(bytes(content))
    assert store.key(track) != before


def test_no_store_and_no_file_keep_nothing(tmp_path: pathlib.Path, track: Track) -> None:
    assert _store("").key(track) is None
    assert _store("").get(None) is None
    _store("").put(
        None, TrackMels(np.zeros(3, np.int64), np.zeros(SHAPE, np.uint16), ALL_HEARD, "")
    )
    assert _store(tmp_path).key(dataclasses.replace(track, uri="/no/such.wav")) is None


@pytest.mark.parametrize(
    "damage",
    ["cut", "empty", "words", "other shape", "a clip too few", "a start too few", "reason"],
)
def test_a_damaged_entry_is_as_good_as_none(tmp_path: pathlib.Path, damage: str) -> None:
    store = _store(tmp_path)
    made = TrackMels(np.zeros(3, np.int64), np.zeros(SHAPE, np.uint16), ALL_HEARD, "f" * 16)
    if damage == "other shape":
        made = dataclasses.replace(made, mels=np.zeros((3, 2, 2), np.uint16))
    if damage == "a start too few":
        made = dataclasses.replace(made, starts=made.starts[1:])
    if damage == "a clip too few":
        made = dataclasses.replace(made, left_out=("", "", "near_silent"))
    if damage == "reason":
        made = dataclasses.replace(made, left_out=("", "", "", "mood"))
    store.put("ab" * 20, made)
    (path,) = tmp_path.rglob("*.npz")
    content = {"cut": path.read_bytes()[:200], "empty": b"", "words": b"not an archive"}
    if damage in content:
        path.write_bytes(content[damage])
    assert store.get("ab" * 20) is None


def test_a_second_writing_decodes_only_what_changed_and_gives_the_same_bytes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = []
    for index in range(4):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, np.random.default_rng(index).normal(0, 0.1, 16000), 8000)
        tracks.append(Track(str(index), str(path), "Folk"))
    splits: tuple[SplitName, ...] = ("train",) * 3
    shard = Shard(0, 1, ("train",), tuple((track, splits) for track in tracks))
    decoded: list[str] = []
    real = extract.read_track
    monkeypatch.setattr(
        extract,
        "read_track",
        lambda track, *a, **k: decoded.append(track.track_id) or real(track, *a, **k),
    )

    def write(name: str) -> tuple[int, bytes]:
        options = WriteOptions(
            PARAMS, ("Folk", "Rock"), 0, str(tmp_path / name), store=str(tmp_path / "s"), code="c"
        )
        result = write_shard(shard, options)
        path = shard_path(options.directory, "train", 0, 1)
        return result.tracks_decoded, pathlib.Path(path).read_bytes()

    count, first = write("one")
    assert (count, decoded) == (4, ["0", "1", "2", "3"])
    decoded.clear()
    assert write("two") == (0, first)
    assert decoded == []
    os.utime(tracks[2].uri, ns=(0, 1_000))
    assert write("three") == (1, first)
    assert decoded == ["2"]
