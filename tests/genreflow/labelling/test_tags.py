"""Tests of genres in tags: every format, and audio that stays what it was."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import re
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from benchmarks.shared import av_files
from components.audio.decoding.decoder import InProcessDecoder
from components.common.errors import UsageError
from genreflow.labelling import tag_formats, tags
from genreflow.labelling.catalogue import with_state
from genreflow.labelling.stage import Job
from genreflow.labelling.table import Row, TableFolder
from genreflow.labelling.tag_formats import TagError
from genreflow.labelling.tags import Tagger, TagOptions, check_usable, own_versions
from tests.conftest import raise_missing
from tests.genreflow.labelling.fake_labels import FakeLabels, fake_row, job_of, run

RATE_HZ = 22050
SOUND = np.random.default_rng(1).normal(0, 0.1, (RATE_HZ, 2)).astype(np.float32)
WRITE = TagOptions(min_probability=0.5, overwrite=False, dry_run=False)


@pytest.fixture(scope="module", autouse=True)
def _mutagen() -> None:
    try:
        import mutagen  # noqa: F401
    except ImportError:
        raise_missing("the Python package mutagen (the extra genreflow[tags])")


def _by_libsndfile(kind: str, subtype: str) -> Callable[[pathlib.Path], None]:
    return lambda path: soundfile.write(path, SOUND, RATE_HZ, format=kind, subtype=subtype)


def _by_ffmpeg(
    codec: str, container: str, sample_format: str = ""
) -> Callable[[pathlib.Path], None]:
    def write(path: pathlib.Path) -> None:
        av_files.write(
            path, SOUND, RATE_HZ, codec=codec, container=container, sample_format=sample_format
        )

    return write


FORMATS: dict[str, Callable[[pathlib.Path], None]] = {
    "mp3": _by_libsndfile("MP3", "MPEG_LAYER_III"),
    "wav": _by_libsndfile("WAV", "PCM_16"),
    "aiff": _by_libsndfile("AIFF", "PCM_16"),
    "flac": _by_libsndfile("FLAC", "PCM_16"),
    "ogg": _by_libsndfile("OGG", "VORBIS"),
    "m4a": _by_ffmpeg("aac", "ipod"),
    "wma": _by_ffmpeg("wmav2", "asf"),
    "wv": _by_ffmpeg("wavpack", "wv", "s16p"),
    "tta": _by_ffmpeg("tta", "tta", "s16"),
}


def row_of(path: pathlib.Path, genre: str = "Rock", probability: float = 0.9) -> Row:
    file = with_state(str(path), path.stem)
    return Row(
        uri=file.uri,
        track_id=file.track_id,
        size_bytes=file.size_bytes,
        file_version=file.file_version,
        model_version="1",
        model_digest="d",
        genre=genre,
        probability=probability,
    )


def write_one(row: Row, journal: pathlib.Path, options: TagOptions = WRITE) -> tuple[Row, str]:
    (written,), report = Tagger(options, str(journal)).write([row])
    (outcome,) = report.outcomes
    assert bool(report.problems) == (outcome == tags.FAILED)
    return written, outcome


@pytest.fixture
def song(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "music" / "a.mp3"
    path.parent.mkdir()
    FORMATS["mp3"](path)
    return path


@pytest.mark.usefixtures("pyav")
@pytest.mark.parametrize("extension", FORMATS)
def test_a_tag_is_written_and_the_audio_stays(extension: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"a.{extension}"
    FORMATS[extension](path)
    path.chmod(0o640)
    before, decoder = row_of(path), InProcessDecoder()
    digest = decoder.digest(path)
    samples = decoder.decode(path, RATE_HZ).samples
    assert tag_formats.read_genres(str(path)) == []

    row, outcome = write_one(before, tmp_path / "journal")
    assert outcome == tags.WRITTEN
    assert tag_formats.read_genres(str(path)) == ["Rock"]
    assert decoder.digest(path) == digest
    np.testing.assert_array_equal(decoder.decode(path, RATE_HZ).samples, samples)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.glob("*.*")] == [path.name]
    # The row has the new state, which is also noted for a run that is killed here.
    status = path.stat()
    assert (row.size_bytes, row.file_version) == (status.st_size, str(status.st_mtime_ns))
    assert row != before
    noted = own_versions(str(tmp_path / "journal"))
    assert noted == {str(path): {row.file_version}}

    assert write_one(row, tmp_path / "journal")[1] == tags.SAME
    other = dataclasses.replace(row, genre="Folk & Co")
    assert write_one(other, tmp_path / "journal")[1] == tags.HAS_GENRE
    overwrite = dataclasses.replace(WRITE, overwrite=True)
    row, outcome = write_one(other, tmp_path / "journal", overwrite)
    assert outcome == tags.WRITTEN
    assert tag_formats.read_genres(str(path)) == ["Folk & Co"]
    assert decoder.digest(path) == digest


@pytest.mark.parametrize("version", [3, 4])
def test_other_tags_and_the_version_of_the_tag_stay(song: pathlib.Path, version: int) -> None:
    from mutagen.id3 import APIC, COMM, ID3, TIT2, TRCK, TYER

    given = ID3()
    for frame in (
        TIT2(encoding=1, text=["Söng"]),
        TRCK(encoding=0, text=["3/9"]),
        TYER(encoding=0, text=["1999"]),
        COMM(encoding=1, lang="eng", desc="", text=["kept"]),
        APIC(encoding=0, mime="image/png", type=3, desc="", data=b"picture" * 100),
    ):
        given.add(frame)
    given.save(song, v2_version=version)
    audio = song.read_bytes()[ID3(song).size :]

    assert write_one(row_of(song), song.parent / "journal")[1] == tags.WRITTEN
    found = ID3(song, translate=False)
    assert found.version == (2, version, 0)
    assert found["TIT2"].text == ["Söng"]
    assert found["TRCK"].text == ["3/9"]
    assert "1999" in str(found.get("TYER") or found["TDRC"])
    assert found.getall("COMM")[0].text == ["kept"]
    assert found.getall("APIC")[0].data == b"picture" * 100
    assert song.read_bytes().endswith(audio)


def test_improbable_genres_are_left_out(song: pathlib.Path) -> None:
    before = song.read_bytes()
    assert write_one(row_of(song, probability=0.49), song.parent / "j")[1] == tags.IMPROBABLE
    assert song.read_bytes() == before


def test_a_dry_run_changes_nothing(song: pathlib.Path) -> None:
    before = song.read_bytes(), song.stat().st_mtime_ns
    options = dataclasses.replace(WRITE, dry_run=True)
    row, outcome = write_one(row_of(song), song.parent / "j", options)
    assert (row, outcome) == (row_of(song), tags.WOULD_WRITE)
    assert (song.read_bytes(), song.stat().st_mtime_ns) == before
    assert os.listdir(song.parent) == [song.name]


@pytest.mark.parametrize("protected", ["file", "folder"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_read_only_files_are_left_alone_even_by_root(
    song: pathlib.Path, protected: str, dry_run: bool, tmp_path: pathlib.Path
) -> None:
    place = song if protected == "file" else song.parent
    before = song.read_bytes()
    place.chmod(0o555)
    try:
        options = dataclasses.replace(WRITE, dry_run=dry_run)
        assert write_one(row_of(song), tmp_path / "j", options)[1] == tags.FAILED
        if protected == "folder":
            if dry_run:
                check_usable(str(song.parent), dry_run=True)
            else:
                with pytest.raises(UsageError, match=r"music: .* read-only; make it writable"):
                    check_usable(str(song.parent), dry_run=False)
        assert song.read_bytes() == before
    finally:
        place.chmod(0o755)


def test_a_file_that_changed_since_it_was_listed_is_left_alone(song: pathlib.Path) -> None:
    row = row_of(song)
    song.write_bytes(song.read_bytes() + b"\0")
    before = song.read_bytes()
    assert write_one(row, song.parent / "j")[1] == tags.CHANGED
    assert song.read_bytes() == before


def test_a_tag_that_would_change_the_audio_is_not_written(
    song: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damage(path: str, genre: str) -> None:
        content = pathlib.Path(path).read_bytes()
        pathlib.Path(path).write_bytes(content[: len(content) // 2])

    monkeypatch.setattr(tags, "write_genre", damage)
    before = song.read_bytes()
    assert write_one(row_of(song), song.parent.parent / "j")[1] == tags.FAILED
    assert song.read_bytes() == before
    assert os.listdir(song.parent) == [song.name]


@pytest.mark.usefixtures("pyav")
def test_formats_without_tags_and_damaged_files_are_told(tmp_path: pathlib.Path) -> None:
    text, stream, damaged = (tmp_path / name for name in ("a.txt", "a.aac", "a.mp3"))
    text.write_text("words")
    _by_ffmpeg("aac", "adts")(stream)
    damaged.write_bytes(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f")
    for path, outcome in {text: tags.NO_TAGS, stream: tags.NO_TAGS, damaged: tags.FAILED}.items():
        assert write_one(row_of(path), tmp_path / "j")[1] == outcome


def test_links_are_followed_and_stay_links(song: pathlib.Path, tmp_path: pathlib.Path) -> None:
    link = tmp_path / "link.mp3"
    link.symlink_to(song)
    assert write_one(row_of(link), tmp_path / "j")[1] == tags.WRITTEN
    assert link.is_symlink()
    assert tag_formats.read_genres(str(song)) == ["Rock"]


def test_objects_have_no_tags_to_write(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"s3://b/m: --write-tags writes local files only"):
        check_usable("s3://b/m", dry_run=True)
    row = dataclasses.replace(fake_row(with_state("/none", ""), job_of(tmp_path).stamp))
    remote = dataclasses.replace(row, uri="s3://b/a.mp3", genre="Rock", probability=1.0)
    assert write_one(remote, tmp_path / "j")[1] == tags.NO_TAGS


def test_our_own_tags_are_no_reason_to_label_again(tmp_path: pathlib.Path) -> None:
    music, table = tmp_path / "music", tmp_path / "table"
    music.mkdir()
    encoded = io.BytesIO()
    soundfile.write(encoded, SOUND, RATE_HZ, format="MP3")
    for index in range(4):
        (music / f"{index}.mp3").write_bytes(encoded.getvalue())
    job = dataclasses.replace(job_of(table, parts=1), tags=WRITE)

    def listed() -> list[object]:
        return [with_state(str(path), path.stem) for path in sorted(music.iterdir())]

    (result,) = run(job, listed(), FakeLabels())  # type: ignore[arg-type]
    assert result.tags.outcomes[tags.WRITTEN] >= 2
    again = FakeLabels()
    run(job, listed(), again)  # type: ignore[arg-type]
    assert again.labelled == []


class KilledError(Exception):
    """End of a process."""


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_the_replacement_of_a_file_is_no_reason_either(
    moment: str,
    resumed: bool,
    tmp_path: pathlib.Path,
    song: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = with_state(str(song), "a")  # the listing that --resume takes up
    monkeypatch.setattr(
        "tests.genreflow.labelling.fake_labels.fake_row",
        lambda file, stamp: dataclasses.replace(
            row_of(pathlib.Path(file.uri)), model_digest=stamp.digest, model_version=stamp.version
        ),
    )
    job: Job = dataclasses.replace(job_of(tmp_path / "table", parts=1), tags=WRITE)
    replace, copies = os.replace, []

    def killed(source: object, target: object) -> None:
        if re.search(r"\.genreflow-", str(source)):
            copies.append(os.path.basename(str(source)))
            if moment == "after":
                replace(source, target)  # type: ignore[call-overload]
            raise KilledError
        replace(source, target)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KilledError):
            run(job, [with_state(str(song), "a")], FakeLabels())
    assert bool(tag_formats.read_genres(str(song))) == (moment == "after")
    assert list(pathlib.Path(TableFolder(job.root).pieces(0)).iterdir())
    leftover = song.with_name(next(iter(copies)))
    leftover.write_bytes(b"half a copy")  # as a process that is killed leaves it
    again = FakeLabels()
    (result,) = run(job, [before if resumed else with_state(str(song), "a")], again)
    assert again.labelled == []
    assert tag_formats.read_genres(str(song)) == ["Rock"]
    assert os.listdir(song.parent) == [song.name]
    assert result.tags.outcomes == {tags.SAME if moment == "after" else tags.WRITTEN: 1}
    run(job, [with_state(str(song), "a")], again)
    assert again.labelled == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_file_whose_owner_would_change_is_left_alone(
    song: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    os.chown(song, 12345, -1)
    before = song.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", refuse)
        _, report = Tagger(WRITE, str(tmp_path / "j")).write([row_of(song)])
    assert "belongs to another user or group" in report.problems[0][1]
    assert song.read_bytes() == before
    assert os.listdir(song.parent) == [song.name]
    assert write_one(row_of(song), tmp_path / "j")[1] == tags.WRITTEN
    assert song.stat().st_uid == 12345


def test_a_note_deletes_no_file_that_is_no_copy(tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other.mp3"
    other.touch()
    (tmp_path / "journal").mkdir()
    note = json.dumps([str(tmp_path / "a.mp3"), "1", other.name])
    (tmp_path / "journal" / "0.tag.json").write_text(note)
    assert own_versions(str(tmp_path / "journal")) == {str(tmp_path / "a.mp3"): {"1"}}
    assert other.exists()


def test_errors_of_the_disk_are_told_as_what_they_are(
    song: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mutagen

    def full(*_: object, **__: object) -> None:
        raise mutagen.MutagenError(OSError(28, "No space left on device"))

    monkeypatch.setattr("mutagen.mp3.MP3.save", full)
    with pytest.raises(OSError, match="No space left on device"):
        tag_formats.write_genre(str(song), "Rock")


@pytest.mark.usefixtures("pyav")
@pytest.mark.parametrize("extension", ["mp3", "ogg", "wma", "wv", "m4a", "flac"])
def test_damaged_files_never_end_a_run(extension: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"a.{extension}"
    FORMATS[extension](path)
    tag_formats.write_genre(str(path), "Rock")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(80):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(damaged), 600), rng.integers(1, 30)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: len(damaged) if rng.random() < 0.7 else rng.integers(1, 900)])
        for work in (tag_formats.read_genres, lambda path: tag_formats.write_genre(path, "Folk")):
            try:
                work(str(path))
            except (TagError, OSError):
                failed += 1
    assert failed > 3
