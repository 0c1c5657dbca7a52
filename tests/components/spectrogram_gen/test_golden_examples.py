"""Every generation of libraries writes the same examples, byte for byte.

The sounds are made of whole numbers and stored without loss, so nothing but the code under test,
soxr and libsndfile decides about the bytes. A digest changes with the format of the examples, the
front ends or the choice of clips; the failing test shows the digest to put here.
"""

from __future__ import annotations

import hashlib
import pathlib

import numpy as np
import pytest
import soundfile

from components.audio.front_ends.registry import FRONT_ENDS
from components.audio.params import AudioParams
from components.datasets.track import Track
from components.spectrogram_gen.shards import Shard, WriteOptions, shard_path, write_shard

# Name, rate and channels of each file: as the examples are, halved, by an uneven ratio, and coarse.
FILES = (
    ("a.wav", 22050, 1),
    ("b.flac", 44100, 2),
    ("c.wav", 48000, 2),
    ("d.flac", 8000, 1),
)
DIGESTS = {
    "mel_db": "85fcc8b379f294a2cb370acb9791ca3016235e3eff52025af60cfd982f1dbba3",
    "musicnn": "cc746d5342578ef0db4b158a5661d5d92ffba6f1b90131edb52d4e5521725db6",
}


def _sound(seed: int, rate_hz: int, channels: int) -> np.ndarray:
    """Return int16 `[samples, channels]`, 4 s of a rising saw and noise, by whole numbers alone."""
    index = np.arange(4 * rate_hz, dtype=np.int64)
    saw = (index * (200 + 100 * seed) + index * index // 997) % rate_hz * 16384 // rate_hz - 8192
    noise = (index * 1103515245 + 12345 * (seed + 1)) % 2147483648 // 65536 % 4096 - 2048
    return np.stack([saw // (1 + part) + noise for part in range(channels)], axis=1).astype("<i2")


@pytest.mark.parametrize("front_end", sorted(FRONT_ENDS))
def test_a_shard_has_the_same_bytes_everywhere(front_end: str, tmp_path: pathlib.Path) -> None:
    params = AudioParams.of_front_end(front_end)
    tracks = []
    for seed, (name, rate_hz, channels) in enumerate(FILES):
        soundfile.write(tmp_path / name, _sound(seed, rate_hz, channels), rate_hz)
        tracks.append(Track(name[0], str(tmp_path / name), ("Folk", "Rock")[seed % 2], "artist"))
    splits = ("train",) * params.clips_per_track
    shard = Shard(0, 1, ("train",), tuple((track, splits) for track in tracks))
    result = write_shard(shard, WriteOptions(params, ("Folk", "Rock"), 0, str(tmp_path / "out")))
    assert result.clips["train"] == len(FILES) * params.clips_per_track
    written = pathlib.Path(shard_path(str(tmp_path / "out"), "train", 0, 1)).read_bytes()
    assert hashlib.sha256(written).hexdigest() == DIGESTS[front_end]
