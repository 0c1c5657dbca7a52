"""The step that announces a pushed version, and what the last step says of it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from kubeflow.deploy import inference_service, kubernetes_api
from kubeflow.steps import deploy, deployment, prepared
from kubeflow.steps.prepared import PreparedRun
from tests.support.fake_kubernetes import NAME, SERVICE, FakeKubernetes, load_failed, seen
from tests.support.fake_model_registry import FakeModelRegistry
from tests.support.fake_record import FakeRecord
from tests.support.tls_files import TlsFiles


@pytest.fixture
def registry() -> Iterator[FakeModelRegistry]:
    server = FakeModelRegistry()
    yield server
    server.close()


@pytest.fixture
def cluster(
    tls_files: TlsFiles, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeKubernetes]:
    server = FakeKubernetes(tls_files)
    for name, value in server.account(tmp_path / "account").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kubernetes_api, "ACCOUNT_FOLDER", str(tmp_path / "account"))
    monkeypatch.setattr(inference_service, "_POLL_SECONDS", 0.0)
    yield server
    server.close()


@pytest.fixture
def root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return the pipeline root of a run that pushed version 17."""
    folder = tmp_path / "root"
    version = folder / "models" / "genreflow" / "17"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"model")
    run = PreparedRun("run-1", str(folder), str(version.parent), {}, {}, ["Pusher"], "")
    prepared.write(run, prepared.run_folder(str(folder), "run-1"))
    (tmp_path / "record").mkdir()
    record = FakeRecord(tmp_path / "record", pushed="17")
    monkeypatch.setattr("pipeline.results.collect.RunRecord", lambda *_: record)
    return folder


def run(root: pathlib.Path, *options: str, version: str = "17") -> int:
    return deploy.main(
        ["--run-id", "run-1", "--pipeline-root", str(root),
         "--metadata", f"sqlite://{root}/metadata.sqlite", "--version", version,
         "--model-uri", "pvc://claim/models/genreflow/17",
         "--volume-claim", "claim", "--volume", str(root), *options]
    )  # fmt: skip


def outcome(root: pathlib.Path) -> Any:
    return json.loads((root / "runs" / "run-1" / "deployment.json").read_text())


