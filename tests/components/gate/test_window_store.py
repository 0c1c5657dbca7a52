"""Windows as they are kept: rounding, keys, and damaged files."""

from __future__ import annotations

import dataclasses
import pathlib

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from components.audio.decoding.clip_reader import WindowShape
from components.audio.params import AudioParams
from components.audio.spectrogram import mel
from components.examples.sources import Source
from components.gate.window_store import Windows, WindowStore

SHAPE = WindowShape(8000, 16)
SOURCE = Source("t1", "/music/a.mp3", 1000, 5)
STRETCHES = [(1.0, 3.0), (5.5, 7.5)]


def _store(folder: pathlib.Path, **changes: object) -> WindowStore:
    arguments = {"shape": SHAPE, "strict": False, "code": "c1", **changes}
    return WindowStore(str(folder), **arguments)  # type: ignore[arg-type]


@given(
    hnp.arrays(np.float32, (2, 16), elements=st.floats(-1e6, 1e6, width=32)).filter(
        lambda rows: bool((np.abs(rows).max(axis=1) > 1e-3).all())
    )
)
def test_rounding_errors_are_98_db_below_each_windows_peak(
    rows: np.ndarray,
) -> None:
    found = Windows.of(rows).waveforms()
    assert found.dtype == np.float32
    limit = np.abs(rows).max(axis=1, keepdims=True) * (0.5 / 32767 + 1e-6)
    assert (np.abs(found - rows) <= limit).all()


def test_a_spectrogram_hardly_changes_down_to_its_floor() -> None:
    params = AudioParams()
    times = np.arange(params.clip_samples) / params.sample_rate_hz
    rng = np.random.default_rng(0)
    tones = sum(0.3**n * np.sin(2 * np.pi * 220 * 2**n * times) for n in range(6))
    quiet = (1e-3 * (tones + rng.normal(0, 1e-3, len(times)))).astype(np.float32)
    rounded = Windows.of(quiet[None]).waveforms()
    change = np.abs(mel.log_mel(rounded, params) - mel.log_mel(quiet[None], params))
    assert change.max() < 0.2
    assert change.mean() < 0.005


def test_windows_are_found_by_all_that_they_depend_on(tmp_path: pathlib.Path) -> None:
    windows = Windows.of(np.random.default_rng(0).normal(0, 1, (2, 16)).astype(np.float32))
    store = _store(tmp_path)
    path = store.path(SOURCE, STRETCHES)
    assert store.get(path) is None
    store.put(path, windows)
    kept = _store(tmp_path).get(_store(tmp_path).path(SOURCE, STRETCHES))
    assert kept is not None
    np.testing.assert_array_equal(kept.waveforms(), windows.waveforms())
    others = {
        store.path(SOURCE, STRETCHES[:1]),
        *(
            store.path(dataclasses.replace(SOURCE, **change), STRETCHES)
            for change in ({"uri": "/music/b.mp3"}, {"size_bytes": 1}, {"version": 6})
        ),
        *(
            _store(tmp_path, **change).path(SOURCE, STRETCHES)
            for change in (
                {"shape": WindowShape(4000, 16)},
                {"shape": WindowShape(8000, 17)},
                {"strict": True},
                {"code": "c2"},
            )
        ),
    }
    assert len(others | {path}) == 9
    # Contents alone identify a file of strict decoding.
    strict = _store(tmp_path, strict=True)
    moved = dataclasses.replace(SOURCE, uri="/elsewhere/a.mp3")
    assert strict.path(moved, STRETCHES) == strict.path(SOURCE, STRETCHES)


@pytest.mark.parametrize("damage", ["cut", "empty", "other shape", "nothing"])
def test_damaged_files_count_as_missing(tmp_path: pathlib.Path, damage: str) -> None:
    store = _store(tmp_path)
    path = store.path(SOURCE, STRETCHES)
    assert path is not None
    rows = np.ones((2, 15 if damage == "other shape" else 16), np.float32)
    windows = Windows.none("") if damage == "nothing" else Windows.of(rows)
    store.put(path, windows)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "empty":
        path.write_bytes(b"")
    assert store.get(path) is None


def test_a_song_that_cannot_be_heard_is_kept_as_such(tmp_path: pathlib.Path) -> None:
    store = _store(tmp_path)
    path = store.path(SOURCE, STRETCHES)
    store.put(path, Windows.none("too_short"))
    kept = store.get(path)
    assert kept is not None
    assert (kept.unheard, len(kept.peaks)) == ("too_short", 0)


def test_without_a_folder_nothing_is_kept(tmp_path: pathlib.Path) -> None:
    store = WindowStore("", SHAPE, strict=False, code="")
    path = store.path(SOURCE, STRETCHES)
    assert path is None
    store.put(path, Windows.none("too_short"))
    assert store.get(path) is None
