"""The step after the Pusher, which only some settings add."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest
import yaml

from kubeflow.compile import compiler
from kubeflow.compile.node_steps import NodeStep
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.load import load, shipped_config

STEPS = [
    NodeStep(("GenreGate",), "genregate", ()),
    NodeStep(("Pusher",), "pusher", ("GenreGate",)),
]
SETTINGS = KubeflowSettings(
    image="registry.example.org/genreflow:1",
    pipeline_root="/genreflow/root",
    volume_claim="claim",
    metadata="mysql://genreflow@mysql/genreflow",
    metadata_secret="genreflow-metadata",
)
REGISTRY = "http://registry.kubeflow.svc:8080"


def compiled(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> list[dict[str, Any]]:
    monkeypatch.setattr(compiler, "steps_of", lambda _: STEPS)
    path = folder / "pipeline.yaml"
    config = load(shipped_config("fma_small"), ['dataset.data_dir="s3://bucket/fma"'])
    compiler.compile_pipeline(config, dataclasses.replace(SETTINGS, **settings), str(path))
    return list(yaml.safe_load_all(path.read_text()))


def test_nothing_changes_without_the_settings(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _ = compiled(tmp_path, monkeypatch)
    assert "comp-deploy" not in spec["components"]


def test_it_gets_what_the_pusher_pushed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, platform = compiled(
        tmp_path, monkeypatch, inference_service="genreflow", ready_minutes=2.5,
        model_registry=REGISTRY, model_registry_secret="registry",
    )  # fmt: skip
    (group,) = [name for name in spec["components"] if name.startswith("comp-exit-handler")]
    task = spec["components"][group]["dag"]["tasks"]["deploy"]
    assert task["dependentTasks"] == ["pusher"]
    parameters = task["inputs"]["parameters"]
    for name, key in (("version", "pushed_version"), ("model_uri", "model_uri")):
        assert parameters[name]["taskOutputParameter"] == {
            "producerTask": "pusher", "outputParameterKey": key,
        }  # fmt: skip
    executors = spec["deploymentSpec"]["executors"]
    args = executors["exec-deploy"]["container"]["args"]
    assert args[-10:] == [
        "--inference-service", "genreflow", "--ready-minutes", "2.5",
        "--model-registry", REGISTRY,
        "--volume-claim", "claim", "--volume", "/genreflow",
    ]  # fmt: skip
    # Only this step gets the registry's token.
    secrets = {
        step: [one["secretName"] for one in config["secretAsEnv"]]
        for step, config in platform["platforms"]["kubernetes"]["deploymentSpec"][
            "executors"
        ].items()
    }
    assert secrets["exec-deploy"] == ["genreflow-metadata", "registry"]
    assert secrets["exec-pusher"] == ["genreflow-metadata"]


def test_a_merged_step_gives_it_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _ = compiled(tmp_path, monkeypatch, model_registry=REGISTRY, merge_small_steps=True)
    (group,) = [name for name in spec["components"] if name.startswith("comp-exit-handler")]
    task = spec["components"][group]["dag"]["tasks"]["deploy"]
    assert task["dependentTasks"] == ["genregate-to-pusher"]
    assert task["inputs"]["parameters"]["version"]["taskOutputParameter"] == {
        "producerTask": "genregate-to-pusher", "outputParameterKey": "pushed_version",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "given", "lacking"),
    [
        ({"inference_service": "genreflow"}, "--inference-service", "--model-registry"),
        ({"model_registry": REGISTRY}, "--model-registry", "--inference-service"),
    ],
)
def test_one_of_the_two_is_enough(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    given: str,
    lacking: str,
) -> None:
    spec, _ = compiled(tmp_path, monkeypatch, **settings)
    args = spec["deploymentSpec"]["executors"]["exec-deploy"]["container"]["args"]
    assert given in args
    assert lacking not in args
