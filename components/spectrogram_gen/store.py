"""A content-addressed store of clips, so that a new run decodes only what has changed.

It is outside TFX's metadata: `<directory>/<audio hash>/<2 hex digits>/<key>.npz`, in a folder or
in an object store. The key covers everything that a track's clips depend on. Deleting any of the
files is safe. A track that moves from one split to another may be decoded again, as
`audio.evaluation_clips` says.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable

import numpy as np

from components.artifacts import files as artifact_files
from components.audio import levels
from components.audio.clips import ClipChoice
from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE
from components.datasets.digest import file_state
from components.datasets.track import Track
from components.spectrogram_gen.extract import TrackMels
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.errors import ObjectForbidden, ObjectMissing
from components.storage.uri import is_remote


class ClipStore:
    """Store of clips, keyed by the file, the parameters and the code that made them."""

    def __init__(
        self,
        directory: str,
        params: AudioParams,
        *,
        clip_seed: int,
        strict: bool,
        code: str,
        choice: ClipChoice | None = None,
    ) -> None:
        """Initialize a store, which need not exist yet.

        Args:
          directory: folder or s3:// URI of the store; "" for a store that keeps nothing.
          params: the audio parameters.
          clip_seed: seed of the clips' offsets.
          strict: identify files by their contents instead of size and time (or ETag). Clips of
            strict decoding have keys of their own.
          code: digest of the code that makes the clips.
          choice: which clips of a track; None for those of training tracks.
        """
        self._choice = choice or ClipChoice.of(params)
        self._root = os.path.join(directory, params.digest()) if directory else ""
        self._params = params
        self._strict = strict
        self._common = [
            params.digest(),
            clip_seed,
            strict,
            code,
            dataclasses.asdict(self._choice),
        ]

    def key(self, track: Track) -> str | None:
        """Return the track's key, or None if there is no store or no file."""
        if not self._root:
            return None
        try:
            size_bytes, version = file_state(track, self._strict)
        except (OSError, ObjectMissing, ObjectForbidden):
            return None
        state = [version] if self._strict else [track.uri, size_bytes, version]
        text = json.dumps([*self._common, track.track_id, *state])
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def stored(self, keys: Iterable[str | None]) -> set[str]:
        """Return those of some keys that are stored, intact or damaged."""
        wanted = [key for key in keys if key is not None]
        if not self._root or not wanted:
            return set()
        if not is_remote(self._root):
            return {key for key in wanted if os.path.exists(self._path(key))}
        # Each answer takes a while.
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            found = pool.map(lambda key: objects.find(self._path(key)), wanted)
            return {key for key, state in zip(wanted, found, strict=True) if state}

    def get(self, key: str | None) -> TrackMels | None:
        """Return the clips of a key, or None if they are missing or damaged."""
        if not self._root or key is None:
            return None
        try:
            content = io.BytesIO(artifact_files.read_bytes(self._path(key)))
            with np.load(content, allow_pickle=False) as arrays:
                clips = TrackMels(
                    arrays["starts"],
                    arrays["mels"],
                    tuple(arrays["left_out"].tolist()),
                    bytes(arrays["fingerprint"]).decode("ascii"),
                )
        except (OSError, ObjectMissing, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return clips if self._is_intact(clips) else None

    def put(self, key: str | None, clips: TrackMels) -> None:
        """Store clips under a key, atomically, so that several writers may share the store."""
        if not self._root or key is None:
            return
        file = io.BytesIO()
        np.savez(
            file,
            starts=clips.starts,
            mels=clips.mels,
            left_out=np.array(clips.left_out),
            fingerprint=np.frombuffer(clips.fingerprint.encode("ascii"), np.uint8),
        )
        artifact_files.write_bytes(self._path(key), file.getvalue())

    def _is_intact(self, clips: TrackMels) -> bool:
        count = clips.left_out.count(levels.HEARD)
        return (
            self._choice.allows(len(clips.left_out))
            and set(clips.left_out) <= set(levels.REASONS)
            and clips.mels.shape == (count, self._params.n_mels, self._params.frames)
            and clips.mels.dtype == STORED_DTYPE
            and clips.starts.shape == (count,)
            and clips.starts.dtype == np.int64
        )

    def _path(self, key: str) -> str:
        return os.path.join(self._root, key[:2], f"{key}.npz")
