"""Tests of listing a catalogue: folders, objects, manifests, and a million rows."""

from __future__ import annotations

import json
import os
import pathlib
import tracemalloc
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from components.common.errors import GenreflowError, UsageError
from genreflow.labelling import catalogue, listing
from genreflow.labelling.catalogue import list_files, place_of
from genreflow.labelling.parts import Listed
from genreflow.labelling.table import TableFolder, part_of


def listed(place: str | os.PathLike[str]) -> dict[str, Listed]:
    found = list(list_files(place_of(str(place))))
    assert len({file.uri for file in found}) == len(found)
    return {file.uri: file for file in found}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    music = tmp_path / "music"
    for name in ("a.mp3", "Ä/b.FLAC", "Ä/c/d.wav", ".hidden/e.mp3", "Ä/.f.mp3", "cover.jpg"):
        path = music / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (music / "empty.ogg").touch()
    (music / "notes.mid").write_bytes(b"x")
    (music / "gone.mp3").symlink_to("nowhere")
    (music / "away.mp3").symlink_to(tmp_path / "outside.mp3")
    (tmp_path / "outside.mp3").write_bytes(b"x")
    (music / "linked").symlink_to(music / "Ä")
    return music


def test_a_folder_gives_its_audio_with_states_and_reasons(folder: pathlib.Path) -> None:
    found = listed(folder)
    reasons = {os.path.relpath(uri, folder): file.reason for uri, file in found.items()}
    assert reasons == {
        "a.mp3": "",
        "Ä/b.FLAC": "",
        "Ä/c/d.wav": "",
        "empty.ogg": "empty_file",
        "notes.mid": "undecodable",
        "gone.mp3": "missing_file",
        "away.mp3": "outside_root",
        "linked": "bad_metadata",
    }
    song = found[str(folder / "Ä/b.FLAC")]
    status = (folder / "Ä/b.FLAC").stat()
    assert song == Listed(song.uri, "Ä/b", 1, str(status.st_mtime_ns))


