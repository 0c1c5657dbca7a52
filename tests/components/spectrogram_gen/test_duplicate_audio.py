"""The same audio is never written twice, so never to two splits, for all kinds and policies.

SpectrogramGen's own executor, on corpora in which copies of a song lie within and across
genres, artists and splits: the same bytes, other tags, other lossless containers.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import pathlib
import random
import typing
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile

from components.audio.params import AudioParams
from components.datasets.corpus import load_corpus
from components.datasets.registry import READERS
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import SPLITS, Track
from components.examples.tracks import read_tracks
from pipeline.config.beam import IN_MEMORY
from tests.support import layouts

pytestmark = pytest.mark.e2e

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
GENRES = ("Folk", "Rock")
POLICIES = typing.get_args(typing.get_type_hints(SplitSettings)["policy"])
WITH_OFFICIAL_SPLIT = {"fma", "manifest", "synthetic"}
CASES = [
    (kind, policy)
    for kind, policy in itertools.product(sorted(READERS), POLICIES)
    if policy != "official" or kind in WITH_OFFICIAL_SPLIT
]
# One more run each, with rows and files in another order and folder.
SHUFFLED = {("manifest", "by_artist"), ("fma", "by_clip")}
SONGS, ROWS = 24, 48


def _id3v2(size: int) -> bytes:
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + digits + b"\0" * size


def _encoded(samples: np.ndarray, rate_hz: int, kind: str, **options: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=kind, **options)
    return buffer.getvalue()


def forms(song: int) -> list[bytes]:
    """Return files that decode to the same samples; each song has its own."""
    rng = np.random.default_rng(song)
    if song % 3 == 0:
        mp3 = _encoded(rng.normal(0, 0.1, 3 * 22050), 22050, "MP3", bitrate_mode="VARIABLE")
        return [mp3, mp3 + b"TAG" + b"\0" * 125, _id3v2(20_000) + mp3]
    pcm = (rng.normal(0, 0.1, (16000 + song, 1 + song % 2)) * 20000).astype(np.int16)
    wav = _encoded(pcm, 8000, "WAV")
    listed = b"LIST" + (12).to_bytes(4, "little") + b"INFOINAM" + b"\0" * 4
    tagged = b"RIFF" + (len(wav) + len(listed) - 8).to_bytes(4, "little") + wav[8:] + listed
    return [
        wav,
        tagged,
        _encoded(pcm, 8000, "FLAC"),
        _encoded(pcm, 8000, "AU"),
        _encoded(pcm.astype(np.float32) / 32768, 8000, "WAV", subtype="FLOAT"),
    ]


@pytest.fixture(scope="module")
def songs() -> list[list[bytes]]:
    return [forms(song) for song in range(SONGS)]


def audio(policy: str) -> AudioParams:
    """Return the audio parameters: under one policy the windows of whole songs are evaluated."""
    return dataclasses.replace(PARAMS, evaluation_clips="all" if policy == "by_track" else None)


def splits(policy: str) -> SplitSettings:
    return SplitSettings(policy=policy, validation_fraction=0.2, test_fraction=0.2)  # type: ignore[arg-type]


def lay_out_here(
    kind: str,
    rows: list[Track],
    root: pathlib.Path,
    content: dict[str, bytes],
) -> DatasetSettings:
    dataset = layouts.lay_out(kind, rows, root, lambda row: content[row.track_id])
    return dataclasses.replace(dataset, isolate_decoding=False, max_reject_fraction=1.0)


@dataclasses.dataclass(frozen=True)
class Written:
    """Return the track ids of all clips in the TFRecords, by split."""

    clips: dict[str, Counter[str]]
    rejects: dict[str, tuple[str, str]]
    summary: dict[str, typing.Any]


def generate(dataset: DatasetSettings, policy: str, folder: pathlib.Path) -> Written:
    """Run SpectrogramGen's executor as the pipeline does."""
    import tensorflow as tf
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.artifacts.types import Rejects
    from components.spectrogram_gen.component import SpectrogramGen
    from components.spectrogram_gen.executor import Executor

    split = splits(policy)
    node = SpectrogramGen(
        dataset=dataset,
        split=split,
        audio=audio(policy),
        manifest_digest=load_corpus(dataset, split).digest,
        shard_tracks=7,
        store=str(folder / "store"),
    )
    examples, rejects = standard_artifacts.Examples(), Rejects()
    examples.uri, rejects.uri = str(folder / "examples"), str(folder / "rejects")
    context = BaseBeamExecutor.Context(list(IN_MEMORY), str(folder), unique_id="1")
    outputs = {"examples": [examples], "rejects": [rejects]}
    Executor(context).Do({}, outputs, dict(node.exec_properties))

    clips: dict[str, Counter[str]] = {name: Counter() for name in SPLITS}
    for name in SPLITS:
        for path in sorted(pathlib.Path(examples.uri, f"Split-{name}").iterdir()):
            for record in tf.compat.v1.io.tf_record_iterator(str(path)):
                feature = tf.train.Example.FromString(record).features.feature["track_id"]
                clips[name][feature.bytes_list.value[0].decode()] += 1
    with open(pathlib.Path(rejects.uri, "rejects.csv"), encoding="utf-8", newline="") as rows:
        found = {row["track_id"]: (row["reason"], row["detail"]) for row in csv.DictReader(rows)}
    summary = json.loads(pathlib.Path(rejects.uri, "summary.json").read_text())
    listed = {track.track_id: track.split for track in read_tracks(examples.uri)}
    splits_of: dict[str, set[str]] = {}
    for name in SPLITS:
        for track_id in clips[name]:
            splits_of.setdefault(track_id, set()).add(name)
    assert listed.keys() == splits_of.keys()
    assert policy == "by_clip" or all(splits_of[track] == {listed[track]} for track in listed)
    return Written(clips, found, summary)