def test_a_version_is_registered_and_served(
    root: pathlib.Path,
    registry: FakeModelRegistry,
    cluster: FakeKubernetes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = ("--model-registry", f"{registry.url}/", "--inference-service", NAME)
    assert run(root, *both) == 0
    (version,) = registry.of("model_version")
    properties = version["customProperties"]
    assert properties["run_id"]["string_value"] == "run-1"
    assert properties["digest"]["string_value"] == "ab" * 8
    assert 0 <= properties["test_track_accuracy.low"]["double_value"] <= 1
    (artifact,) = registry.of("model_artifact")
    assert artifact["uri"] == "pvc://claim/models/genreflow/17"
    uri = "pvc://claim/models/genreflow-kserve/17"
    assert cluster.objects[SERVICE]["spec"]["predictor"]["model"]["storageUri"] == uri
    assert (root / "models/genreflow-kserve/17/17/saved_model.pb").read_bytes() == b"model"
    told = capsys.readouterr().out
    assert "registered as genreflow 17 (id 2)" in told
    assert f"InferenceService team-a/genreflow serves it from {uri}" in told
    assert outcome(root)["serving"]["ok"]
    # A retry repeats nothing.
    assert run(root, *both) == 0
    assert len(registry.of("model_version")) == 1
    assert [method for method, _, _ in cluster.requests].count("PATCH") == 1


def test_a_registry_that_is_away_leaves_the_push_and_the_serving(
    root: pathlib.Path,
    registry: FakeModelRegistry,
    cluster: FakeKubernetes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.close()
    options = ("--model-registry", registry.url, "--inference-service", NAME)
    assert run(root, *options) == 1
    told = capsys.readouterr()
    assert f"the Model Registry ({registry.url}) does not respond" in told.err
    assert "Traceback" not in told.err
    assert "version 17 stays pushed at pvc://claim/models/genreflow/17" in told.out
    assert (outcome(root)["registry"]["ok"], outcome(root)["serving"]["ok"]) == (False, True)
    first, second, last = deployment.lines(str(root / "runs" / "run-1"))
    assert first.startswith("not deployed to the Model Registry: the Model Registry (")
    assert second.startswith("InferenceService team-a/genreflow serves it from ")
    assert last == "version 17 stays pushed at pvc://claim/models/genreflow/17"


def test_an_object_that_is_not_ours_is_refused_before_anything_is_copied(
    root: pathlib.Path, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    del cluster.objects[SERVICE]["metadata"]["labels"]
    assert run(root, "--inference-service", NAME) == 2
    assert "may serve another model and is left as it is" in capsys.readouterr().err
    assert not (root / "models" / "genreflow-kserve").exists()


def test_a_model_that_does_not_load_fails_the_step(
    root: pathlib.Path, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.steps = [seen, load_failed]
    assert run(root, "--inference-service", NAME) == 1
    told = capsys.readouterr()
    assert "did not load (BlockedByFailedLoad): No model found" in told.err
    assert "version 17 stays pushed" in told.out


@pytest.mark.parametrize("registry_failure", [1, 2])
def test_a_failure_that_a_retry_may_mend_decides(
    root: pathlib.Path,
    registry: FakeModelRegistry,
    cluster: FakeKubernetes,
    registry_failure: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from components.common.errors import GenreflowError, UsageError

    def fail(*_: Any) -> str:
        raise {1: GenreflowError, 2: UsageError}[registry_failure]("away")

    monkeypatch.setattr(deploy, "_register", fail)
    del cluster.objects[SERVICE]  # 2
    options = ("--model-registry", registry.url, "--inference-service", NAME)
    assert run(root, *options) == registry_failure


def test_a_token_of_the_registry_comes_from_its_variable(
    root: pathlib.Path, registry: FakeModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.token = "hush"
    assert run(root, "--model-registry", registry.url) == 1
    monkeypatch.setenv(deploy.TOKEN_VARIABLE, "hush\n")
    assert run(root, "--model-registry", registry.url) == 0


def test_a_run_that_pushed_nothing_deploys_nothing(
    tmp_path: pathlib.Path, registry: FakeModelRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--model-registry", registry.url, version="") == 0
    assert "nothing was pushed" in capsys.readouterr().out
    assert registry.requests == []
    assert deployment.lines(str(tmp_path / "runs" / "run-1")) == []


def test_without_the_runs_file_nothing_is_deployed(
    tmp_path: pathlib.Path, registry: FakeModelRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--model-registry", registry.url) == 2
    assert "shared by all steps" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["secret-one\nsecret-two", "secret one", "secret-ä"])
def test_a_token_of_several_words_is_refused_and_never_shown(
    token: str,
    root: pathlib.Path,
    registry: FakeModelRegistry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(deploy.TOKEN_VARIABLE, token)
    assert run(root, "--model-registry", registry.url) == 2
    told = capsys.readouterr()
    assert "is not one word of ASCII characters" in told.err
    assert "secret-" not in told.out + told.err + json.dumps(outcome(root))
    assert not registry.requests


def test_a_step_that_is_killed_leaves_that_it_did_not_end(
    root: pathlib.Path, registry: FakeModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit(137)

    monkeypatch.setattr(deploy, "_serve", killed)
    with pytest.raises(SystemExit):
        run(root, "--model-registry", registry.url, "--inference-service", NAME)
    first, second, last = deployment.lines(str(root / "runs" / "run-1"))
    assert first.startswith("registered as genreflow 17")
    assert second == "not deployed to KServe: the step Deploy did not end"
    assert "stays pushed" in last


@pytest.mark.parametrize("content", ["{", "[]", '{"serving": {}}', '{"serving": 5}', "null"])
def test_a_damaged_outcome_ends_no_step(content: str, root: pathlib.Path) -> None:
    folder = root / "runs" / "run-1"
    (folder / "deployment.json").write_text(content)
    lines = deployment.lines(str(folder))
    assert all("deployment.json cannot be read" in line for line in lines)
