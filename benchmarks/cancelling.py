"""Loss of the mono mix against its channels: real stereo music, and music with a channel inverted.

    GENREFLOW_DATA=... python -m benchmarks.cancelling [--seconds 14]

The loss of a window of 2 seconds is the mean power of its channels over the power of their mean, in
dB. Channels in phase lose 0 dB, and two unrelated ones 3 dB. components.audio.levels treats windows
that lose over 9 dB as silent. The mp3s of FMA small are measured as they are, and with the right
channel inverted. Then the mono mix of each, and of one recording of each genre of GTZAN, is encoded
in several ways with the right channel inverted, after which the channels no longer cancel exactly.
"""

from __future__ import annotations

import io
import pathlib

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.shared import command
from components.audio.decoding.decode import resample, to_mono

WINDOW_SECONDS = 2
# Format, subtype and soundfile's compression level (0 is the best quality).
CODINGS = {
    "wav 16 bits": ("WAV", "PCM_16", None),
    "mp3": ("MP3", None, 0.5),
    "mp3, low": ("MP3", None, 0.9),
    "vorbis": ("OGG", "VORBIS", 0.6),
    "vorbis, low": ("OGG", "VORBIS", 1.0),
    "opus": ("OGG", "OPUS", 0.8),
    "opus, low": ("OGG", "OPUS", 0.95),
}
OPUS_RATE_HZ = 48000
Samples = npt.NDArray[np.float32]


def losses_db(samples: Samples, rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the loss of each whole window of `[samples, channels]`; infinite without a mix."""
    size = WINDOW_SECONDS * rate_hz
    windows = samples[: len(samples) // size * size].reshape(-1, size, samples.shape[1])
    channel_power = np.square(windows, dtype=np.float64).mean(axis=(1, 2))
    mix_power = np.square(windows.mean(axis=2, dtype=np.float64)).mean(axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(channel_power / mix_power))


def coded(samples: Samples, rate_hz: int, coding: str) -> tuple[Samples, int, float]:
    """Encode and decode samples. Return them with their rate, and the kbit/s."""
    file_format, subtype, level = CODINGS[coding]
    if subtype == "OPUS":
        samples, rate_hz = resample(samples, rate_hz, OPUS_RATE_HZ), OPUS_RATE_HZ
    options = {} if level is None else {"compression_level": level}
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=file_format, subtype=subtype, **options)
    kbit = len(buffer.getvalue()) * 8 / 1000 / (len(samples) / rate_hz)
    buffer.seek(0)
    decoded, rate_hz = soundfile.read(buffer, dtype="float32", always_2d=True)
    return decoded, rate_hz, kbit


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--seconds", type=int, default=14, help="of each recording")
    seconds = parser.parse_args().seconds
    gtzan = command.data_folder("gtzan", file="manifest.csv")
    recordings = [
        *command.fma_files(),
        *(min(folder.glob("*.wav")) for folder in sorted(gtzan.iterdir()) if folder.is_dir()),
    ]
    for path in command.fma_files():
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        _print(f"{path.name}, as it is", losses_db(samples, rate_hz))
        inverted = samples * np.array([1, -1], np.float32)
        _print(f"{path.name}, right channel inverted", losses_db(inverted, rate_hz))
    for coding in CODINGS:
        for path in recordings:
            _print(
                f"{path.name}, mono, inverted, {coding}", *_inverted_losses(path, seconds, coding)
            )


def _inverted_losses(
    path: pathlib.Path, seconds: int, coding: str
) -> tuple[npt.NDArray[np.float64], float]:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = 0.9 * to_mono(samples[: seconds * rate_hz])
    decoded, rate_hz, kbit = coded(np.stack([mono, -mono], axis=1), rate_hz, coding)
    return losses_db(decoded, rate_hz), kbit


def _print(name: str, losses: npt.NDArray[np.float64], kbit: float | None = None) -> None:
    size = "" if kbit is None else f"{kbit:.0f} kbit/s"
    print(f"{name:48} {size:>10}  {losses.min():6.1f} to {losses.max():.1f} dB")


if __name__ == "__main__":
    main()
