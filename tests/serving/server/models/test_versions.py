"""Tests of version folders: which count, are complete, are safe and are served."""

from __future__ import annotations

import os
import pathlib
import shutil
import time

import pytest

from serving.server.config.settings import VersionPolicy
from serving.server.models import versions
from serving.server.models.versions import (
    VersionFolder,
    candidates,
    inspect,
    list_versions,
    max_served,
)


def write_version(path: pathlib.Path, shards: int = 1) -> pathlib.Path:
    """Write the files of a SavedModel, without real contents."""
    (path / "variables").mkdir(parents=True)
    (path / "assets").mkdir()
    names = [f"variables/variables.data-{n:05d}-of-{shards:05d}" for n in range(shards)]
    for name in ["saved_model.pb", "variables/variables.index", "assets/genres.json", *names]:
        (path / name).write_text(name)
    return path


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    write_version(tmp_path / "genreflow" / "3")
    return tmp_path / "genreflow"


def look(root: pathlib.Path, number: int = 3) -> VersionFolder:
    return inspect(number, root / str(number), root)


# Existing versions


def test_folders_named_by_numbers_are_versions(root: pathlib.Path) -> None:
    for name in ("12", "0", "007", "tmp-4", "5x", "-6", "+8", "1.5", "٣", "9" * 19, ".10"):
        (root / name).mkdir()
    (root / "11").write_text("a file")
    assert list_versions(root) == {
        0: root / "0",
        3: root / "3",
        7: root / "007",
        12: root / "12",
    }


def test_of_two_spellings_of_a_number_the_shorter_counts(root: pathlib.Path) -> None:
    (root / "03").mkdir()
    (root / "003").mkdir()
    assert list_versions(root) == {3: root / "3"}


def test_a_base_path_that_is_itself_a_version_is_served_as_it(root: pathlib.Path) -> None:
    assert list_versions(root / "3") == {3: root / "3"}
    (root / "3").rename(root / "latest")
    assert list_versions(root / "latest") == {1: root / "latest"}


def test_a_folder_that_is_not_there_is_told_apart_from_an_empty_one(
    tmp_path: pathlib.Path,
) -> None:
    assert list_versions(tmp_path) == {}
    with pytest.raises(versions.NoFolderError, match="nowhere: No such file"):
        list_versions(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(versions.NoFolderError, match="file: Not a directory"):
        list_versions(tmp_path / "file")


# Policies


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (VersionPolicy(), [12]),
        (VersionPolicy("latest", 2), [12, 9]),
        (VersionPolicy("latest", 9), [12, 9, 3]),
        (VersionPolicy("all"), [12, 9, 3]),
        (VersionPolicy("specific", versions=(3, 9, 77)), [9, 3]),
        (VersionPolicy("specific", versions=(77,)), []),
    ],
)
def test_policies_choose_by_number(policy: VersionPolicy, expected: list[int]) -> None:
    order = candidates([9, 12, 3], policy)
    assert [n for place, n in enumerate(order) if place < max_served(policy)] == expected


def test_policies_that_serve_nothing_are_refused() -> None:
    for policy in ({"count": 0}, {"kind": "specific"}):
        with pytest.raises(ValueError, match="policy of"):
            VersionPolicy(**policy)


# Completeness


def test_a_complete_version_lacks_nothing(root: pathlib.Path) -> None:
    found = look(root)
    assert (found.number, found.path) == (3, root / "3")
    assert found.missing is None
    assert found.refused is None
    write_version(root / "4", shards=12)
    assert look(root, 4).missing is None


@pytest.mark.parametrize(
    "name",
    [
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00001-of-00003",
        "variables/variables.data-00002-of-00003",
    ],
)
def test_each_missing_file_is_named(root: pathlib.Path, name: str) -> None:
    write_version(root / "4", shards=3)
    (root / "4" / name).unlink()
    assert look(root, 4).missing == name


