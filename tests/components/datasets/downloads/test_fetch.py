"""Downloads from a server that breaks off, lies, changes its mind, or sends something else."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.datasets.downloads import fetch as fetch_module
from components.datasets.downloads.archives import ARCHIVES, Archive, with_needed
from components.datasets.downloads.fetch import DownloadError, fetch
from tests.support.file_server import Files, serve_files

CONTENT = bytes(range(256)) * 40


def _archive(content: bytes = CONTENT, *urls: str) -> Archive:
    return Archive(
        name="music",
        urls=urls or ("http://127.0.0.1:9/music.zip",),
        checksum=f"sha1:{hashlib.sha1(content).hexdigest()}",
        size_bytes=len(content),
        unpacked_bytes=len(content),
        folder="music",
        licence="CC0",
    )


def _fetch(
    served: Files, folder: pathlib.Path, archive: Archive | None = None
) -> tuple[bytes, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    archive = archive or _archive(CONTENT, f"{served.url}/music.zip")
    path = fetch(archive, folder, lambda done, total: seen.append((done, total)))
    assert path == str(folder / "music.zip")
    return pathlib.Path(path).read_bytes(), seen


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module.time, "sleep", lambda seconds: None)


def test_a_file_arrives_whole_and_alone(tmp_path: pathlib.Path) -> None:
    with serve_files(files={"/music.zip": CONTENT}) as served:
        content, seen = _fetch(served, tmp_path)
        assert content == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert [path.name for path in tmp_path.iterdir()] == ["music.zip"]
        _fetch(served, tmp_path)
    assert len(served.asked) == 1  # it was there


@given(breaks=st.lists(st.integers(0, len(CONTENT)), max_size=5))
@settings(max_examples=25)
def test_what_broke_off_goes_on_where_it_was(breaks: list[int]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_files(files={"/music.zip": CONTENT}, break_after=list(breaks)) as served,
    ):
        content, _ = _fetch(served, pathlib.Path(folder))
    assert content == CONTENT
    have, expected = 0, [""]
    for first in breaks:
        have = min(have + first, len(CONTENT))
        if have == len(CONTENT):
            break
        expected.append(f"bytes={have}-" if have else "")
    assert [wanted for _, wanted in served.asked] == expected


def test_another_command_goes_on_where_a_killed_one_was(tmp_path: pathlib.Path) -> None:
    with serve_files(files={"/music.zip": CONTENT}, break_after=[4000, *[0] * 6]) as served:
        with pytest.raises(DownloadError, match=r"ended the transfer too early; 0 MB are kept"):
            _fetch(served, tmp_path)
        assert _fetch(served, tmp_path)[0] == CONTENT
    assert served.asked[-1] == ("/music.zip", "bytes=4000-")


def test_a_file_that_changed_meanwhile_is_not_mixed(tmp_path: pathlib.Path) -> None:
    new = CONTENT[::-1]
    with serve_files(files={"/music.zip": CONTENT}, break_after=[4000, *[0] * 6]) as served:
        archive = _archive(new, f"{served.url}/music.zip")
        with pytest.raises(DownloadError):
            _fetch(served, tmp_path, archive)
        served.files["/music.zip"], served.etag = new, '"2"'
        assert _fetch(served, tmp_path, archive)[0] == new


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_a_strong_etag_it_begins_anew(tmp_path: pathlib.Path, etag: str) -> None:
    with serve_files(files={"/music.zip": CONTENT}, break_after=[4000], etag=etag) as served:
        assert _fetch(served, tmp_path)[0] == CONTENT
    assert [wanted for _, wanted in served.asked] == ["", ""]


def test_a_server_without_ranges_begins_anew(tmp_path: pathlib.Path) -> None:
    with serve_files(files={"/music.zip": CONTENT}, break_after=[4000], ranges=False) as served:
        assert _fetch(served, tmp_path)[0] == CONTENT


def test_a_server_without_a_length_is_trusted_to_its_end(tmp_path: pathlib.Path) -> None:
    with serve_files(files={"/music.zip": CONTENT}, announced=0) as served:
        content, seen = _fetch(served, tmp_path)
    assert content == CONTENT
    assert {total for _, total in seen} == {0}


@pytest.mark.parametrize(
    ("announced", "reason"),
    [(len(CONTENT) + 1, "ended the transfer too early"), (100, "another sha1 than the published")],
)
def test_a_wrong_length_is_told(tmp_path: pathlib.Path, announced: int, reason: str) -> None:
    with (
        serve_files(files={"/music.zip": CONTENT}, announced=announced) as served,
        pytest.raises(DownloadError, match=reason),
    ):
        _fetch(served, tmp_path)
    assert not (tmp_path / "music.zip").exists()


def test_wrong_bytes_are_removed_and_the_next_place_is_asked(tmp_path: pathlib.Path) -> None:
    with serve_files(files={"/a/music.zip": b"x" * 9, "/b/music.zip": CONTENT}) as served:
        archive = _archive(CONTENT, f"{served.url}/a/music.zip", f"{served.url}/b/music.zip")
        assert _fetch(served, tmp_path, archive)[0] == CONTENT
        served.files["/b/music.zip"] = b"y"
        (tmp_path / "music.zip").unlink()
        with pytest.raises(DownloadError, match=r"(?s)a/music.zip: .*b/music.zip: .*--mirror URL"):
            _fetch(served, tmp_path, archive)
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_takes_the_place_of_the_published_ones(tmp_path: pathlib.Path) -> None:
    with serve_files(files={"/copies/music.zip": CONTENT}) as served:
        path = fetch(_archive(), tmp_path, lambda done, total: None, f"{served.url}/copies/")
    assert pathlib.Path(path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [(404, "404 Not Found", 1), (403, "403 Forbidden", 1), (503, "503 Service Unavailable", 6)],
)
def test_a_refusal_is_told_and_trouble_is_tried_again(
    tmp_path: pathlib.Path, status: int, reason: str, requests: int
) -> None:
    with (
        serve_files(files={}, status=status) as served,
        pytest.raises(DownloadError, match=rf"music\.zip: {reason}"),
    ):
        _fetch(served, tmp_path)
    assert len(served.asked) == requests


def test_a_machine_without_a_network_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DownloadError, match="cannot be reached; is this machine offline"):
        fetch(_archive(), tmp_path, lambda done, total: None)


def test_a_mirror_that_is_no_url_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DownloadError, match=r"nonsense/music\.zip: not a URL"):
        fetch(_archive(), tmp_path, lambda done, total: None, "nonsense")


def test_published_archives_are_complete_entries() -> None:
    for name, archive in ARCHIVES.items():
        algorithm, _, digest = archive.checksum.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size
        assert {url.rpartition("/")[2] for url in archive.urls} == {archive.file_name}
        assert with_needed(name)[-1] is archive
    assert [one.name for one in with_needed("fma_large")] == ["fma_metadata", "fma_large"]
    assert dataclasses.replace(ARCHIVES["gtzan"]).file_name == "genres.tar.gz"
