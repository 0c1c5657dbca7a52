"""Clips of a track, read without decoding the rest of the file.

The clips are exactly those of the whole track decoded, resampled and cut. If a file's header
is wrong, or the clips cover most of the file, the whole file is decoded: part by part for
consecutive windows, as prediction does (components.audio.decoding.streaming).

Decoding of a compressed stream starts ahead of the clip, and those first samples are
discarded. In an mp3 a frame's bits may lie up to 511 bytes back (ISO 11172-3,
main_data_begin; 255 in MPEG-2). At the lowest bit rates these hold eight frames of 1,152
samples, or twenty of 576.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from components.audio import levels
from components.audio.clips import cut
from components.audio.decoding.decode import (
    MAX_SECONDS,
    AudioFile,
    DecodeError,
    audio_digest,
    check_finite,
    opened,
    read_all,
    refuse,
    resample,
    to_mono,
)
from components.audio.decoding.faults import length_faults
from components.audio.decoding.ffmpeg import FFmpegFile
from components.audio.decoding.streaming import parts
from components.audio.front_ends.front_end import MAX_SAMPLE

# Samples to decode ahead of a piece, by format. Formats not listed here store or predict
# sample by sample and seek exactly.
WARM_UP_SAMPLES = {"MP3": 12 * 1152, "MPEG": 12 * 1152, "OGG": 8192}

# soxr's HQ filter reaches fewer than this many samples, at the lower of the two rates, to
# each side. With this margin a piece differs from the whole by less than 1e-5 (mostly 4e-7),
# as much as two float32 roundings do.
FILTER_SAMPLES = 512

# If the pieces cover a larger share of the file, the whole file is read at once.
MAX_PIECES_SHARE = 0.7

# Windows to decode at a time where a file is read part by part.
_PART_WINDOWS = 16


class ClipShape(Protocol):
    """Length of clips and their sample rate: AudioParams, or WindowShape."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def clip_samples(self) -> int: ...

    @property
    def clip_seconds(self) -> float: ...

    @property
    def max_sample(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class WindowShape:
    """Clips of a model of which nothing else is known; see ClipShape."""

    sample_rate_hz: int
    clip_samples: int
    max_sample: float = MAX_SAMPLE

    @property
    def clip_seconds(self) -> float:
        return self.clip_samples / self.sample_rate_hz


@dataclasses.dataclass(frozen=True, eq=False)
class TrackClips:
    """Clips of one track at the model's sample rate.

    Attributes:
      starts: first sample of each clip that counts.
      waveforms: float32 `[clips, clip_samples]`, those that count.
      left_out: for every chosen clip why it is left out, "" if it counts; see
        components.audio.levels.
      track_samples: length of the whole track in samples.
      fingerprint: 16 hex digits that depend on the file's audio and not on the clips, or ""
        if none could be taken; see components.audio.duplicates.
    """

    starts: list[int]
    waveforms: npt.NDArray[np.float32]
    left_out: tuple[str, ...]
    track_samples: int
    fingerprint: str


def read_clips(
    path: str | pathlib.Path,
    params: ClipShape,
    choose_starts: Callable[[int], list[int]],
    *,
    strict: bool = False,
    windows: bool = False,
) -> TrackClips:
    """Read the clips that `choose_starts` selects, and leave silent ones out.

    Args:
      path: the audio file.
      params: the sample rate and the length of the clips.
      choose_starts: maps the track's length in samples, at least `params.clip_samples`, to
        the first sample of each clip, both at the model's rate.
      strict: decode the whole file, so that damage between the clips is found.
      windows: all starts are multiples of `params.clip_samples`. Less memory is then needed to
        decode a whole file, and the samples are those that prediction gets.

    Raises:
      DecodeError: missing_file, empty_file, undecodable, bad_sample_rate, too_short,
        too_long, truncated, not_finite, or near_silent or channels_cancel if no clip counts.
    """
    with opened(path) as audio:
        plan = _Plan(audio, params, choose_starts)
        read = None if strict else plan.read_pieces()
        if read is None and not (windows and audio.seekable()):
            read = plan.read_whole()
    if read is None:
        read = plan.read_parts(path)
    check_finite(read.waveforms, params.max_sample)
    power = levels.power(read.waveforms)
    left_out = levels.reasons(power, read.cancelled)
    heard = [index for index, reason in enumerate(left_out) if reason == levels.HEARD]
    if not heard:
        raise DecodeError(*levels.refusal(left_out, power))
    starts = [read.starts[index] for index in heard]
    return TrackClips(starts, read.waveforms[heard], left_out, read.track_samples, plan.fingerprint)


def resampled_length(samples: int, rate_hz: int, to_hz: int) -> int:
    """Return the number of samples that soxr resamples to: rounded, halves up."""
    return (2 * samples * to_hz + rate_hz) // (2 * rate_hz)


@dataclasses.dataclass(frozen=True, eq=False)
class _Read:
    """All chosen clips as they were read.

    Attributes:
      starts, waveforms, track_samples: see TrackClips; silent clips too.
      cancelled: whether the channels cancel in each clip.
    """

    starts: list[int]
    waveforms: npt.NDArray[np.float32]
    cancelled: list[bool]
    track_samples: int


class _Plan:
    """Plan for reading one opened file."""

    def __init__(
        self,
        audio: AudioFile | FFmpegFile,
        params: ClipShape,
        choose_starts: Callable[[int], list[int]],
    ) -> None:
        self._audio = audio
        self._params = params
        self._choose_starts = choose_starts
        self._rate_hz = int(audio.samplerate)
        # 0 if unknown; then the file is not seekable, and is read as a whole.
        self._frames = audio.frames or 0
        self._to_hz = params.sample_rate_hz
        divisor = math.gcd(self._rate_hz, self._to_hz)
        # `_in_step` samples of the file are exactly `_out_step` samples at the model's rate. A
        # piece that starts at a multiple of `_in_step` keeps the phase of the whole.
        self._in_step = self._rate_hz // divisor
        self._out_step = self._to_hz // divisor
        self.fingerprint = self._take_fingerprint()
        self._margin = FILTER_SAMPLES * max(1, -(-self._rate_hz // self._to_hz))

    def read_whole(self) -> _Read:
        """Decode the whole file; the decoded length counts, not the header's."""
        claimed = self._frames
        if self._audio.seekable():
            self._audio.seek(0)
        samples = read_all(self._audio)
        refuse(length_faults(len(samples), claimed, self._rate_hz))
        mono = to_mono(samples)
        starts = self._starts(resampled_length(len(mono), self._rate_hz, self._to_hz))
        cancelled = [self._cancels(start, 0, samples, mono) for start in starts]
        del samples  # before more memory is needed
        check_finite(mono)
        if not self._audio.seekable():
            first = len(mono) // 4
            self.fingerprint = self._digest(mono[first : first + self._rate_hz // 4])
        resampled = resample(mono, self._rate_hz, self._to_hz)
        length = self._params.clip_samples
        waveforms = np.stack([resampled[start : start + length] for start in starts])
        return _Read(starts, waveforms, cancelled, len(resampled))

    def read_parts(self, path: str | pathlib.Path) -> _Read:
        """Decode the whole file part by part, and keep the chosen windows.

        At most an hour at the model's rate is in memory. The file is opened again, because
        reading it in one go needs another kind of access than seeking in it.
        """
        length = self._params.clip_samples
        found, cancelled, samples = [], [], 0
        for part in parts(path, self._to_hz, length, _PART_WINDOWS, max_seconds=MAX_SECONDS):
            refuse(part.faults)
            found.append(cut(part.samples, length))
            cancelled += part.cancelled
            samples += len(part.samples)
        starts = self._starts(samples)
        chosen = [start // length for start in starts]
        waveforms = np.concatenate(found)[chosen]
        return _Read(starts, waveforms, [cancelled[index] for index in chosen], samples)

    def read_pieces(self) -> _Read | None:
        """Seek to the clips and decode them; None if the whole file has to be decoded instead."""
        frames = self._frames
        warm_up = WARM_UP_SAMPLES.get(self._audio.format, 0)
        total = resampled_length(frames, self._rate_hz, self._to_hz)
        if total < self._params.clip_samples or not self._audio.seekable():
            return None
        starts = self._starts(total)
        pieces = [self._source(start, frames) for start in starts]
        spans = _merged([(max(0, first - warm_up), last) for first, last in pieces])
        if sum(last - first for first, last in spans) > MAX_PIECES_SHARE * frames:
            return None
        mono, cancelled = {}, [False] * len(starts)
        # All channels of one span at a time: fresh memory for each would cost a tenth of the time.
        for begin, end in spans:
            samples = self._read(begin, end)
            if samples is None:
                return None
            mono[begin] = to_mono(samples)
            for index, (first, _) in enumerate(pieces):
                if begin <= first < end:
                    cancelled[index] = self._cancels(starts[index], begin, samples, mono[begin])
            del samples
        if spans[-1][1] < frames and not self._reaches(frames):
            return None
        waveforms = np.empty((len(starts), self._params.clip_samples), np.float32)
        for row, start, (first, last) in zip(waveforms, starts, pieces, strict=True):
            begin = max(span for span in mono if span <= first)
            piece = mono[begin][first - begin : last - begin]
            offset = start - first // self._in_step * self._out_step
            row[:] = resample(piece, self._rate_hz, self._to_hz)[offset : offset + len(row)]
        return _Read(starts, waveforms, cancelled, total)

    def _take_fingerprint(self) -> str:
        """Return a digest of a quarter of a second, a quarter into the file.

        It is taken before anything else is decoded, because an mp3 decoder's output may differ
        in the last bit by what it decoded before. Of a file that cannot seek it is taken later.
        """
        frames, rate_hz = self._frames, self._rate_hz
        first = frames // 4
        last = min(frames, first + rate_hz // 4)
        warm_up = min(first, WARM_UP_SAMPLES.get(self._audio.format, 0))
        samples = self._read(first - warm_up, last) if self._audio.seekable() else None
        # Files without a fingerprint are compared with each other as a whole.
        return "" if samples is None else self._digest(to_mono(samples[warm_up:]))

    def _digest(self, mono: npt.NDArray[np.float32]) -> str:
        return audio_digest(mono, self._rate_hz)[:16]

    def _starts(self, track_samples: int) -> list[int]:
        if track_samples < self._params.clip_samples:
            seconds = track_samples / self._to_hz
            raise DecodeError(
                "too_short", f"{seconds:.2f} s; one clip is {self._params.clip_seconds:g} s"
            )
        return self._choose_starts(track_samples)

    def _source(self, start: int, frames: int) -> tuple[int, int]:
        """Return [first, last) of the file's samples that a clip at the model's rate needs."""
        steps = max(0, start // self._out_step - -(-self._margin // self._in_step))
        end = start + self._params.clip_samples
        last = -(-end * self._in_step // self._out_step) + self._margin
        return steps * self._in_step, min(frames, last)

    def _cancels(
        self,
        start: int,
        begin: int,
        samples: npt.NDArray[np.float32],
        mono: npt.NDArray[np.float32],
    ) -> bool:
        """Return whether the channels cancel in a clip.

        Args:
          start: the clip's first sample at the model's rate.
          begin: sample of the file at which `samples` begin.
          samples: `[samples, channels]`, which hold the clip.
          mono: their mean.
        """
        ends = (start, start + self._params.clip_samples)
        first, last = (end * self._in_step // self._out_step - begin for end in ends)
        return levels.channels_cancel(samples[first:last], mono[first:last])

    def _read(self, first: int, last: int) -> npt.NDArray[np.float32] | None:
        """Return samples of the file, `[samples, channels]`, or None if they cannot be read."""
        try:
            if self._audio.seek(first) != first:
                return None  # in a damaged mp3, libmpg123 may come out elsewhere
            samples = self._audio.read(last - first, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            return None  # sequential decoding may still get further
        return samples if len(samples) == last - first else None

    def _reaches(self, frames: int) -> bool:
        """Return whether the file really is as long as its header says."""
        return self._read(frames - 1, frames) is not None


def _merged(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pieces sorted, with overlapping and touching ones merged."""
    spans: list[tuple[int, int]] = []
    for first, last in sorted(pieces):
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], last))
        else:
            spans.append((first, last))
    return spans
