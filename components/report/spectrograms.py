"""A clip's spectrogram as a picture with its axes, in the project's own colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.audio.front_ends.front_end import DYNAMIC_RANGE_DB
from components.audio.params import AudioParams
from components.audio.spectrogram import colours
from components.report.drawing import Picture, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH_INCHES, _HEIGHT_INCHES = 2.5, 2.2
_TICKS_HZ = (256, 512, 1024, 2048, 4096, 8192, 16384)


def spectrogram(
    name: str, mel_db: npt.NDArray[np.float32], params: AudioParams, what: str
) -> Picture:
    """Draw a spectrogram: time to the right, mel frequency upwards, level as colour.

    Args:
      name: of the picture's file.
      mel_db: float32 `[n_mels, frames]` in dB.
      params: audio parameters of the spectrogram.
      what: the clip in words, for readers who cannot see it.
    """
    rgb = colours.to_rgb(mel_db)
    bands = band_positions(_TICKS_HZ, params)
    shown = [
        (band, hz) for band, hz in zip(bands, _TICKS_HZ, strict=True) if 0 <= band <= params.n_mels
    ]

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.16, 0.19, 0.79, 0.77))
        extent = (0.0, params.clip_seconds, 0.0, float(params.n_mels))
        axes.imshow(rgb, extent=extent, aspect="auto", interpolation="nearest")
        axes.set_yticks(
            [band for band, _ in shown], [f"{hz / 1000:.1f}" for _, hz in shown], fontsize=7
        )
        axes.tick_params(axis="x", labelsize=7)
        axes.set_xlabel("seconds", fontsize=7, labelpad=1)
        axes.set_ylabel("kHz", fontsize=7, labelpad=1)

    png = draw(paint, width=_WIDTH_INCHES, height=_HEIGHT_INCHES, layout=None)
    return Picture(name, png, f"Spectrogram of {what}")


def band_positions(frequencies_hz: tuple[int, ...], params: AudioParams) -> list[float]:
    """Return the positions of frequencies on the axis of mel bands, from its lower edge.

    On the mel scale n + 2 points divide 0 Hz to half the sample rate evenly. Filter `i` is
    centred on point `i + 1` (librosa.filters.mel), and drawn from `i` to `i + 1`.
    """
    import librosa

    top = librosa.hz_to_mel(params.sample_rate_hz / 2)
    mels = librosa.hz_to_mel(np.array(frequencies_hz, float))
    return [float(place) for place in mels / top * (params.n_mels + 1) - 0.5]


def scale(params: AudioParams) -> Picture:
    """Draw the scale of colours that all spectrograms share."""
    zero = params.front.zero_db

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.06, 0.55, 0.88, 0.35))
        axes.imshow(colours.VIRIDIS[np.newaxis], extent=(-DYNAMIC_RANGE_DB, 0, 0, 1), aspect="auto")
        axes.set_yticks([])
        axes.tick_params(axis="x", labelsize=7.5)
        axes.set_xlabel(f"dB below {zero}", fontsize=7.5, labelpad=1)

    return Picture(
        "spectrogram_colours",
        draw(paint, width=3.2, height=0.6, layout=None),
        f"Colours of the spectrograms: dark violet is 80 dB below {zero}, yellow is that",
    )
