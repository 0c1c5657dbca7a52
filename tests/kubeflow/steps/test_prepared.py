"""The file that the first step writes for the others, and its checks."""

from __future__ import annotations

import json
import pathlib
import re

import grimp
import pytest

from components.common.errors import DataError, UsageError
from components.serving_check import server_process
from kubeflow.steps import prepared
from kubeflow.steps.prepared import PreparedRun

RUN = PreparedRun("run-1", "/root", "/models", {"a": [1]}, {"tracks": 3}, [], "")


def test_what_is_written_is_read(tmp_path: pathlib.Path) -> None:
    folder = prepared.run_folder(str(tmp_path), "run-1")
    path = prepared.write(RUN, folder)
    assert path == str(tmp_path / "runs" / "run-1" / "pipeline.json")
    assert prepared.read(path) == RUN
    before = pathlib.Path(path).read_bytes()
    assert prepared.write(RUN, folder) == path
    assert pathlib.Path(path).read_bytes() == before


def test_a_root_that_is_not_shared_is_said_to_be(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="shared by all steps"):
        prepared.read(str(tmp_path / "pipeline.json"))
    with pytest.raises(UsageError, match="volume"):
        prepared.check_shared_root(str(tmp_path / "not-mounted"))
    with pytest.raises(UsageError, match="absolute"):
        prepared.check_shared_root("relative")
    prepared.check_shared_root(str(tmp_path))
    prepared.check_shared_root("s3://bucket/root")


def test_a_root_on_a_volume_is_made_where_the_volume_is_mounted(tmp_path: pathlib.Path) -> None:
    volume = tmp_path / "volume"
    with pytest.raises(UsageError, match="no such folder"):
        prepared.check_shared_root(str(volume / "a" / "root"), str(volume))
    volume.mkdir()
    prepared.check_shared_root(str(volume / "a" / "root"), f"{volume}/")
    assert (volume / "a" / "root").is_dir()
    with pytest.raises(UsageError, match="no such folder"):
        prepared.check_shared_root(str(tmp_path / "volume-2"), str(volume))
    assert not (tmp_path / "volume-2").exists()


def test_another_version_of_the_project_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = prepared.write(RUN, str(tmp_path))
    monkeypatch.setattr(prepared, "project_digest", lambda: "0" * 16)
    with pytest.raises(UsageError, match="another version of genreflow"):
        prepared.read(path)


@pytest.mark.parametrize("text", ["{", "[]", "null", "3"])
def test_a_damaged_file_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "pipeline.json"
    path.write_text(text)
    with pytest.raises(DataError, match="start a new run"):
        prepared.read(str(path))


def test_a_file_with_other_fields_is_refused(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(prepared.write(RUN, str(tmp_path)))
    content = json.loads(path.read_text())
    del content["facts"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="start a new run"):
        prepared.read(str(path))


def test_the_projects_digest_is_of_its_sources() -> None:
    assert prepared.project_digest() == prepared.project_digest.__wrapped__()
    assert len(prepared.project_digest()) == 16


def test_the_projects_digest_covers_the_packages_that_steps_import() -> None:
    graph = grimp.build_graph(
        "components", "configs", "genreflow", "kubeflow", "pipeline", "serving", cache_dir=None
    )
    roots = {
        *graph.find_descendants("kubeflow.steps"),
        *(name for name in graph.modules if re.fullmatch(r"components\..*executor", name)),
        server_process.SERVER[-1],
    }
    imported = roots.union(*(graph.find_upstream_modules(root) for root in roots))
    assert {name.partition(".")[0] for name in imported} == set(prepared._PACKAGES)
