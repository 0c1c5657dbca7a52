"""A small compiled pipeline."""

# No `from __future__ import annotations`: kfp needs annotations as objects.
import pathlib
from typing import Any

import pytest


@pytest.fixture(scope="session")
def compiled_pipeline(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Compile a file like that of `genreflow kubeflow compile`, with kfp's own compiler.

    It has two steps, and those around them.
    """
    from kfp import compiler, dsl

    def step(name: str, shown: str) -> Any:
        def container(run_id: str) -> dsl.ContainerSpec:
            return dsl.ContainerSpec(image="registry.example.org/g:1", command=["true", run_id])

        container.__name__ = name
        task = dsl.container_component(container)(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        return task.set_display_name(shown)

    def genreflow(
        data_dir: str = "",
        overrides: str = "{}",
        push_destination: str = "",
        pipeline_root: str = "s3://bucket/genreflow",
    ) -> None:
        with dsl.ExitHandler(step("finish", "Finish"), name="run"):
            first = step("prepare", "Prepare")
            second = step("trainer-vgg16", "Trainer.vgg16").after(first)
            step("pusher", "Pusher").after(second)
            second.platform_config["kubernetes"] = {"activeDeadlineSeconds": "3600"}

    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(dsl.pipeline(genreflow, name="genreflow"), str(path))
    return path
