"""Tests of adding versions: numbers, order of files, failures midway, two writers at once."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import shutil
import time
from typing import Any

import pytest

from components.artifacts import files
from components.common.errors import DataError, GenreflowError
from components.common.model_contract import SAVED_MODEL, VERSION_RECORD
from components.storage import objects
from components.storage.errors import StorageError
from components.versions import adding
from components.versions.folder import list_versions
from components.versions.record import read_record
from tests.components.versions import made
from tests.support import s3_server


@pytest.fixture
def model(tmp_path: pathlib.Path) -> str:
    return str(made.saved_model(tmp_path / "model"))


def _text(number: int) -> str:
    return made.record(number).to_text()


def _left(models: str) -> set[str]:
    """Return the names in a model's folder."""
    if models.startswith("s3://"):
        prefix = f"{models}/"
        return {item.uri[len(prefix) :].split("/")[0] for item in objects.list_objects(prefix)}
    return set(os.listdir(models)) if os.path.isdir(models) else set()


def test_a_push_adds_a_complete_version_with_its_record(models: str, model: str) -> None:
    before = int(time.time())
    number = adding.add_folder(models, model, _text)
    assert before <= number <= time.time()
    (version,) = list_versions(models).values()
    assert version.number == number
    assert version.is_complete
    assert set(version.files) == {*made.NAMES, VERSION_RECORD}
    assert read_record(version.uri) == made.record(number)
    assert files.read_text(f"{version.uri}/{SAVED_MODEL}") == f"model {SAVED_MODEL}"
    assert _left(models) == {str(number)}


def test_a_number_is_above_all_others_even_those_of_a_clock_that_was_ahead(
    models: str, model: str
) -> None:
    ahead = int(time.time()) + 10**6
    made.version(models, ahead, without=SAVED_MODEL)
    assert adding.add_folder(models, model, _text) == ahead + 1
    assert adding.add_folder(models, model, _text) == ahead + 2


def test_a_copy_has_the_files_of_the_version_and_a_record_of_its_own(models: str) -> None:
    made.version(models, 5)
    made.version(models, 7)
    number = adding.add_copy(models, list_versions(models)[5], _text)
    copied = list_versions(models)[number]
    assert number > 7
    for name in made.NAMES:
        assert files.read_text(f"{copied.uri}/{name}") == f"5 {name}"
    assert read_record(copied.uri) == made.record(number)
    assert _left(models) == {"5", "7", str(number)}


def test_a_version_that_was_deleted_meanwhile_is_not_copied_by_half(models: str) -> None:
    made.version(models, 5)
    made.version(models, 7)
    source = list_versions(models)[5]
    files.remove(f"{source.uri}/{SAVED_MODEL}")  # as a prune begins
    with pytest.raises(adding.VersionGone, match="version 5 was deleted while it was copied"):
        adding.add_copy(models, source, _text)
    files.remove_folder(source.uri)
    with pytest.raises(adding.VersionGone):
        adding.add_copy(models, source, _text)
    assert _left(models) == {"7"}


def test_two_writers_at_once_never_share_a_number(
    models: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.version(models, 5)
    source = list_versions(models)[5]

    def push(index: int) -> int:
        if index % 2:
            return adding.add_copy(models, source, _text)
        return adding.add_folder(models, model, _text)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(push, range(6)))
    found = list_versions(models)
    assert sorted(found) == sorted({5, *numbers})
    assert len(set(numbers)) == 6
    assert all(version.is_complete for version in found.values())
    for index, number in enumerate(numbers):
        expected = "5" if index % 2 else "model"
        assert files.read_text(f"{models}/{number}/{SAVED_MODEL}") == f"{expected} {SAVED_MODEL}"
        record = read_record(f"{models}/{number}")
        assert record is not None
        assert record.version == number
    assert _left(models) == set(map(str, found))


def test_the_graph_is_the_last_object_and_a_failed_push_leaves_nothing(
    bucket: str, s3_proxy: s3_server.Proxy, model: str
) -> None:
    models = f"s3://{bucket}/m"
    adding.add_folder(models, model, _text)
    puts = [e.path for e in s3_proxy.requests("PUT", "/m/") if "/.claims/" not in e.path]
    assert puts[-1].endswith(f"/{SAVED_MODEL}")
    assert len(puts) == len(made.NAMES) + 1
    copied = adding.add_copy(models, next(iter(list_versions(models).values())), _text)
    puts = [e.path for e in s3_proxy.requests("PUT", f"/m/{copied}/")]
    assert puts[-1].endswith(f"/{SAVED_MODEL}")
    s3_proxy.fail(1, s3_server.DENIED, method="PUT", path="/variables.index")
    before = _left(models)
    with pytest.raises(StorageError):
        adding.add_folder(models, model, _text)
    assert _left(models) == before


def test_a_failed_push_leaves_nothing_in_a_folder(tmp_path: pathlib.Path, model: str) -> None:
    models = str(tmp_path / "served")
    os.remove(f"{model}/{SAVED_MODEL}")
    with pytest.raises(FileNotFoundError):
        adding.add_folder(models, model, _text)
    assert _left(models) == set()
    os.symlink("/etc/passwd", f"{model}/{SAVED_MODEL}")
    with pytest.raises(DataError, match="is a link"):
        adding.add_folder(models, model, _text)
    assert _left(models) == set()


def test_where_folders_cannot_be_renamed_the_graph_comes_last(
    tmp_path: pathlib.Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError(24, "too many open files")  # as gcsfuse refuses it

    copied: list[str] = []
    copyfile = shutil.copyfile

    def copy(source: Any, target: Any, **options: Any) -> None:
        copied.append(str(target))
        copyfile(source, target, **options)

    monkeypatch.setattr(adding.os, "rename", refuse)
    monkeypatch.setattr(adding.shutil, "copyfile", copy)
    models = str(tmp_path / "served")
    number = adding.add_folder(models, model, _text)
    assert list_versions(models)[number].is_complete
    assert copied[-1] == f"{models}/{number}/{SAVED_MODEL}"
    assert _left(models) == {str(number)}


def test_numbers_that_others_keep_taking_end_in_an_error(
    models: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "_MAX_ATTEMPTS", 2)
    monkeypatch.setattr(adding, "_moved", lambda partial, target: False)
    monkeypatch.setattr(objects, "any_below", lambda folder: True)
    with pytest.raises(GenreflowError, match="attempts to take a version's number failed"):
        adding.add_folder(models, model, _text)
    assert _left(models) == set()