def test_an_empty_file_or_folder_is_half_copied(root: pathlib.Path) -> None:
    (root / "3" / "saved_model.pb").write_bytes(b"")
    assert look(root).missing == "saved_model.pb"
    (root / "4").mkdir()
    assert look(root, 4).missing == "saved_model.pb"
    (root / "3" / "saved_model.pb").write_text("x")
    (root / "3" / "variables" / "variables.data-00000-of-00001").unlink()
    assert look(root).missing == "variables/variables.data-00000-of-00001"


def test_a_version_that_vanishes_while_it_is_looked_at_is_incomplete(root: pathlib.Path) -> None:
    shutil.rmtree(root / "3")
    found = look(root)
    assert found.missing is not None
    assert "No such file" in found.missing
    assert not found.refused


def test_a_version_is_settled_once_two_looks_are_the_same(root: pathlib.Path) -> None:
    hour = 3600.0
    first = look(root)
    assert not first.is_settled(None, hour)
    assert look(root).is_settled(first, hour)
    data = root / "3" / "variables" / "variables.data-00000-of-00001"
    with data.open("a") as file:
        file.write("more")
    grown = look(root)
    assert not grown.is_settled(first, hour)
    (root / "3" / "assets" / "late.json").write_text("")
    assert not look(root).is_settled(grown, hour)


def test_a_change_that_keeps_size_and_time_of_modification_is_seen(root: pathlib.Path) -> None:
    """Replace a file as a copy does that preserves times."""
    path = root / "3" / "saved_model.pb"
    before, first = path.stat(), look(root)
    time.sleep(0.02)  # file systems store times in steps of milliseconds
    path.write_text("X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(root).fingerprint != first.fingerprint


def test_a_version_that_nobody_has_touched_for_long_is_settled_at_first_sight(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look(root)
    os.utime(root / "3" / "saved_model.pb", (0, 0))  # the time of modification is ignored
    assert not look(root).is_settled(None, 5.0)
    now = time.time()
    monkeypatch.setattr(versions.time, "time", lambda: now + 60)
    assert found.is_settled(None, 5.0)
    monkeypatch.setattr(versions.time, "time", lambda: now - 60)  # a clock that was set back
    assert not found.is_settled(None, 5.0)


# Safety


def test_links_that_lead_out_of_the_model_are_refused(
    root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    outside = write_version(tmp_path / "outside")
    (root / "4").symlink_to(outside)
    assert look(root, 4).refused == f"4 is a link that leads out of {root}"
    (root / "3" / "assets" / "secret.json").symlink_to("/etc/hostname")
    assert look(root).refused == "assets/secret.json is a link that leads out of the model's folder"
    (root / "3" / "assets" / "secret.json").unlink()
    shutil.rmtree(root / "3" / "variables")
    (root / "3" / "variables").symlink_to(outside / "variables")
    assert look(root).refused == "variables is a link that leads out of the model's folder"


def test_links_within_the_model_and_to_the_whole_of_it_are_followed(
    root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (root / "4").symlink_to("3")
    (root / "3" / "assets" / "again.json").symlink_to("genres.json")
    (tmp_path / "link").symlink_to(root)
    for found in (look(root, 4), look(tmp_path / "link")):
        assert (found.refused, found.missing) == (None, None)


def test_what_is_no_plain_file_is_refused_and_not_opened(root: pathlib.Path) -> None:
    os.mkfifo(root / "3" / "assets" / "pipe")  # opening it would wait for a writer
    assert look(root).refused == "assets/pipe is not a regular file"
    (root / "3" / "assets" / "pipe").unlink()
    (root / "3" / "assets" / "self").symlink_to("..")
    assert look(root).refused == "assets/self is not a regular file"


def test_links_in_a_circle_hide_no_other_version(root: pathlib.Path) -> None:
    (root / "5").symlink_to("5")
    assert list_versions(root) == {3: root / "3"}
    (root / "3" / "assets" / "round").symlink_to("round")
    assert look(root).refused == "3 holds a link that leads to itself"


def test_a_folder_of_endless_files_is_not_walked_to_its_end(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MAX_FILES", 5)
    assert look(root).refused is None
    for number in range(3):
        (root / "3" / "assets" / str(number)).write_text("")
    assert look(root).refused == "3 holds more than 5 files"
