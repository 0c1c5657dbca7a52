"""Checks of a run's parameters before anything is sent."""

from __future__ import annotations

import json
import pathlib

import pytest
import yaml
from typer.testing import CliRunner

from components.common.errors import UsageError
from genreflow.cli.app import app
from kubeflow.client import package, run_checks
from pipeline.config.load import load, shipped_config
from tests.support.kubeflow_api import KubeflowApi

VOLUME = ("kubeflow.volume_claim=genreflow", "kubeflow.volume_path=/genreflow")


def compiled(
    *overrides: str, name: str = "fma_small", root: str = "s3://bucket/root", data: str = ""
) -> package.Package:
    config = json.dumps(load(shipped_config(name), overrides).to_json())
    defaults = {"data_dir": data, "overrides": "{}", "push_destination": "", "pipeline_root": root}
    return package.Package("p.yaml", {}, dict.fromkeys(defaults, False), defaults, config)


def told(read: package.Package, **given: str) -> list[str]:
    try:
        run_checks.check(read, given)
    except UsageError as error:
        return str(error).splitlines()
    return []


def test_what_is_right_passes() -> None:
    assert told(compiled(data="s3://bucket/fma")) == []
    assert told(compiled("dataset.data_dir=s3://bucket/fma"), data_dir="") == []
    overrides = '{"training.epochs": 3, "dataset.genres": ["Rock", "Folk"]}'
    right = {"push_destination": "s3://bucket/models", "pipeline_root": "s3://other/root"}
    assert told(compiled(), data_dir="s3://b-1/fma", overrides=overrides, **right) == []
    on_volume = {"data_dir": "/genreflow/fma", "push_destination": "/genreflow/models"}
    assert told(compiled(*VOLUME), **on_volume, pipeline_root="/genreflow/root") == []
    assert told(compiled(*VOLUME, name="demo", root="/genreflow/root")) == []


@pytest.mark.parametrize("given", [{}, {"data_dir": ""}])
def test_a_run_without_data_is_refused(given: dict[str, str]) -> None:
    (line,) = told(compiled(), **given)
    assert line.startswith("p.yaml: no data folder is compiled in; give it with -p data_dir=...")


def test_data_that_were_taken_out_are_missed() -> None:
    (line,) = told(compiled(data="s3://bucket/fma"), data_dir="")
    assert "no data folder" in line
    (line,) = told(
        compiled(*VOLUME, name="demo", root="/genreflow/r"), overrides='{"dataset.kind": "fma"}'
    )
    assert "no data folder" in line


def test_synthetic_songs_need_a_root_on_the_volume() -> None:
    read = compiled(*VOLUME, name="demo", root="/genreflow/root")
    (line,) = told(read, pipeline_root="s3://bucket/root")
    assert "synthetic songs are made on the volume" in line


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("data_dir", "relative", "-p data_dir = 'relative': not shared between steps; give an s3"),
        ("data_dir", "/genreflow/fma", "not shared between steps"),
        ("data_dir", "gs://x/y", "-p data_dir = gs://x/y: only local folders and s3:// URIs"),
        ("pipeline_root", "", "-p pipeline_root = '': not shared between steps"),
        ("pipeline_root", "gs://x/y", "-p pipeline_root = gs://x/y: only local folders"),
        ("pipeline_root", "s3://a", "-p pipeline_root: not a valid s3:// URI: invalid"),
        ("pipeline_root", "s3://abc/a/../b", "s3://abc/a/../b: remove empty parts"),
        ("push_destination", "rel", "-p push_destination = 'rel': not shared between steps"),
        ("overrides", '{"training.epohcs": 3}',
         "-p overrides: training.epohcs = 3: unknown key; did you mean training.epochs?"),
        ("overrides", '{"training.epochs": "3"}',
         '-p overrides: training.epochs = "3": must be a whole number from 1 to 10000'),
        ("overrides", '{"dataset.data_dir": "s3://bucket/x"}', "give -p data_dir=..."),
        ("overrides", '{"storage.push_destination": "s3://bucket/x"}', "-p push_destination=..."),
        ("overrides", '{"kubeflow.retries": 3}', "-p overrides: [kubeflow] is compiled in"),
        ("overrides", '{"serving.check": false}', "but steps are compiled in: ServingCheck"),
        ("overrides", '{"models.ffnn.l2": 0.1}', ""),
    ],
)  # fmt: skip
def test_what_the_first_step_would_refuse_is_told_by_its_parameter(
    name: str, text: str, words: str
) -> None:
    lines = told(compiled(data="s3://bucket/fma"), **{name: text})
    assert len(lines) == bool(words)
    assert words in "".join(lines)


def test_all_is_told_at_once() -> None:
    lines = told(compiled(), data_dir="x", pipeline_root="", overrides='{"a": 1, "gate.floor": 7}')
    assert [line.split(" ")[1] for line in lines] == [
        "overrides:", "overrides:", "data_dir", "pipeline_root"
    ]  # fmt: skip


@pytest.mark.parametrize("config", ["", "{", "[]", "{}", "[" * 5000, '{"models": 3, "new": 1}'])
def test_a_configuration_of_another_version_is_left_to_it(config: str) -> None:
    defaults = {"data_dir": "", "pipeline_root": ""}
    read = package.Package("p.yaml", {}, dict.fromkeys(defaults, False), defaults, config)
    assert told(read, data_dir="relative") == []


def test_nothing_of_it_is_sent(
    kubeflow_api: KubeflowApi, compiled_pipeline: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The file's own configuration counts; its first step has it, below the exit handler."""
    spec, platform = yaml.safe_load_all(compiled_pipeline.read_text())
    config = json.dumps(load(shipped_config("fma_small")).to_json())
    group = next(one for one in spec["components"].values() if "dag" in one)
    inputs = group["dag"]["tasks"]["prepare"].setdefault("inputs", {}).setdefault("parameters", {})
    inputs["config"] = {"runtimeValue": {"constant": config}}
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump_all([spec, platform]))
    assert package.read(str(path)).config == config
    for command in (["submit"], ["schedule", "--cron", "@daily"]):
        typed = ["kubeflow", *command, str(path), "--host", kubeflow_api.url]
        result = CliRunner().invoke(app, [*typed, "-p", 'overrides={"training.epohcs": 3}'])
        assert result.exit_code == 2
        epochs, data = result.stderr.splitlines()
        assert "-p overrides: training.epohcs" in epochs
        assert "no data folder is compiled in" in data
        assert kubeflow_api.requests == []
    result = CliRunner().invoke(
        app,
        ["kubeflow", "submit", str(path), "--host", kubeflow_api.url, "-p", "data_dir=s3://bkt/x"],
    )
    assert result.exit_code == 0, result.output
