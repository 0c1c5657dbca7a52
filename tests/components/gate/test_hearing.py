"""Songs read for a serving model: from an object store, and by several decoders at once."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile

from components.audio.decoding.clip_reader import WindowShape
from components.audio.decoding.decode import resample
from components.audio.decoding.limits import DecodeLimits
from components.common.errors import DataError
from components.datasets.track import Track
from components.examples.sources import Source, Sources, source_of
from components.gate.hearing import Listening, hear
from components.storage import objects

SHAPE = WindowShape(6000, 3000)
STRETCHES = [(0.25, 1.25)]


def _sound(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, 16000).astype(np.float32)


def _wav(seed: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, _sound(seed), 8000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def _expected(seed: int) -> np.ndarray:
    whole = resample(_sound(seed), 8000, 6000)
    return np.stack([whole[1500:4500], whole[4500:7500]])


def _heard(sources: list[Source], store: str = "") -> dict[str, np.ndarray]:
    stretches = {source.track_id: STRETCHES for source in sources}
    listening = Listening(store, DecodeLimits(timeout_seconds=60))
    found = hear(stretches, Sources(False, tuple(sources)), SHAPE, listening)
    return {track_id: windows.waveforms() for track_id, windows in found}


def test_songs_come_in_their_order_whichever_decoder_is_done_first(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.gate.hearing.usable_cores", lambda: 3)
    sources = []
    for seed in (4, 2, 9, 1, 7, 3, 8):
        path = tmp_path / f"{seed}.wav"
        path.write_bytes(_wav(seed))
        source = source_of(Track(str(seed), str(path), ""), strict=False)
        assert source is not None
        sources.append(source)
    found = _heard(sources)
    assert list(found) == [source.track_id for source in sources]
    for name, windows in found.items():
        np.testing.assert_allclose(windows, _expected(int(name)), atol=1e-4)


def test_songs_in_an_object_store_are_downloaded_once_and_leave_no_files(
    s3: Any, bucket: str, tmp_path: pathlib.Path
) -> None:
    sources = []
    for seed in range(3):
        uri = f"s3://{bucket}/music/{seed}.wav"
        objects.write(uri, _wav(seed))
        source = source_of(Track(str(seed), uri, "", state=objects.find(uri)), strict=False)
        assert source is not None
        sources.append(source)
    store = str(tmp_path / "cache")
    first = _heard(sources, store)
    for name, windows in first.items():
        np.testing.assert_allclose(windows, _expected(int(name)), atol=1e-4)
    assert list((tmp_path / "cache" / "scratch").iterdir()) == []
    second = _heard(sources, store)
    assert all(np.array_equal(second[name], first[name]) for name in first)

    objects.write(sources[0].uri, _wav(7))
    objects.delete(sources[2].uri)
    with pytest.raises(DataError, match=r"files of 3 test tracks 1 changed and 1 missing since"):
        _heard(sources, store)