def test_names_that_are_no_text_are_rejects_that_can_be_written(folder: pathlib.Path) -> None:
    (pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/\xff.mp3"))).write_bytes(b"x")
    (folder / "line\nbreak.mp3").write_bytes(b"x")
    found = [file for file in list_files(str(folder)) if file.reason == "bad_metadata"]
    assert len(found) == 3
    for file in found:
        assert (file.uri + file.track_id + file.detail).encode()


def test_a_folder_that_cannot_be_read_is_a_reject(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path.endswith("Ä"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = listed(folder)
    assert "cannot be read: Permission denied" in found[str(folder / "Ä")].detail
    assert str(folder / "a.mp3") in found


def test_a_manifest_needs_only_uris_which_may_lead_anywhere(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    outside = tmp_path / "outside.mp3"
    lines = [
        "track_id,uri",
        "one,a.mp3",
        f",{outside}",
        "three,Ä/none.mp3",
        "four,s3://bucket/songs/x.mp3",
        ",https://example.org/x.mp3",
        "six,a.mp3,too many",
        "seven,",
        "eight,empty.ogg",
        "nine,Ä",
    ]
    (folder / "list.csv").write_text("\n".join(lines))
    found = list(list_files(str(folder / "list.csv")))
    assert [(file.track_id, file.reason) for file in found] == [
        ("one", ""),
        ("../outside", ""),
        ("three", "missing_file"),
        ("four", ""),
        (found[4].track_id, "bad_metadata"),
        ("six", "bad_metadata"),
        ("", "bad_metadata"),
        ("eight", "empty_file"),
        ("nine", "missing_file"),
    ]
    assert found[0].uri == str(folder / "a.mp3")
    assert found[0].size_bytes == 1
    assert found[1].uri == str(outside)
    # A worker asks the store for its state.
    assert found[3] == Listed("s3://bucket/songs/x.mp3", "four")
    assert "manifest line 8: no uri" in found[6].detail


def test_a_remote_uri_without_an_id_is_its_own(tmp_path: pathlib.Path) -> None:
    (tmp_path / "list.csv").write_text("uri\ns3://bucket/x/song.mp3\n")
    (file,) = list_files(str(tmp_path / "list.csv"))
    assert file.track_id == "s3://bucket/x/song"


def test_objects_are_listed_by_their_names(s3: Any, bucket: str) -> None:
    for key in (
        "m/a.mp3", "m/b/c.flac", "m/.d.mp3", "m/.e/f.mp3", "m/g.txt", "m/h.mid", "m//i.mp3",
        "n.mp3",
    ):  # fmt: skip
        s3.put_object(Bucket=bucket, Key=key, Body=b"audio")
    s3.put_object(Bucket=bucket, Key="m/j.wav", Body=b"")
    root = f"s3://{bucket}/m"
    found = listed(f"{root}/")
    assert {uri.removeprefix(root): file.reason for uri, file in found.items()} == {
        "/a.mp3": "",
        "/b/c.flac": "",
        "/h.mid": "undecodable",
        "//i.mp3": "bad_metadata",
        "/j.wav": "empty_file",
    }
    song = found[f"{root}/a.mp3"]
    assert (song.track_id, song.size_bytes) == ("a", 5)
    assert song.file_version


def test_a_manifest_in_a_store_names_objects_below_it(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="m/list.csv", Body=b"uri\na.mp3\ns3://other/b.mp3\n")
    found = list(list_files(f"s3://{bucket}/m/list.csv"))
    assert [file.uri for file in found] == [f"s3://{bucket}/m/a.mp3", "s3://other/b.mp3"]
    with pytest.raises(UsageError, match=r"none.csv: no such manifest"):
        list(list_files(f"s3://{bucket}/m/none.csv"))


def test_places_without_audio_are_refused(tmp_path: pathlib.Path, s3: Any, bucket: str) -> None:
    (tmp_path / "empty.csv").write_text("uri\n")
    for place, why in {
        str(tmp_path / "none"): "does not exist",
        str(tmp_path / "empty.csv"): "no tracks",
        f"s3://{bucket}/none": "there is no audio in it",
    }.items():
        with pytest.raises(GenreflowError, match=why):
            list(list_files(place))
    with pytest.raises(UsageError, match="--data-dir is empty"):
        place_of(" ")


def many(count: int) -> Iterator[Listed]:
    for number in range(count):
        bad = not number % 1000
        yield Listed(
            "" if bad else f"/music/{number % 977}/{number:07d} ü.mp3",
            "" if bad else f"{number}",
            None if bad else 12345,
            "" if bad else str(number),
            "bad_metadata" if bad else "",
            f"manifest line {number}: no uri" if bad else "",
        )


def _distributed(folder: TableFolder, count: int, parts: int) -> int:
    """Return the peak of Python's memory while a catalogue is listed."""
    tracemalloc.start()
    with listing.spooled(many(count), lambda _: None) as spool:
        assert spool.count == count
        listing.distribute(spool, folder, parts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_the_listing_of_a_catalogue_needs_no_more_memory_for_more_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_MAX_HELD_CHARACTERS", 100_000)
    small = _distributed(TableFolder(str(tmp_path / "small")), 2000, 20)
    large = _distributed(TableFolder(str(tmp_path / "large")), 40_000, 20)
    assert large < 1.3 * small


@hypothesis.given(
    st.lists(
        st.builds(
            Listed,
            uri=st.text(),
            track_id=st.text(),
            size_bytes=st.none() | st.integers(0, 2**40),
            file_version=st.text(),
            reason=st.sampled_from(["", "missing_file"]),
            detail=st.text(),
        )
    ),
    st.integers(1, 5),
)
def test_every_file_is_in_the_listing_of_its_part_as_it_was(
    files: list[Listed], parts: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        folder = TableFolder(root)
        with listing.spooled(files, lambda _: None) as spool:
            listing.distribute(spool, folder, parts)
        for index in range(parts):
            expected = [file for file in files if part_of(file.uri or file.detail, parts) == index]
            assert listing.read_listing(folder, index) == expected
        assert listing.read_listing(folder, parts) is None


def test_the_listing_of_a_remote_table_is_objects(s3: Any, bucket: str) -> None:
    folder = TableFolder(f"s3://{bucket}/labels")
    with listing.spooled(many(50), lambda _: None) as spool:
        listing.distribute(spool, folder, 4)
    found = [listing.read_listing(folder, index) or [] for index in range(4)]
    assert sorted(json.dumps(vars(file)) for part in found for file in part) == sorted(
        json.dumps(vars(file)) for file in many(50)
    )


def test_a_single_file_is_sent_to_predict(folder: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"is one audio file; .*genreflow predict"):
        list(list_files(str(folder / "a.mp3")))
    assert catalogue.OPTION == "--data-dir"


def test_objects_of_a_manifest_are_looked_up_by_the_page(
    s3: Any, bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        body = b"audio" if number else b""
        s3.put_object(Bucket=bucket, Key=f"music/{number:02}.mp3", Body=body)
    rows = [f"s3://{bucket}/music/{number:02}.mp3" for number in range(0, 32, 2)]
    (tmp_path / "list.csv").write_text("uri\n" + "\n".join(rows))
    folder = TableFolder(str(tmp_path / "table"))

    def read() -> list[Listed]:
        with listing.spooled(list_files(str(tmp_path / "list.csv")), lambda _: None) as spool:
            listing.distribute(spool, folder, 3)
        found = [file for index in range(3) for file in listing.read_listing(folder, index) or ()]
        assert sorted(file.uri for file in found) == rows
        return sorted(found, key=lambda file: file.uri)

    found = read()
    assert found[0].reason == "empty_file"
    assert all(file.size_bytes == 5 and file.file_version for file in found[1:-1])
    assert found[-1].file_version == ""  # it does not exist, as a worker will find
    monkeypatch.setattr(listing, "MAX_LISTED_PER_UNKNOWN", 1)
    known = sum(bool(file.file_version or file.reason) for file in read())
    assert known == 8  # among the first 16 objects
