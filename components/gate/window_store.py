"""A store of the windows that serving models heard, so that a later run decodes nothing.

It lies beside the clips of the examples (components.spectrogram_gen.store) and follows their
rules: `<directory>/windows/<2 hex digits>/<key>.npz`, keys that cover everything that the windows
depend on, and files that may be deleted at any time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.artifacts import files as artifact_files
from components.audio.decoding.clip_reader import WindowShape
from components.audio.stretches import Stretch
from components.examples.sources import Source

FOLDER = "windows"
_FULL_SCALE = 32767


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Windows of a recording in half the memory of floats.

    The rounding errors are 98 dB below a window's peak, and spectrograms end 80 dB below it.

    Attributes:
      samples: int16 `[windows, samples]`, from -32767 to 32767.
      peaks: float32 `[windows]`, by which 32767 is meant.
      unheard: why there are no windows, a reject reason; "" if there are some.
    """

    samples: npt.NDArray[np.int16]
    peaks: npt.NDArray[np.float32]
    unheard: str = ""

    @classmethod
    def of(cls, waveforms: npt.NDArray[np.float32]) -> Windows:
        """Round waveforms, `[windows, samples]`, none of which is digital silence."""
        peaks = np.abs(waveforms).max(axis=1)
        scaled = waveforms * (_FULL_SCALE / peaks[:, np.newaxis])
        return cls(np.rint(scaled).astype(np.int16), peaks.astype(np.float32))

    @classmethod
    def none(cls, reason: str) -> Windows:
        """Return the result for a recording that cannot be heard."""
        return cls(np.empty((0, 0), np.int16), np.empty(0, np.float32), reason)

    def waveforms(self) -> npt.NDArray[np.float32]:
        """Return the waveforms, float32 `[windows, samples]`."""
        scale = (self.peaks / _FULL_SCALE)[:, np.newaxis]
        return self.samples.astype(np.float32) * scale


class WindowStore:
    """Store of windows, keyed by the file, the stretches, their shape and the code that reads."""

    def __init__(self, directory: str, shape: WindowShape, *, strict: bool, code: str) -> None:
        """Initialize a store, which need not exist yet.

        Args:
          directory: folder of the examples' cache; "" for a store that keeps nothing.
          shape: the windows' rate and length.
          strict: whether sources are identified by their contents alone.
          code: digest of the code that reads the windows.
        """
        self._root = pathlib.Path(directory, FOLDER) if directory else None
        self._shape, self._strict = shape, strict
        self._common = [shape.sample_rate_hz, shape.clip_samples, strict, code]

    def path(self, source: Source, stretches: Sequence[Stretch]) -> pathlib.Path | None:
        """Return the file for the windows of a source; None if nothing is kept."""
        if self._root is None:
            return None
        state = [source.size_bytes, source.version, *([] if self._strict else [source.uri])]
        text = json.dumps([*self._common, *state, *stretches])
        key = hashlib.sha256(text.encode()).hexdigest()[:40]
        return self._root / key[:2] / f"{key}.npz"

    def get(self, path: pathlib.Path | None) -> Windows | None:
        """Return the windows of a file, or None if they are missing or damaged."""
        if path is None:
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = Windows(arrays["samples"], arrays["peaks"], str(arrays["unheard"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        samples = 0 if found.unheard else self._shape.clip_samples
        sound = (
            found.samples.dtype == np.int16
            and found.samples.shape == (len(found.peaks), samples)
            and found.peaks.dtype == np.float32
            and bool(len(found.peaks)) != bool(found.unheard)
        )
        return found if sound else None

    def put(self, path: pathlib.Path | None, windows: Windows) -> None:
        """Store windows atomically, so that several writers may share the store."""
        if path is None:
            return
        with artifact_files.written_file(str(path)) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                samples=windows.samples,
                peaks=windows.peaks,
                unheard=np.array(windows.unheard),
            )
