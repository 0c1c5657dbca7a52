"""`genreflow download`, typed, from a server on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pathlib
import zipfile

import pytest
from typer.testing import CliRunner

from components.datasets.downloads import archives as module
from components.datasets.downloads.archives import ARCHIVES
from genreflow.cli.app import app
from tests.support.file_server import Files, serve_files


def _archive(folder: str, files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}/{name}", content)
    return made.getvalue()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch):
    """Yield a server of small archives in place of FMA's."""
    small = _archive("fma_small", {"000/000002.mp3": b"music" * 100})
    metadata = _archive("fma_metadata", {"tracks.csv": b"id"})
    with serve_files(files={"/fma_small.zip": small, "/fma_metadata.zip": metadata}) as files:
        for name, content in (("fma_small", small), ("fma_metadata", metadata)):
            archive = dataclasses.replace(
                ARCHIVES[name],
                urls=(f"{files.url}/{name}.zip",),
                checksum=f"sha1:{hashlib.sha1(content).hexdigest()}",
                size_bytes=len(content),
                unpacked_bytes=1000,
            )
            monkeypatch.setitem(module.ARCHIVES, name, archive)
        yield files


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["download", *words])
    return result.exit_code, result.output


def test_audio_comes_with_its_metadata_and_what_to_do_next(
    served: Files, tmp_path: pathlib.Path
) -> None:
    place = tmp_path / "music" / "fma"
    status, output = _run("fma_small", str(place))
    assert status == 0, output
    assert (place / "fma_small" / "000" / "000002.mp3").read_bytes() == b"music" * 100
    assert (place / "fma_metadata" / "tracks.csv").read_bytes() == b"id"
    assert sorted(path.name for path in place.iterdir()) == ["fma_metadata", "fma_small"]
    assert "metadata under CC BY 4.0" in output
    assert "Creative Commons licence that each artist chose" in output
    assert output.endswith(f"next: genreflow run --config fma_small --data-dir {place}\n")


def test_what_is_there_is_not_downloaded_again(served: Files, tmp_path: pathlib.Path) -> None:
    _run("fma_metadata", str(tmp_path), "--keep")
    assert (tmp_path / "fma_metadata.zip").exists()
    served.asked.clear()
    status, output = _run("fma_metadata", str(tmp_path))
    assert (status, served.asked) == (0, [])
    assert output == f"{tmp_path / 'fma_metadata'} is there already\n"


def test_a_mirror_is_asked_instead(served: Files, tmp_path: pathlib.Path) -> None:
    served.files["/copies/fma_metadata.zip"] = served.files.pop("/fma_metadata.zip")
    status, output = _run("fma_metadata", str(tmp_path), "--mirror", f"{served.url}/copies")
    assert status == 0, output
    assert f"from {served.url}/copies" in output


def test_another_file_than_the_published_one_is_told(served: Files, tmp_path: pathlib.Path) -> None:
    served.files["/fma_metadata.zip"] = b"sorry"
    status, output = _run("fma_metadata", str(tmp_path))
    assert status == 1
    assert "genreflow: http://127.0.0.1" in output
    assert "has another sha1 than the published one" in output
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before(
    served: Files, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = dataclasses.replace(ARCHIVES["fma_metadata"], unpacked_bytes=10**18)
    monkeypatch.setitem(module.ARCHIVES, "fma_metadata", large)
    status, output = _run("fma_metadata", str(tmp_path))
    assert status == 2
    assert "GB are needed for the archives and what is in them, but only" in output
    assert served.asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fma_small"], "name the folder to put fma_small into: genreflow download fma_small FOLD"),
        (["fma_smal", "."], "fma_smal: there is no data set of this name; did you mean fma_small?"),
        (["xyz", "."], "there are fma_metadata, fma_small, fma_medium, fma_large, gtzan, weights"),
        (["weights"], "name the networks: genreflow download weights vgg16"),
        (["weights", "vgg"], "vgg: there is no network with published weights of this name; did"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str) -> None:
    status, output = _run(*words)
    assert status == 2
    assert said in output
    assert len(output.splitlines()) == 1
