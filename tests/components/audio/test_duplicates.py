"""The same audio is found under other names, tags and formats; similar audio is not."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest
import soundfile

from components.audio.decoding.clip_reader import read_clips
from components.audio.duplicates import find_duplicates
from components.audio.params import AudioParams

PARAMS = AudioParams(clip_seconds=0.5, clips_per_track=2)


def _noise(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 22050)).astype(np.float32)


def _entry(path: pathlib.Path, first: int) -> tuple[str, str, str]:
    """Return a track's entry, with clips that start at its own offsets."""
    clips = read_clips(path, PARAMS, lambda samples: [first, samples - PARAMS.clip_samples])
    return path.name, str(path), clips.fingerprint


def _found(*paths: pathlib.Path) -> dict[str, str]:
    entries = [_entry(path, 1000 * index) for index, path in enumerate(paths)]
    found = find_duplicates(entries)
    assert find_duplicates(reversed(entries)) == found
    return found


def test_copies_re_tagged_files_and_other_lossless_formats_are_the_same_audio(
    tmp_path: pathlib.Path,
) -> None:
    pcm = (_noise() * 20000).astype(np.int16)
    soundfile.write(tmp_path / "b.wav", pcm, 22050)
    soundfile.write(tmp_path / "a.flac", pcm, 22050)
    shutil.copy(tmp_path / "b.wav", tmp_path / "c.wav")
    soundfile.write(tmp_path / "d.mp3", _noise(12, seed=1), 22050)
    tagged = (tmp_path / "d.mp3").read_bytes() + b"TAG" + b"\0" * 125
    (tmp_path / "e.mp3").write_bytes(tagged)
    paths = [tmp_path / name for name in ("b.wav", "a.flac", "c.wav", "d.mp3", "e.mp3")]
    assert _found(*paths) == {"b.wav": "a.flac", "c.wav": "a.flac", "e.mp3": "d.mp3"}


@pytest.mark.parametrize("changed", [0, 22050 + 100, 4 * 22050 - 1])
def test_one_changed_sample_anywhere_is_another_audio(tmp_path: pathlib.Path, changed: int) -> None:
    samples = _noise()
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    samples[changed] += 0.001
    soundfile.write(tmp_path / "b.wav", samples, 22050, subtype="FLOAT")
    assert _found(tmp_path / "a.wav", tmp_path / "b.wav") == {}


def test_the_same_samples_at_another_rate_or_with_more_after_them_are_another_audio(
    tmp_path: pathlib.Path,
) -> None:
    samples = _noise()
    soundfile.write(tmp_path / "a.wav", samples, 22050)
    soundfile.write(tmp_path / "b.wav", samples, 44100)
    soundfile.write(tmp_path / "c.wav", np.concatenate([samples, samples[:1]]), 22050)
    assert _found(*(tmp_path / f"{name}.wav" for name in "abc")) == {}


def test_the_fingerprint_is_that_of_the_audio_and_not_of_the_way_it_was_read(
    tmp_path: pathlib.Path,
) -> None:
    soundfile.write(tmp_path / "a.mp3", _noise(12), 44100, bitrate_mode="VARIABLE")
    prints = {
        read_clips(
            tmp_path / "a.mp3",
            PARAMS,
            lambda _, s=start: [s],
            strict=strict,  # type: ignore[misc]
        ).fingerprint
        for start in (0, 20_000, 60_000)
        for strict in (False, True)
    }
    assert len(prints) == 1


def test_tracks_that_no_longer_decode_are_nobodys_duplicate(tmp_path: pathlib.Path) -> None:
    gone = str(tmp_path / "gone.wav")
    assert find_duplicates([("a", gone, "f"), ("b", gone, "f")]) == {}
    assert find_duplicates([]) == {}
