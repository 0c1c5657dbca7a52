"""Planning and writing of shards, groups of tracks that are written together.

One call decodes a shard in order, writes to temporary names and renames. So no example crosses
a shuffle, memory use is constant, and a retry writes the same bytes to the same names.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence

from components.artifacts import files
from components.artifacts.names import STORE_SCRATCH
from components.audio import levels
from components.audio.clips import ClipChoice
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.params import AudioParams
from components.datasets.files.fetching import fetching
from components.datasets.track import SPLITS, Reject, SplitName, Track
from components.examples import writer
from components.examples.sources import Source, source_of
from components.spectrogram_gen import extract, wav_export
from components.spectrogram_gen.first_usable import first_usable
from components.spectrogram_gen.store import ClipStore
from components.storage.uri import is_remote

# So that ten million tracks are not 156,000 files: they have shards of 2,442 tracks in place of 64,
# of 220 MB and a minute's work.
MAX_SHARDS = 4096

# Whole songs take longer and more space than a few clips of them. A shard of 8 songs in place of
# 64 has at most 54 MB, and other workers can take the rest.
WINDOWS_SHARD_DIVISOR = 8


@dataclasses.dataclass(frozen=True)
class Shard:
    """Shard `index` of `total`.

    Attributes:
      index: index among the shards of the same splits.
      total: number of those shards.
      splits: the splits that the shard has a file of.
      tracks: each track with the split of each of its clips, and of more if their number is not
        known before it is decoded.
    """

    index: int
    total: int
    splits: tuple[SplitName, ...]
    tracks: tuple[tuple[Track, tuple[SplitName, ...]], ...]

    @property
    def evaluates(self) -> bool:
        """True if no clip of the shard is trained on."""
        return "train" not in self.splits


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """Result of writing one shard.

    Attributes:
      index: index of the shard.
      splits: splits of the shard.
      clips: number of clips by split.
      tracks_read: number of tracks by split.
      tracks_decoded: number of tracks that were decoded; the others came from the store.
      rejects: the tracks and the copies of tracks that were not used.
      written: (id, uri, fingerprint of the audio) of each track that was written.
      clips_left_out: number of clips of these tracks that are left out, by reason.
      test_sources: the files of the tracks with test clips.
      problem: why the shard could not be written, or "".
    """

    index: int
    splits: tuple[str, ...]
    clips: dict[str, int]
    tracks_read: dict[str, int]
    tracks_decoded: int
    rejects: tuple[Reject, ...]
    written: tuple[tuple[str, str, str], ...]
    clips_left_out: dict[str, int]
    test_sources: tuple[Source, ...] = ()
    problem: str = ""

    @classmethod
    def failed(cls, index: int, splits: tuple[str, ...], problem: str) -> ShardResult:
        """Return the result for a shard that could not be written; it aborts the run."""
        zeros: dict[str, int] = dict.fromkeys(SPLITS, 0)
        return cls(index, splits, zeros, zeros, 0, (), (), {}, problem=problem)


@dataclasses.dataclass(frozen=True)
class WriteOptions:
    """Options for writing shards.

    Attributes:
      params: the audio parameters.
      genres: the genres in label order.
      clip_seed: seed of the clips' offsets.
      directory: folder of the Examples artifact.
      export_wav: "none", "clips" or "tracks" (dataset.export_wav).
      strict: decode whole files (dataset.strict).
      store: folder or s3:// URI of the clip store; "" for none.
      code: digest of the code that makes the clips.
      limits: limits of decoding; None decodes in the worker's own process.
      elsewhere: whether workers may be on other machines than the clip store's folder.
    """

    params: AudioParams
    genres: tuple[str, ...]
    clip_seed: int
    directory: str
    export_wav: str = "none"
    strict: bool = False
    store: str = ""
    code: str = ""
    limits: DecodeLimits | None = None
    elsewhere: bool = False

    @property
    def wav_directory(self) -> str:
        """The folder of WAV files, beside the splits because files inside them are examples."""
        return os.path.join(self.directory, "wav")

    @property
    def scratch(self) -> str | None:
        """The folder for downloads and unfinished files; None for the system's temporary folder.

        It is in the clip store, where the next run empties it, if that is on the workers' disk.
        """
        if not self.store or is_remote(self.store) or self.elsewhere:
            return None
        return os.path.join(self.store, STORE_SCRATCH)


def plan_shards(
    tracks: Sequence[Track],
    clip_splits: Mapping[str, tuple[SplitName, ...]],
    shard_tracks: int,
    *,
    evaluation_shard_tracks: int = 0,
) -> list[Shard]:
    """Group tracks into shards of at most `shard_tracks`.

    Tracks are ordered by hash, so that a shard mixes genres. If all clips of each track are in
    one split, a shard has tracks of one split and is numbered within it. Otherwise (by_clip)
    a shard has one file in every split.

    Args:
      tracks: the tracks to write.
      clip_splits: the split of each clip, by track id.
      shard_tracks: number of tracks per shard, at least 1; more where a corpus would have over
        MAX_SHARDS shards.
      evaluation_shard_tracks: the same for shards of validation or test tracks; 0 if it is.
    """
    whole: dict[SplitName, list[Track]] = {split: [] for split in SPLITS}
    scattered: list[Track] = []
    leaky = any(len(set(splits)) > 1 for splits in clip_splits.values())
    for track in sorted(tracks, key=lambda t: hashlib.sha256(t.track_id.encode()).digest()):
        if leaky:
            scattered.append(track)
        else:
            whole[clip_splits[track.track_id][0]].append(track)
    groups: list[tuple[tuple[SplitName, ...], list[Track]]] = [
        ((split,), members) for split, members in whole.items() if members
    ]
    if scattered:
        groups.append((SPLITS, scattered))
    shards = []
    for splits, members in groups:
        size = shard_tracks if "train" in splits else evaluation_shard_tracks or shard_tracks
        size = max(size, -(-len(tracks) // MAX_SHARDS))
        total = -(-len(members) // size)
        for index in range(total):
            part = members[index * size : (index + 1) * size]
            shards.append(
                Shard(index, total, splits, tuple((t, clip_splits[t.track_id]) for t in part))
            )
    return shards


def without(shard: Shard, track_ids: Collection[str]) -> Shard:
    """Return a shard without some tracks; its files keep their names."""
    tracks = tuple(entry for entry in shard.tracks if entry[0].track_id not in track_ids)
    return dataclasses.replace(shard, tracks=tracks)


def shard_path(directory: str, split: str, index: int, total: int) -> str:
    """Return the path of a shard's file of one split, in TFX's layout of Examples artifacts."""
    return os.path.join(directory, f"Split-{split}", f"part-{index:05d}-of-{total:05d}.tfrecord")


def write_shard(
    shard: Shard,
    options: WriteOptions,
    decoder: Decoder | None = None,
    on_track: Callable[[], None] = lambda: None,
    before_publishing: Callable[[], object] = lambda: None,
) -> ShardResult:
    """Decode and write one shard. Tracks that cannot be used become rejects of the result.

    Args:
      shard: the shard.
      options: options of all shards.
      decoder: decoder to use; None decodes in this process.
      on_track: called after each track.
      before_publishing: called before the files get their names; if it raises, there are none.

    Raises:
      OSError, tf.errors.OpError: an output cannot be written, for example on a full disk.
      StorageError: the object store cannot be reached.
    """
    import tensorflow as tf

    choice = ClipChoice.of(options.params, evaluates=shard.evaluates)
    store = ClipStore(
        options.store,
        options.params,
        clip_seed=options.clip_seed,
        strict=options.strict,
        code=options.code,
        choice=choice,
    )
    keys = {file.uri: store.key(file) for track, _ in shard.tracks for file in track.files}
    stored = store.stored(keys.values()) if options.export_wav == "none" else ()
    to_decode = [track for track, _ in shard.tracks if keys[track.uri] not in stored]
    written: list[tuple[str, str, str]] = []
    tracks_decoded = 0
    left_out: collections.Counter[str] = collections.Counter()
    clips: dict[str, int] = dict.fromkeys(SPLITS, 0)
    tracks_read: dict[str, int] = dict.fromkeys(SPLITS, 0)
    rejects: list[Reject] = []
    test_sources: list[Source | None] = []
    with contextlib.ExitStack() as stack:
        writers = {}
        for split in shard.splits:
            path = shard_path(options.directory, split, shard.index, shard.total)
            # Not inside Split-*, where every file is read as examples.
            temporary = stack.enter_context(files.written_file(path, _scratch_of(path, options)))
            writers[split] = tf.io.TFRecordWriter(str(temporary))
        # Entered after the files, so closed before these are renamed.
        for split_writer in writers.values():
            stack.enter_context(split_writer)
        reader = stack.enter_context(
            fetching(
                decoder or InProcessDecoder(),
                (track for track, _ in shard.tracks),  # a stored one may turn out to be damaged
                coming=to_decode,
                scratch=options.scratch,
            )
        )
        for track, clip_splits in shard.tracks:
            write = functools.partial(
                _write_track,
                clip_splits=clip_splits,
                options=options,
                choice=choice,
                store=store,
                keys=keys,
                decoder=reader,
                writers=writers,
            )
            tested = track.files if "test" in shard.splits else ()
            # As they are before they are decoded.
            sources = {file.uri: source_of(file, strict=options.strict) for file in tested}
            found, unused = first_usable(track, write)
            on_track()
            rejects += unused
            if found is None:
                continue
            made, decoded = found.result
            written.append((track.track_id, found.file.uri, made.fingerprint))
            tracks_decoded += decoded
            left_out.update(reason for reason in made.left_out if reason != levels.HEARD)
            used = [clip_splits[index] for index in made.indices]
            for split in used:
                clips[split] += 1
            for split in set(used):
                tracks_read[split] += 1
            if "test" in used:
                test_sources.append(sources[found.file.uri])
        before_publishing()
    return ShardResult(
        shard.index,
        shard.splits,
        clips,
        tracks_read,
        tracks_decoded,
        tuple(rejects),
        tuple(written),
        dict(left_out),
        tuple(filter(None, test_sources)),
    )


def _write_track(
    track: Track,
    clip_splits: Sequence[SplitName],
    options: WriteOptions,
    choice: ClipChoice,
    store: ClipStore,
    keys: Mapping[str, str | None],
    decoder: Decoder,
    writers: Mapping[SplitName, object],
) -> tuple[extract.TrackMels, bool]:
    """Write a track's examples; return its clips and whether they were decoded."""
    params, key = options.params, keys[track.uri]
    label = options.genres.index(track.genre)
    made = store.get(key) if options.export_wav == "none" else None
    decoded = made is None
    if made is None:
        read = extract.read_track(
            track,
            params,
            options.clip_seed,
            strict=options.strict,
            choice=choice,
            decoder=decoder,
        )
        made = extract.make_mels(read, params)
        store.put(key, made)
        if options.export_wav == "clips":
            wav_export.export_clips(
                options.wav_directory, track, read.waveforms, made.indices, params
            )
        elif options.export_wav == "tracks":
            wav_export.export_track(options.wav_directory, track, decoder)
    clips = extract.label_clips(track, label, made, params)
    for clip in clips:
        output = writers[clip_splits[clip.clip_index]]
        output.write(writer.serialize(clip, params))  # type: ignore[attr-defined]
    return made, decoded


def unfinished_folder(directory: str) -> str:
    """Return the folder of an Examples artifact for files that are being written."""
    return os.path.join(directory, ".tmp")


def _scratch_of(path: str, options: WriteOptions) -> str | None:
    return options.scratch if "://" in path else unfinished_folder(options.directory)
