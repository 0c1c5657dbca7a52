"""Tests of the variables that a step takes over from under other names."""

from __future__ import annotations

import os

import pytest

from kubeflow.steps import finish, own_environment, prepare, run_node


def test_names_of_the_clouds_libraries_are_kept_from_the_launcher() -> None:
    names = ["AWS_ENDPOINT_URL_S3", "GOOGLE_APPLICATION_CREDENTIALS", "HTTPS_PROXY", "MY_AWS_KEY"]
    assert [own_environment.compiled_name(name) for name in names] == [
        "GENREFLOW_STEP_AWS_ENDPOINT_URL_S3",
        "GENREFLOW_STEP_GOOGLE_APPLICATION_CREDENTIALS",
        "HTTPS_PROXY",
        "MY_AWS_KEY",
    ]


def test_a_steps_own_variables_replace_the_launchers() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "minio", "GENREFLOW_STEP_AWS_ACCESS_KEY_ID": "ours"}
    own_environment.take_over(environment)
    assert environment == {"AWS_ACCESS_KEY_ID": "ours"}


def test_without_variables_of_its_own_a_step_keeps_what_there_is() -> None:
    environment = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/genreflow"}
    own_environment.take_over(environment)
    assert environment == {"AWS_ROLE_ARN": "arn:aws:iam::1:role/genreflow"}


@pytest.mark.parametrize("step", [prepare, run_node, finish])
def test_every_step_takes_its_variables_over_first(
    step: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENREFLOW_STEP_AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(SystemExit):
        step.main(["--help"])  # type: ignore[attr-defined]
    assert os.environ["AWS_REGION"] == "eu-central-1"