@pytest.mark.parametrize(("kind", "policy"), CASES)
def test_each_audio_is_written_once_under_its_smallest_id(
    kind: str, policy: str, songs: list[list[bytes]], tmp_path: pathlib.Path
) -> None:
    rng = random.Random(f"{kind} {policy}")
    song_of = [*range(SONGS), *(rng.randrange(SONGS) for _ in range(ROWS - SONGS))]
    rng.shuffle(song_of)
    rows = [
        Track(str(i * 7 + 1), "", GENRES[i % 2], f"artist {i // 4}", SPLITS[i // 4 % 3])
        for i in range(ROWS)
    ]
    song = {layouts.id_of(kind, row): song_of[i] for i, row in enumerate(rows)}
    content = {row.track_id: rng.choice(songs[song_of[i]]) for i, row in enumerate(rows)}
    dataset = lay_out_here(kind, rows, tmp_path / "data", content)
    corpus = load_corpus(dataset, splits(policy))
    written = generate(dataset, policy, tmp_path / "out")
    if (kind, policy) in SHUFFLED:
        rng.shuffle(rows)
        other = lay_out_here(kind, rows, tmp_path / "elsewhere", content)
        assert generate(other, policy, tmp_path / "again") == written

    ids_of: dict[int, list[str]] = defaultdict(list)
    for track_id, index in sorted(song.items()):
        ids_of[index].append(track_id)
    kept = {ids[0] for ids in ids_of.values()}
    # Otherwise the corpus would have no duplicates in two splits to find.
    if policy != "by_clip":
        crossing = [
            {corpus.split_of_clip(track_id, 0) for track_id in ids} for ids in ids_of.values()
        ]
        assert sum(len(sides) > 1 for sides in crossing) >= 3

    in_splits = Counter(itertools.chain.from_iterable(written.clips.values()))
    assert set(in_splits) == kept
    every = sum(written.clips.values(), Counter())
    windows = {track_id: 6 if song[track_id] % 3 == 0 else 4 for track_id in kept}  # of 0.5 s
    for track_id, clips in every.items():
        whole = policy == "by_track" and track_id not in written.clips["train"]
        assert clips == (windows[track_id] if whole else PARAMS.clips_per_track)
    if policy == "by_clip":
        assert written.summary["leaky"] is True
        assert max(in_splits.values()) > 1
    else:
        assert written.summary["leaky"] is False
        assert set(in_splits.values()) == {1}
        for name in SPLITS:
            assert all(
                corpus.split_of_clip(track_id, 0) == name for track_id in written.clips[name]
            )
    assert written.rejects == {
        other: ("duplicate", f"same audio as {ids[0]}")
        for ids in ids_of.values()
        for other in ids[1:]
    }
    assert written.summary["tracks_read"] == SONGS
    assert written.summary["rejects"] == {"duplicate": ROWS - SONGS}
