"""Writes a synthetic corpus to disk in FMA's layout.

    DIR/corpus.json                  what made it: the marker of a complete corpus
    DIR/fma_metadata/tracks.csv      genres.csv beside it
    DIR/fma_small/000/000002.mp3

The audio is deterministic: the same parameters give the same bytes on the same versions
of numpy, scipy, soxr and libsndfile (other versions may round differently).
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

from components.common.cpu import usable_cores
from components.common.errors import DatasetError
from components.synthesis.metadata import audio_path, write_genres_csv, write_tracks_csv
from components.synthesis.plan import PlannedTrack, plan_corpus
from components.synthesis.track import generator, synthesize, to_file_format

MARKER = "corpus.json"
KIND = "genreflow synthetic corpus"
# Everything that a corpus holds at its top: a folder with more in it is not only ours.
ENTRIES = frozenset({MARKER, "fma_metadata", "fma_small"})
# Shortest track: two 2-second clips do not all overlap.
SHORTEST_SECONDS = 3.0
MAX_SECONDS = 600.0
# libsndfile's scale from 0 (largest files) to 1: about 40 kbit/s for mono.
_MP3_COMPRESSION = 0.8


class CorpusError(DatasetError):
    """The corpus cannot be written there, or not so; the message says what to do."""


# 38 a genre: 72 of them in the test split, and half a minute to make on two cores.
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
    """Writes a corpus, or does nothing where the same corpus is already complete.

    The folder appears at once when all is written; a corpus of other parameters (or of
    another version of this package) is replaced.

    Args:
      directory: the corpus' folder; made with its parents where missing.
      tracks: how many tracks, at least 16; see plan_corpus for how they are split.
      seed: seed of the corpus; every track depends on (seed, track id) alone.
      track_seconds: length of each track in seconds, 3 to 600.
      workers: threads (numpy, the FFT and the encoder release the lock); None for one
        a processor that this process may use.
      progress: called in this thread with (tracks written, tracks in all).

    Raises:
      CorpusError: parameters out of range, or the folder holds something that no call
        of this function wrote. OSError: the disk.
    """
    if not (math.isfinite(track_seconds) and SHORTEST_SECONDS <= track_seconds <= MAX_SECONDS):
        raise CorpusError(
            f"track_seconds = {track_seconds}: must be {SHORTEST_SECONDS:g} to {MAX_SECONDS:g}"
        )
    try:
        planned = plan_corpus(tracks, seed)
    except ValueError as error:
        raise CorpusError(str(error)) from error
    target = pathlib.Path(os.path.abspath(directory))
    marker = _marker(tracks, seed, track_seconds)
    if _is_there(target, marker, planned):
        return
    _check_ours(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        # mkdtemp makes folders that only their owner may read.
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
            # After an error or Ctrl-C, what has not begun is not begun.
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
        file.write(np.ascontiguousarray(samples))


@functools.cache
def generator_digest() -> str:
    """16 hex digits of this package's source: another generator is another corpus."""
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
    """The marker of a corpus of ours, None where there is none."""
    try:
        marker = json.loads((target / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and marker.get("kind") == KIND else None


def _is_there(target: pathlib.Path, marker: dict[str, Any], planned: list[PlannedTrack]) -> bool:
    """Whether the folder is this very corpus and no file of it has gone since."""
    if _read_marker(target) != marker:
        return False
    files = [target / audio_path(track.track_id) for track in planned]
    files += [target / "fma_metadata" / name for name in ("tracks.csv", "genres.csv")]
    return all(file.is_file() and file.stat().st_size > 0 for file in files)


def _check_ours(target: pathlib.Path) -> None:
    """Raises CorpusError where replacing the folder could lose something not ours."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise CorpusError(f"{target}: exists and is not a folder; choose another path")
    if not target.exists():
        return
    entries = {entry.name for entry in target.iterdir()}
    if not entries:
        return
    if _read_marker(target) is None:
        raise CorpusError(
            f"{target}: the folder is not empty and holds no synthetic corpus (no {MARKER} of "
            "one); choose another folder, or empty this one"
        )
    foreign = sorted(entries - ENTRIES)
    if foreign:
        raise CorpusError(
            f"{target}: beside a synthetic corpus there is {foreign[0]!r}; move it away, or "
            "choose another folder"
        )


def _write_json(path: pathlib.Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _put_in_place(partial: pathlib.Path, target: pathlib.Path) -> None:
    """Renames the finished folder; an older corpus is moved aside first, then removed."""
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
