"""A song in several formats: the first usable file is read, and every other one is listed."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
import soundfile

from components.audio.decoding.decode import DecodeError
from components.audio.params import AudioParams
from components.datasets.corpus import load_corpus
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import Reject, Track
from components.spectrogram_gen.first_usable import first_usable
from components.spectrogram_gen.rejects import duplicate_rejects
from components.spectrogram_gen.shards import WriteOptions, plan_shards, write_shard
from pipeline.prepare.survey import survey_files

SONG = Track(
    "Rock/a",
    "/d/Rock/a.flac",
    "Rock",
    copies=(Track("Rock/a", "/d/Rock/a.mp3", "Rock"), Track("Rock/a", "/d/Rock/a.wav", "Rock")),
)
PARAMS = AudioParams(sample_rate_hz=8000, clip_seconds=0.5)


def attempt_without(*bad: str):
    def attempt(file: Track) -> str:
        assert file.track_id == "Rock/a"
        assert file.copies == ()
        if file.uri[-4:].lstrip(".") in bad:
            raise DecodeError("truncated", "cut")
        return f"read {file.uri}"

    return attempt


def listed(rejects: list[Reject]) -> list[tuple[str, str, str]]:
    return [(one.track_id, one.reason, one.detail) for one in rejects]


def test_the_first_file_is_read_and_the_others_are_named() -> None:
    used, rejects = first_usable(SONG, attempt_without())
    assert used is not None
    assert (used.file.uri, used.result) == ("/d/Rock/a.flac", "read /d/Rock/a.flac")
    assert listed(rejects) == [
        ("Rock/a.mp3", "other_format", "a.flac is read"),
        ("Rock/a.wav", "other_format", "a.flac is read"),
    ]


def test_a_bad_file_gives_way_to_the_next_one() -> None:
    used, rejects = first_usable(SONG, attempt_without("flac"))
    assert used is not None
    assert (used.file.track_id, used.file.uri) == ("Rock/a", "/d/Rock/a.mp3")
    assert listed(rejects) == [
        ("Rock/a.flac", "truncated", "cut; a.mp3 is read instead"),
        ("Rock/a.wav", "other_format", "a.mp3 is read"),
    ]


def test_of_bad_files_alone_the_first_one_has_the_id() -> None:
    used, rejects = first_usable(SONG, attempt_without("flac", "mp3", "wav"))
    assert used is None
    assert listed(rejects) == [
        ("Rock/a", "truncated", "cut"),
        ("Rock/a.mp3", "truncated", "cut"),
        ("Rock/a.wav", "truncated", "cut"),
    ]


def test_a_duplicate_is_one_with_all_its_files() -> None:
    assert listed(list(duplicate_rejects([SONG], {"Rock/a": "Jazz/b"}))) == [
        ("Rock/a", "duplicate", "same audio as Jazz/b"),
        ("Rock/a.mp3", "duplicate", "same audio as Jazz/b"),
        ("Rock/a.wav", "duplicate", "same audio as Jazz/b"),
    ]


@pytest.fixture
def album(tmp_path: pathlib.Path) -> DatasetSettings:
    """Make six songs as FLAC and MP3, of which one FLAC file is cut and one MP3 is no audio."""
    rng = np.random.default_rng(0)
    for genre in ("Jazz", "Rock"):
        (tmp_path / genre).mkdir()
        for index in range(3):
            sound = rng.uniform(-0.5, 0.5, 8 * 8000).astype(np.float32)
            for extension in ("flac", "mp3"):
                soundfile.write(tmp_path / genre / f"{index}.{extension}", sound, 8000)
    cut = tmp_path / "Rock" / "1.flac"
    cut.write_bytes(cut.read_bytes()[:20000])
    (tmp_path / "Jazz" / "2.mp3").write_bytes(b"no audio" * 100)
    return DatasetSettings(kind="folder", data_dir=str(tmp_path))


def test_shards_and_check_data_agree_on_an_album_in_two_formats(
    album: DatasetSettings, tmp_path: pathlib.Path
) -> None:
    corpus = load_corpus(album, SplitSettings(policy="by_track"))
    assert [track.track_id for track in corpus.tracks] == [
        f"{genre}/{index}" for genre in ("Jazz", "Rock") for index in range(3)
    ]
    assert corpus.tracks_listed == 12
    splits = {t.track_id: (corpus.split_of_clip(t.track_id, 0),) * 4 for t in corpus.tracks}
    options = WriteOptions(
        params=PARAMS, genres=corpus.genres, clip_seed=0, directory=str(tmp_path / "out"),
        store=str(tmp_path / "store"),
    )  # fmt: skip
    for attempt in range(2):  # the second time from the store
        results = [write_shard(shard, options) for shard in plan_shards(corpus.tracks, splits, 9)]
        rejects = sorted(reject for result in results for reject in result.rejects)
        written = {entry[0]: entry[1] for result in results for entry in result.written}
        assert written == {
            track.track_id: track.copies[0].uri if track.track_id == "Rock/1" else track.uri
            for track in corpus.tracks
        }
        assert sum(result.tracks_decoded for result in results) == (6 if attempt == 0 else 0)
        assert len(written) + len(rejects) == corpus.tracks_listed
        assert [(r.track_id, r.reason) for r in rejects if r.reason != "other_format"] == [
            ("Rock/1.flac", "truncated")
        ]
    for full in (True, False):
        found = survey_files(
            corpus.tracks, PARAMS, full=full, clip_seed=0, limits=None, advance=lambda: None
        )
        if full:
            assert sorted(found.rejects) == rejects
        assert len(found.rejects) == 6


def test_a_file_that_is_listed_under_another_tracks_id_costs_that_track_nothing(
    tmp_path: pathlib.Path,
) -> None:
    """The copy a.ogg of the track a is listed as a.ogg, which is the id of a.ogg.wav."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 44100).astype(np.float32)
    tracks = []
    for name in ("a.flac", "a.ogg", "a.ogg.wav"):
        soundfile.write(tmp_path / name, np.roll(sound, 7 * len(name)), 22050)
        path = tmp_path / name
        tracks.append(Track(str(pathlib.Path(name).with_suffix("")), str(path), "Rock"))
    first, copy, other = tracks
    found = survey_files(
        [dataclasses.replace(first, copies=(copy,)), other],
        PARAMS, full=True, clip_seed=0, limits=None, advance=lambda: None,
    )  # fmt: skip
    assert [(one.track_id, one.reason) for one in found.rejects] == [("a.ogg", "other_format")]
    assert found.unusable == frozenset()


def test_the_digest_sees_the_copies(album: DatasetSettings) -> None:
    split = SplitSettings(policy="by_track")
    before = load_corpus(album, split)
    copy = pathlib.Path(before.tracks[0].copies[0].uri)
    copy.write_bytes(copy.read_bytes() + b"\0")
    after = load_corpus(album, split)
    assert after.digest != before.digest
    copy.unlink()
    without = load_corpus(album, split)
    assert without.digest not in (before.digest, after.digest)
    assert dataclasses.asdict(without.splits) == dataclasses.asdict(before.splits)
