"""The work folder's metadata store: opened by every generation, or refused in a sentence."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3

import pytest

from pipeline.work_dir import METADATA_SCHEMA, WorkDir, WorkDirError


@pytest.fixture
def work(tmp_path: pathlib.Path) -> WorkDir:
    found = WorkDir.at(tmp_path / "a folder #1?")
    found.create()
    return found


def _store(work: WorkDir, *versions: int) -> None:
    """Write a store with these rows of schema versions, as ML Metadata keeps its one."""
    with contextlib.closing(sqlite3.connect(work.metadata)) as database:
        database.execute("CREATE TABLE MLMDEnv (schema_version INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO MLMDEnv VALUES (?)", [(one,) for one in versions])
        database.commit()


def _problem(work: WorkDir) -> str:
    with pytest.raises(WorkDirError) as caught:
        work.check_metadata()
    text = str(caught.value)
    assert text.startswith(f"{work.metadata}: the metadata store ")
    assert "another --work-dir" in text
    assert "\n" not in text
    return text


def test_a_store_of_the_installed_library_is_in_order(work: WorkDir) -> None:
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(work.metadata)
    connection.sqlite.connection_mode = (
        metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    )
    metadata_store.MetadataStore(connection)
    work.check_metadata()


def test_no_store_and_one_without_tables_are_in_order(work: WorkDir) -> None:
    work.check_metadata()
    work.metadata.touch()
    work.check_metadata()


@pytest.mark.parametrize("version", [METADATA_SCHEMA - 1, METADATA_SCHEMA + 1])
def test_a_store_of_another_schema_is_refused_before_the_run(work: WorkDir, version: int) -> None:
    _store(work, version)
    text = _problem(work)
    assert f"has schema version {version}, and ML Metadata here opens version 10" in text


def test_a_store_without_its_version_is_refused(work: WorkDir) -> None:
    _store(work)
    assert "has schema version none" in _problem(work)


def test_a_file_of_another_kind_is_refused(work: WorkDir) -> None:
    work.metadata.write_text("words, not a database " * 50)
    assert "cannot be read (file is not a database)" in _problem(work)
