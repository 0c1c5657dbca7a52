"""Reading of the examples for the report: their tracks, and the few clips that it shows."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.audio.params import AudioParams
from components.common.errors import DataError
from components.datasets.track import SPLITS
from components.examples import parser, reader, schema
from components.report.gallery import StoredTrack

Key = tuple[str, str, int]
"""Key of a clip: split, track id, clip index."""

_BATCH = 256


def survey(examples_uri: str) -> list[StoredTrack]:
    """Return the tracks of all splits, sorted, with one entry for each split of a track.

    Every file is read once. No spectrogram is kept.

    Args:
      examples_uri: root of an Examples artifact.

    Raises:
      DataError: a split has no files, or one cannot be read.
    """
    found: dict[tuple[str, str], StoredTrack] = {}
    for split in SPLITS:
        files = reader.find([os.path.join(glob.escape(examples_uri), f"Split-{split}", "*")])
        with reader.readable(files):
            for path in files.paths:
                for batch in _records(path, files.compression):
                    _count(found, split, path, parser.parse_keys(batch))
    return [found[key] for key in sorted(found)]


def _count(
    found: dict[tuple[str, str], StoredTrack], split: str, path: str, keys: Mapping[str, tf.Tensor]
) -> None:
    columns = [
        keys[name].numpy()
        for name in (schema.TRACK_ID, schema.ARTIST_ID, schema.LABEL, schema.CLIP_INDEX)
    ]
    for track_id, artist_id, label, clip in zip(*columns, strict=True):
        key = (split, track_id.decode())
        before = found.get(key)
        found[key] = StoredTrack(
            split=split,
            track_id=track_id.decode(),
            artist_id=artist_id.decode(),
            label=int(label),
            clips=before.clips + 1 if before else 1,
            first_clip=min(before.first_clip, int(clip)) if before else int(clip),
            file=path,
        )


def read_mels(wanted: Mapping[Key, str], params: AudioParams) -> dict[Key, npt.NDArray[np.float32]]:
    """Return the spectrograms of some clips, float32 `[n_mels, frames]` in dB.

    Args:
      wanted: for each clip the file that holds its track; other files are not opened.
      params: audio parameters of the examples.

    Raises:
      DataError: a clip is missing, or a file cannot be read.
    """
    by_file: dict[str, set[Key]] = {}
    for key, path in wanted.items():
        by_file.setdefault(path, set()).add(key)
    found: dict[Key, npt.NDArray[np.float32]] = {}
    for path in sorted(by_file):
        files = reader.find([glob.escape(path)])
        with reader.readable(files, params):
            _read_file(path, files.compression, by_file[path], params, found)
    missing = sorted(set(wanted) - set(found))
    if missing:
        split, track_id, clip = missing[0]
        raise DataError(
            f"{wanted[missing[0]]}: clip {clip} of track {track_id} ({split}) is missing: the "
            "predictions and the examples are from different runs; rerun the pipeline"
        )
    return found


def _read_file(
    path: str,
    compression: str,
    wanted: Collection[Key],
    params: AudioParams,
    found: dict[Key, npt.NDArray[np.float32]],
) -> None:
    tracks = {
        (track_id.encode(), clip): (split, track_id, clip) for split, track_id, clip in wanted
    }
    for batch in _records(path, compression):
        keys = parser.parse_keys(batch)
        clips = zip(keys[schema.TRACK_ID].numpy(), keys[schema.CLIP_INDEX].numpy(), strict=True)
        places = {
            place: tracks[track_id, int(clip)]
            for place, (track_id, clip) in enumerate(clips)
            if (track_id, int(clip)) in tracks
        }
        if places:
            chosen = tf.gather(batch, sorted(places))
            mels = parser.parse(chosen, params)[schema.MEL_DB].numpy()
            found.update(zip((places[place] for place in sorted(places)), mels, strict=True))


def _records(path: str, compression: str) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(path, compression_type=compression).batch(_BATCH)
