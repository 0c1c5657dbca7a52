"""A content-addressed store of decoded clips, so that a new run decodes only what changed.

It lies outside TFX's metadata: `<directory>/<audio hash>/<2 hex digits>/<key>.npz`, where
the key covers everything that a track's clips depend on. Deleting any of it is safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import zipfile

import numpy as np

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE
from components.datasets.track import Track
from components.spectrogram_gen.extract import TrackMels
from components.storage import objects
from components.storage.errors import ObjectForbidden, ObjectMissing

_BLOCK_BYTES = 1 << 20


class ClipStore:
    """Clips by the file, the parameters and the code that they came from."""

    def __init__(
        self, directory: str, params: AudioParams, *, clip_seed: int, strict: bool, code: str
    ) -> None:
        """Opens a store, which need not exist yet.

        Args:
          directory: where it lies; "" for none: nothing is found and nothing kept.
          params: the audio parameters.
          clip_seed: seeds the clips' offsets.
          strict: tell files by their contents, else by size and time (ETag); and keep what
            strict decoding gave apart from what seeking gave.
          code: digest of the code that makes the clips.
        """
        self._root = pathlib.Path(directory, params.digest()) if directory else None
        self._shape = (params.clips_per_track, params.n_mels, params.frames)
        self._strict = strict
        self._common = [params.digest(), clip_seed, strict, code]

    def key(self, track: Track) -> str | None:
        """The track's key; None where there is no store, or no file."""
        if self._root is None:
            return None
        try:
            state = _file_state(track, self._strict)
        except (OSError, ObjectMissing, ObjectForbidden):
            return None
        text = json.dumps([*self._common, track.track_id, *state])
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def has(self, key: str | None) -> bool:
        """Whether something, damaged or not, is kept under a key."""
        return self._root is not None and key is not None and self._path(key).exists()

    def get(self, key: str | None) -> TrackMels | None:
        """What is kept under a key; None if nothing is, or it is damaged."""
        if self._root is None or key is None:
            return None
        try:
            with np.load(self._path(key), allow_pickle=False) as arrays:
                clips = TrackMels(
                    arrays["starts"], arrays["mels"], bytes(arrays["fingerprint"]).decode("ascii")
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        whole = (
            clips.mels.shape == self._shape
            and clips.mels.dtype == STORED_DTYPE
            and clips.starts.shape == self._shape[:1]
            and clips.starts.dtype == np.int64
        )
        return clips if whole else None

    def put(self, key: str | None, clips: TrackMels) -> None:
        """Keeps clips under a key; whole or not at all, also with several writers."""
        if self._root is None or key is None:
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(
                file,
                starts=clips.starts,
                mels=clips.mels,
                fingerprint=np.frombuffer(clips.fingerprint.encode("ascii"), np.uint8),
            )
        temporary.replace(path)

    def _path(self, key: str) -> pathlib.Path:
        assert self._root is not None
        return self._root / key[:2] / f"{key}.npz"


def _file_state(track: Track, strict: bool) -> tuple[int | str, ...]:
    path = track.uri
    if track.state:
        if strict:
            return (objects.sha256(path, track.state),)
        return path, track.state.size_bytes, track.state.etag
    if not strict:
        status = os.stat(path)
        return path, status.st_size, status.st_mtime_ns
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return (digest.hexdigest(),)
