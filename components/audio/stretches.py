"""Windows of a model's own length over stretches of a recording that another model heard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

# Start and end in seconds.
Stretch = tuple[float, float]

# A stretch that is longer than its windows by less than this part of one needs no other window:
# starts are stored as float32 seconds.
_SLACK = 0.01


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return stretches in order of time, with overlapping and touching ones merged."""
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1] + 1e-3:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def covering_starts(
    stretches: Sequence[Stretch], recording_samples: int, window_samples: int, rate_hz: int
) -> list[int]:
    """Return the first sample of each window that is needed to hear all of some stretches.

    A stretch gets as many windows as cover it, evenly spaced; they overlap if its length is not a
    multiple of theirs. A shorter stretch is extended to one window, to both sides alike as far as
    the recording allows. The windows have less than twice the recording's samples together.

    Args:
      stretches: what to hear.
      recording_samples: length of the recording, at least one window.
      window_samples: length of a window.
      rate_hz: sample rate of the windows and of both lengths.

    Returns:
      Offsets in `[0, recording_samples - window_samples]`, ascending.

    Raises:
      ValueError: the recording is shorter than one window.
    """
    if recording_samples < window_samples:
        raise ValueError(
            f"recording of {recording_samples} samples is shorter than a window ({window_samples})"
        )
    spans = []
    for start, end in merged(stretches):
        first = min(round(start * rate_hz), recording_samples)
        last = min(round(end * rate_hz), recording_samples)
        missing = max(0, window_samples - (last - first))
        first = min(max(0, first - missing // 2), recording_samples - window_samples)
        spans.append((float(first), float(max(last, first + window_samples))))
    starts = []
    for begin, stop in merged(spans):
        room = round(stop - begin) - window_samples
        more = max(0, math.ceil(room / window_samples - _SLACK))
        starts += [round(begin) + index * room // max(1, more) for index in range(more + 1)]
    return starts
