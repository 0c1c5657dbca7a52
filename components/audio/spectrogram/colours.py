"""Spectrograms as coloured pictures: viridis, 256 steps over the dynamic range.

Its twin inside a graph is `components.models.preprocessing.ColourMap`, equal bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB

STEPS = 256

# Each step is 80 / 256 = 0.3125 dB wide. Multiply by the inverse in float32 everywhere; another
# order of operations may pick a neighbouring colour at the edge of a step.
STEPS_PER_DB = np.float32(STEPS / DYNAMIC_RANGE_DB)

# viridis as matplotlib quantises it (floor(255 * x)), red green blue, two hex digits each.
# By Nathaniel Smith and Stefan van der Walt, dedicated to the public domain (CC0).
_VIRIDIS_HEX = (
    "44015444025544035745055845065a45085b46095c460b5e460c5f460e61470f62471163471265471466471567"
    "47166947186a48196b481a6c481c6e481d6f481e70482071482172482273482374472575472676472777472878"
    "472a79472b7a472c7b462d7c462f7c46307d46317e45327f45347f453580453681443781443982433a83433b83"
    "433c84423d84423e854240854141864142864043874044873f45873f47883e48883e49893d4a893d4b893d4c89"
    "3c4d8a3c4e8a3b508a3b518a3a528b3a538b39548b39558b38568b38578c37588c37598c365a8c365b8c355c8c"
    "355d8c345e8d345f8d33608d33618d32628d32638d31648d31658d31668d30678d30688d2f698d2f6a8d2e6b8e"
    "2e6c8e2e6d8e2d6e8e2d6f8e2c708e2c718e2c728e2b738e2b748e2a758e2a768e2a778e29788e29798e287a8e"
    "287a8e287b8e277c8e277d8e277e8e267f8e26808e26818e25828e25838d24848d24858d24868d23878d23888d"
    "23898d22898d228a8d228b8d218c8d218d8c218e8c208f8c20908c20918c1f928c1f938b1f948b1f958b1f968b"
    "1e978a1e988a1e998a1e998a1e9a891e9b891e9c891e9d881e9e881e9f881ea0871fa1871fa2861fa38620a485"
    "20a58521a68521a78422a78423a88323a98224aa8225ab8126ac8127ad8028ae7f29af7f2ab07e2bb17d2cb17d"
    "2eb27c2fb37b30b47a32b57a33b67935b77836b87738b97639b9763bba753dbb743ebc7340bd7242be7144be70"
    "45bf6f47c06e49c16d4bc26c4dc26b4fc36951c46853c56755c66657c66559c7645bc8625ec96160c96062ca5f"
    "64cb5d67cc5c69cc5b6bcd596dce5870ce5672cf5574d05477d05279d1517cd24f7ed24e81d34c83d34b86d449"
    "88d5478bd5468dd64490d64392d74195d73f97d83e9ad83c9dd93a9fd938a2da37a5da35a7db33aadb32addc30"
    "afdc2eb2dd2cb5dd2bb7dd29bade27bdde26bfdf24c2df22c5df21c7e01fcae01ecde01dcfe11cd2e11bd4e11a"
    "d7e219dae218dce218dfe318e1e318e4e318e7e419e9e419ece41aeee51bf1e51cf3e51ef6e61ff8e621fae622"
    "fde724"
)


def _table() -> npt.NDArray[np.uint8]:
    table = np.frombuffer(bytes.fromhex(_VIRIDIS_HEX), np.uint8).reshape(STEPS, 3)
    table.flags.writeable = False
    return table


VIRIDIS: npt.NDArray[np.uint8] = _table()
"""uint8 `[256, 3]`, red green blue, from -80 dB (dark violet) to 0 dB (yellow)."""


def to_rgb(mel_db: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Return a spectrogram as a picture, low frequencies at the bottom.

    Row 0 of the picture is the highest mel band; columns are frames in time order. The colour
    of a level is step floor((level + 80) * 256 / 80). Levels outside [-80, 0] get the colour
    of the nearer end.

    Args:
      mel_db: `[..., n_mels, frames]` in dB, finite.

    Returns:
      uint8 `[..., n_mels, frames, 3]`.

    Raises:
      ValueError: fewer than two axes, or a level that is not finite.
    """
    if mel_db.ndim < 2:
        raise ValueError(f"mel_db must have shape [..., n_mels, frames], not {mel_db.shape}")
    if not np.isfinite(mel_db).all():
        raise ValueError("mel_db has levels that are not finite")
    level_db = mel_db.astype(np.float32)
    steps = np.floor((level_db + np.float32(DYNAMIC_RANGE_DB)) * STEPS_PER_DB)
    index = np.clip(steps, 0, STEPS - 1).astype(np.int32)
    picture: npt.NDArray[np.uint8] = VIRIDIS[np.flip(index, axis=-2)]
    return picture
