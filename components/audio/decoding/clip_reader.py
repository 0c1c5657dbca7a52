"""Reads a track's clips without decoding the rest of it.

Exact: the clips are those of the whole track decoded, resampled and cut. Where a file's
header does not tell the truth, or the clips cover most of it, the whole is decoded.

A compressed stream is entered ahead of the clip and what comes first is thrown away. In
an mp3 a frame's bits may lie up to 511 bytes back (ISO 11172-3, main_data_begin; 255 in
MPEG-2), and at the lowest rates these hold eight frames of 1,152 samples, or twenty of 576.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import soundfile

from components.audio.decoding.decode import (
    DecodeError,
    audio_digest,
    check_finite,
    check_length,
    opened,
    resample,
    to_mono,
)
from components.audio.params import AudioParams

# Samples decoded ahead of what is wanted, by format; formats that are not named are
# stored or predicted sample by sample and seek exactly.
WARM_UP_SAMPLES = {"MP3": 12 * 1152, "MPEG": 12 * 1152, "OGG": 8192}

# soxr's HQ filter reaches less than this many samples of the lower of the two rates to
# each side; with it a piece and the whole differ by less than 1e-5 (mostly 4e-7), which
# is how far two roundings of float32 are apart.
FILTER_SAMPLES = 512

# Where the wanted pieces cover more of the file than this, it is read in one go.
WHOLE_FROM = 0.7

# RMS of all clips together, against full scale.
SILENCE_DBFS = -60.0


@dataclasses.dataclass(frozen=True, eq=False)
class TrackClips:
    """`starts`: first sample of each clip, and `track_samples`, at the model's rate.
    `waveforms`: float32 `[clips, clip_samples]`. `fingerprint`: 16 hex digits, the same for
    files of the same audio, whatever their clips; see components.audio.duplicates."""

    starts: list[int]
    waveforms: npt.NDArray[np.float32]
    track_samples: int
    fingerprint: str


def read_clips(
    path: str | pathlib.Path,
    params: AudioParams,
    choose_starts: Callable[[int], list[int]],
    *,
    strict: bool = False,
) -> TrackClips:
    """Reads the clips that `choose_starts` names.

    Args:
      path: the audio file.
      params: the audio parameters.
      choose_starts: from the track's samples at the model's rate to the first sample of
        each clip; called with at least `params.clip_samples`.
      strict: decode the whole file even where seeking would do, so that damage between
        the clips is found.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, bad_sample_rate, too_short,
        too_long, truncated, near_silent or not_finite.
    """
    with opened(path) as audio:
        plan = _Plan(audio, params, choose_starts)
        clips = None if strict else plan.read_pieces()
        if clips is None:
            clips = plan.read_whole()
    check_finite(clips.waveforms)
    level = float(np.sqrt(np.mean(np.square(clips.waveforms, dtype=np.float64))))
    if level < 10 ** (SILENCE_DBFS / 20):
        shown = f"{20 * math.log10(level):.0f} dBFS" if level else "digital silence"
        raise DecodeError("near_silent", f"its clips are at {shown}")
    return clips


def resampled_length(samples: int, rate_hz: int, to_hz: int) -> int:
    """How many samples soxr makes of so many: the nearest whole number, halves up."""
    return (2 * samples * to_hz + rate_hz) // (2 * rate_hz)


class _Plan:
    """The reading of one opened file."""

    def __init__(
        self,
        audio: soundfile.SoundFile,
        params: AudioParams,
        choose_starts: Callable[[int], list[int]],
    ) -> None:
        self._audio = audio
        self._params = params
        self._choose_starts = choose_starts
        self._rate_hz = int(audio.samplerate)
        self._to_hz = params.sample_rate_hz
        divisor = math.gcd(self._rate_hz, self._to_hz)
        # So many samples of the file are exactly so many of the model's rate; a piece that
        # starts at a multiple keeps the phase of the whole.
        self._in_step = self._rate_hz // divisor
        self._out_step = self._to_hz // divisor
        self._fingerprint = self._take_fingerprint()
        self._margin = FILTER_SAMPLES * max(1, -(-self._rate_hz // self._to_hz))

    def read_whole(self) -> TrackClips:
        """Decodes everything; the length is what came out, not what the header says."""
        claimed = self._audio.frames
        self._audio.seek(0)
        mono = to_mono(self._audio.read(dtype="float32", always_2d=True))
        check_length(len(mono), claimed, self._rate_hz)
        check_finite(mono)
        samples = resample(mono, self._rate_hz, self._to_hz)
        starts = self._starts(len(samples))
        length = self._params.clip_samples
        waveforms = np.stack([samples[start : start + length] for start in starts])
        return TrackClips(starts, waveforms, len(samples), self._fingerprint)

    def read_pieces(self) -> TrackClips | None:
        """Seeks to the clips; None where the whole has to be decoded instead."""
        frames = self._audio.frames
        warm_up = WARM_UP_SAMPLES.get(self._audio.format, 0)
        total = resampled_length(frames, self._rate_hz, self._to_hz)
        if total < self._params.clip_samples or not self._audio.seekable():
            return None
        starts = self._starts(total)
        pieces = [self._source(start, frames) for start in starts]
        unions = _unions([(max(0, first - warm_up), last) for first, last in pieces])
        if sum(last - first for first, last in unions) > WHOLE_FROM * frames:
            return None
        decoded = {}
        for first, last in unions:
            samples = self._read(first, last)
            if samples is None:
                return None
            decoded[first] = samples
        if unions[-1][1] < frames and not self._reaches(frames):
            return None
        waveforms = np.empty((len(starts), self._params.clip_samples), np.float32)
        for row, start, (first, last) in zip(waveforms, starts, pieces, strict=True):
            begin = max(union for union in decoded if union <= first)
            piece = decoded[begin][first - begin : last - begin]
            offset = start - first // self._in_step * self._out_step
            row[:] = resample(piece, self._rate_hz, self._to_hz)[offset : offset + len(row)]
        return TrackClips(starts, waveforms, total, self._fingerprint)

    def _take_fingerprint(self) -> str:
        """Of a quarter of a second, a quarter into the file. Taken first of all: what an
        mp3 decoder gives may differ in the last bit by what it did before."""
        frames, rate_hz = self._audio.frames, self._rate_hz
        first = frames // 4
        last = min(frames, first + rate_hz // 4)
        warm_up = min(first, WARM_UP_SAMPLES.get(self._audio.format, 0))
        samples = self._read(first - warm_up, last) if self._audio.seekable() else None
        # Without one it is compared whole with all others that have none.
        return "" if samples is None else audio_digest(samples[warm_up:], rate_hz)[:16]

    def _starts(self, track_samples: int) -> list[int]:
        if track_samples < self._params.clip_samples:
            seconds = track_samples / self._to_hz
            raise DecodeError(
                "too_short", f"{seconds:.2f} s; one clip is {self._params.clip_seconds:g} s"
            )
        return self._choose_starts(track_samples)

    def _source(self, start: int, frames: int) -> tuple[int, int]:
        """[first, last) of the file's samples that a clip at the model's rate needs."""
        steps = max(0, start // self._out_step - -(-self._margin // self._in_step))
        end = start + self._params.clip_samples
        last = -(-end * self._in_step // self._out_step) + self._margin
        return steps * self._in_step, min(frames, last)

    def _read(self, first: int, last: int) -> npt.NDArray[np.float32] | None:
        try:
            self._audio.seek(first)
            samples = self._audio.read(last - first, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            return None  # decoding in order may still go further
        return to_mono(samples) if len(samples) == last - first else None

    def _reaches(self, frames: int) -> bool:
        """Whether the file really goes on to the length that its header says."""
        return self._read(frames - 1, frames) is not None


def _unions(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping or touching pieces joined, in order."""
    unions: list[tuple[int, int]] = []
    for first, last in sorted(pieces):
        if unions and first <= unions[-1][1]:
            unions[-1] = (unions[-1][0], max(unions[-1][1], last))
        else:
            unions.append((first, last))
    return unions
