"""Writing of a synthetic corpus in FMA's layout.

    DIR/corpus.json                  its parameters; marks a complete corpus
    DIR/fma_metadata/tracks.csv      genres.csv beside it
    DIR/fma_small/000/000002.mp3

The audio is deterministic: the same parameters give the same bytes with the same libsndfile. Other
versions of NumPy, SciPy or the C library differ in last bits, so samples are rounded to 16 bits
before they are encoded; a sample in some hundred million still changes, and one file with it.
"""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import json
import math
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from components.common.errors import DatasetError
from components.common.resources import usable_cores
from components.synthesis.metadata import audio_path, write_genres_csv, write_tracks_csv
from components.synthesis.plan import PlannedTrack, plan_corpus
from components.synthesis.track import generator, synthesize, to_file_format

MARKER = "corpus.json"
KIND = "genreflow synthetic corpus"
# The top-level entries of a corpus. A folder with other entries is not only ours.
ENTRIES = frozenset({MARKER, "fma_metadata", "fma_small"})
# In a track of 3 seconds, two clips of 2 seconds can differ.
MIN_SECONDS = 3.0
MAX_SECONDS = 600.0
# On libsndfile's scale from 0 (largest files) to 1; about 40 kbit/s for mono.
_MP3_COMPRESSION = 0.8
# A sample of 16 bits at full scale; a power of 2, so that float32 holds every step exactly.
_FULL_SCALE = np.float32(32768)


class CorpusError(DatasetError):
    """Error for a corpus that cannot be written with these parameters or in this folder."""


# 38 per genre. 72 tracks are in the test split; half a minute on two cores.
TRACKS = 304


def write_corpus(
    directory: str | os.PathLike[str],
    *,
    tracks: int = TRACKS,
    seed: int = 0,
    track_seconds: float = 10.0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a corpus, unless the same corpus already exists.

    The folder appears when it is complete. A corpus of other parameters, or of another version
    of this package, is replaced.

    Args:
      directory: folder of the corpus. It and its parents are created if missing.
      tracks: number of tracks, at least 16; plan_corpus splits them.
      seed: seed of the corpus. A track depends only on (seed, track id).
      track_seconds: length of each track in seconds, 3 to 600.
      workers: number of threads (numpy, the FFT and the encoder release the lock); None for
        the number of usable cores.
      progress: called in this thread with (tracks written, total tracks).

    Raises:
      CorpusError: a parameter is out of range, or the folder has entries that this function
        did not write.
      OSError: the corpus cannot be written.
    """
    if not (math.isfinite(track_seconds) and MIN_SECONDS <= track_seconds <= MAX_SECONDS):
        raise CorpusError(
            f"track_seconds = {track_seconds}: must be from {MIN_SECONDS:g} to {MAX_SECONDS:g}"
        )
    try:
        planned = plan_corpus(tracks, seed)
    except ValueError as error:
        raise CorpusError(str(error)) from error
    target = pathlib.Path(os.path.abspath(directory))
    marker = _marker(tracks, seed, track_seconds)
    if _exists(target, marker, planned):
        return
    _check_ours(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        # mkdtemp creates folders that only the owner may read.
        partial.chmod(0o755)
        _write_into(partial, planned, seed, track_seconds, workers, progress)
        _write_json(partial / MARKER, marker)
        _put_in_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_into(
    folder: pathlib.Path,
    planned: list[PlannedTrack],
    seed: int,
    seconds: float,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    metadata = folder / "fma_metadata"
    metadata.mkdir()
    write_tracks_csv(metadata / "tracks.csv", planned, seconds)
    write_genres_csv(metadata / "genres.csv", planned)
    for track in planned:
        (folder / audio_path(track.track_id)).parent.mkdir(parents=True, exist_ok=True)
    write = functools.partial(_write_track, folder, seed, seconds)
    with concurrent.futures.ThreadPoolExecutor(workers or usable_cores()) as pool:
        jobs = [pool.submit(write, track) for track in planned]
        try:
            for done, job in enumerate(concurrent.futures.as_completed(jobs), start=1):
                job.result()
                if progress is not None:
                    progress(done, len(planned))
        finally:
            # After an error or Ctrl-C, cancel the tracks that have not started.
            pool.shutdown(wait=True, cancel_futures=True)


def _write_track(folder: pathlib.Path, seed: int, seconds: float, track: PlannedTrack) -> None:
    mono = synthesize(seed, track.genre, track.artist_id, track.track_id, seconds)
    rng = generator(seed, "file", track.track_id)
    samples = to_file_format(rng, mono, track.rate_hz, track.channels)
    with soundfile.SoundFile(
        str(folder / audio_path(track.track_id)),
        "w",
        samplerate=track.rate_hz,
        channels=track.channels,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=_MP3_COMPRESSION,
    ) as file:
        # Not as integers: libsndfile 1.2.2 does not encode these to the same bytes each time.
        file.write(np.rint(samples * _FULL_SCALE) / _FULL_SCALE)


@functools.cache
def generator_digest() -> str:
    """Return 16 hex digits of this package's source, so that changed code means a new corpus."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _marker(tracks: int, seed: int, track_seconds: float) -> dict[str, Any]:
    return {
        "kind": KIND,
        "tracks": tracks,
        "seed": seed,
        "track_seconds": float(track_seconds),
        "generator": generator_digest(),
    }


def _read_marker(target: pathlib.Path) -> dict[str, Any] | None:
    """Return the marker of a corpus, or None if the folder has none."""
    try:
        marker = json.loads((target / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and marker.get("kind") == KIND else None


def _exists(target: pathlib.Path, marker: dict[str, Any], planned: list[PlannedTrack]) -> bool:
    """Return whether the folder is this corpus, with all of its files."""
    if _read_marker(target) != marker:
        return False
    files = [target / audio_path(track.track_id) for track in planned]
    files += [target / "fma_metadata" / name for name in ("tracks.csv", "genres.csv")]
    return all(file.is_file() and file.stat().st_size > 0 for file in files)


def _check_ours(target: pathlib.Path) -> None:
    """Raise CorpusError if the folder has entries that are not a corpus's."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise CorpusError(f"{target}: exists and is not a folder; choose another path")
    if not target.exists():
        return
    entries = {entry.name for entry in target.iterdir()}
    if not entries:
        return
    if _read_marker(target) is None:
        raise CorpusError(
            f"{target}: the folder is not empty and has no synthetic corpus (no valid {MARKER}); "
            "choose another folder, or empty this one"
        )
    foreign = sorted(entries - ENTRIES)
    if foreign:
        raise CorpusError(
            f"{target}: the folder has {foreign[0]!r} beside a synthetic corpus; move it away, or "
            "choose another folder"
        )


def _write_json(path: pathlib.Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _put_in_place(partial: pathlib.Path, target: pathlib.Path) -> None:
    """Rename the finished folder, replacing an older corpus."""
    if not target.exists() or not any(target.iterdir()):
        partial.rename(target)
        return
    _check_ours(target)
    old = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
    try:
        target.rename(old)
        partial.rename(target)
    finally:
        shutil.rmtree(old, ignore_errors=True)
