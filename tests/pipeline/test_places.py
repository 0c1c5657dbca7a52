"""Tests of the places of artifacts and models, and their protection from other runs."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest

from components.common.errors import UsageError
from components.models.settings import ModelSettings
from components.storage import objects
from components.storage.errors import StorageSetupError
from pipeline.config.beam import BeamSettings
from pipeline.config.beam_runners import PortableSettings
from pipeline.config.schema import Config, StorageSettings
from pipeline.places import Places, claim, clip_store
from pipeline.work_dir import WorkDir
from tests.support import s3_server


def _work(path: pathlib.Path) -> WorkDir:
    work = WorkDir.at(path)
    work.create()
    return work


def test_what_is_not_set_lies_in_the_work_folder(tmp_path: pathlib.Path) -> None:
    places = Places.of(StorageSettings(), WorkDir.at(tmp_path / "w"))
    assert places == Places(
        str(tmp_path / "w" / "pipeline"), str(tmp_path / "w" / "serving_models" / "genreflow")
    )


def test_paths_become_absolute_and_uris_stay(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = StorageSettings(pipeline_root="a/b", push_destination="s3://bucket/m/")
    assert Places.of(settings, WorkDir.at("w")) == Places(
        str(tmp_path / "a" / "b"), "s3://bucket/m/genreflow"
    )


ELSEWHERE = BeamSettings(runner="portable", portable=PortableSettings(endpoint="localhost:1"))


@pytest.mark.parametrize(
    ("beam", "storage", "store"),
    [
        (BeamSettings(), {}, "/work/cache"),
        (BeamSettings(), {"pipeline_root": "s3://bucket/runs"}, "/work/cache"),
        (BeamSettings(), {"clip_store": "none"}, ""),
        (BeamSettings(), {"clip_store": "/mnt/clips"}, "/mnt/clips"),
        (ELSEWHERE, {}, "/work/cache"),
        (ELSEWHERE, {"pipeline_root": "/mnt/runs"}, "/mnt/runs/cache"),
        (ELSEWHERE, {"pipeline_root": "s3://bucket/runs"}, ""),
        (
            ELSEWHERE,
            {"pipeline_root": "s3://bucket/runs", "clip_store": "s3://bucket/clips/"},
            "s3://bucket/clips",
        ),
        (
            dataclasses.replace(ELSEWHERE, stages=("statistics",)),
            {"pipeline_root": "s3://bucket/runs"},
            "/work/cache",
        ),
    ],
)
def test_workers_elsewhere_keep_clips_only_where_they_see_them(
    beam: BeamSettings, storage: dict[str, str], store: str
) -> None:
    settings = StorageSettings(**storage)
    config = Config(models={"ffnn": ModelSettings()}, beam=beam, storage=settings)
    root = Places.of(settings, WorkDir.at("/work")).pipeline_root
    assert clip_store(config, root, default="/work/cache") == store


@pytest.mark.parametrize("text", ["gs://bucket/a", "s3://id:pa55word@bucket/a", "s3://b/../a"])
@pytest.mark.parametrize("key", ["pipeline_root", "push_destination", "clip_store"])
def test_other_places_are_refused_by_their_key(text: str, key: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  what pydantic shows of it
        StorageSettings(**{key: text})
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize("remote", [False, True])
def test_a_pipeline_root_belongs_to_one_work_folder(
    tmp_path: pathlib.Path, s3: Any, bucket: str, remote: bool
) -> None:
    root = f"s3://{bucket}/root" if remote else str(tmp_path / "root")
    settings = StorageSettings(pipeline_root=root)
    one, other = _work(tmp_path / "one"), _work(tmp_path / "other")
    claim(Places.of(settings, one), one)
    claim(Places.of(settings, one), one)
    with pytest.raises(UsageError, match=f"{root}: this pipeline root belongs to another"):
        claim(Places.of(settings, other), other)
    claim(Places.of(settings, one), one)


def test_a_work_folder_without_places_of_its_own_is_left_as_it_is(tmp_path: pathlib.Path) -> None:
    work = _work(tmp_path / "w")
    before = sorted(work.root.rglob("*"))
    claim(Places.of(StorageSettings(), work), work)
    assert sorted(work.root.rglob("*")) == before


@pytest.mark.parametrize("key", ["pipeline_root", "push_destination"])
def test_a_place_that_may_not_be_written_ends_it_before_it_begins(
    tmp_path: pathlib.Path, s3: Any, bucket: str, s3_proxy: s3_server.Proxy, key: str
) -> None:
    work = _work(tmp_path / "w")
    places = Places.of(StorageSettings(**{key: f"s3://{bucket}/there"}), work)
    s3_proxy.fail(100, s3_server.DENIED, method="PUT")
    with pytest.raises(StorageSetupError, match=f"storage.{key}: .*access denied"):
        claim(places, work)
    s3_proxy.fault = lambda method, path: None
    claim(places, work)
    left = [item.uri for item in objects.list_objects(f"s3://{bucket}/")]
    assert left == ([f"s3://{bucket}/there/genreflow-owner.txt"] if key == "pipeline_root" else [])
