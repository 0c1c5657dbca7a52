"""Command `genreflow kubeflow doctor` at an API of Kubeflow and one of Kubernetes."""

from __future__ import annotations

import json
import pathlib
import shlex
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from components.common.errors import DataError
from genreflow.cli.app import app
from kubeflow.client import controller_config
from tests.support import ROOT
from tests.support.kubeflow_api import (
    LOGIN_PAGE,
    PERMISSION_DENIED,
    ApiResponse,
    KubeflowApi,
    failure,
)
from tests.support.kubernetes_api import KubernetesApi

MAP = ("kubeflow", "workflow-controller-configmap")
ON_ERROR = {"limit": "2", "retryPolicy": "OnError"}


def defaults(retry: Any = None, seconds: int = 0, **more: Any) -> dict[str, Any]:
    """Return the value of workflowDefaults; that of 2.17.0 has ON_ERROR and 3600 seconds."""
    spec: dict[str, Any] = dict(more)
    if seconds:
        spec["ttlStrategy"] = {
            f"secondsAfter{what}": seconds for what in ("Completion", "Success", "Failure")
        }
    if retry:
        spec["templateDefaults"] = {"retryStrategy": retry}
    return {"spec": spec}


def data(value: Any) -> dict[str, str]:
    return {
        "workflowDefaults": yaml.safe_dump(value),
        "executor": "imagePullPolicy: IfNotPresent\n",
    }


@pytest.fixture
def alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, kubernetes_api: KubernetesApi
) -> None:
    import kfp

    for name in ("ENDPOINT", "UI_ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    use(monkeypatch, kubernetes_api.kubeconfig(tmp_path))


def use(monkeypatch: pytest.MonkeyPatch, kubeconfig: pathlib.Path) -> None:
    """Make a file the kubeconfig; the client reads KUBECONFIG when it is imported."""
    from kubernetes.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))


def typed(api: KubeflowApi, *arguments: str) -> Result:
    result = CliRunner().invoke(app, ["kubeflow", "doctor", "--host", api.url, *arguments])
    assert "Traceback" not in result.output
    return result


def found(api: KubeflowApi, *arguments: str) -> dict[str, dict[str, str]]:
    result = typed(api, "--json", *arguments)
    return {one["name"]: one for one in json.loads(result.stdout)}


@pytest.mark.usefixtures("alone")
def test_the_default_installation_of_2_17_is_told_with_a_patch_that_keeps_the_rest(
    kubeflow_api: KubeflowApi, kubernetes_api: KubernetesApi
) -> None:
    kubernetes_api.config_maps[MAP] = data(defaults(ON_ERROR, 3600, serviceAccountName="mine"))
    result = typed(kubeflow_api)
    assert result.exit_code == 0, result.output
    assert "version    ok: Kubeflow Pipelines 2.17.0\n" in result.stdout
    assert "retries    warning: failed steps are NOT retried" in result.stdout
    assert "retryPolicy OnError" in result.stdout
    assert "deleted 1:00:00 after the end of a run" in result.stdout
    [line] = [one.strip() for one in result.stdout.splitlines() if "kubectl patch" in one]
    words = shlex.split(line)
    assert words[:7] == ["kubectl", "patch", "configmap", MAP[1], "-n", "kubeflow", "--type"]
    patch = json.loads(words[-1])["data"]
    assert {key: yaml.safe_load(value) for key, value in patch.items()} == {
        "workflowDefaults": defaults(None, 3600, serviceAccountName="mine")
    }
    # Applied, the warning is gone, and nothing else has changed.
    kubernetes_api.config_maps[MAP] = {**data({}), **patch}
    after = found(kubeflow_api)
    assert (after["retries"]["outcome"], after["lifetime"]["outcome"]) == ("ok", "warning")
    assert {method for method, _ in kubernetes_api.requests} == {"GET"}


@pytest.mark.parametrize(
    ("retry", "outcome", "words"),
    [
        (None, "ok", "as kubeflow.retries says"),
        ({"limit": 2}, "ok", "as kubeflow.retries says"),
        ({"retryPolicy": "OnFailure"}, "ok", "as kubeflow.retries says"),
        ({"retryPolicy": "Always"}, "ok", "as kubeflow.retries says"),
        ({"retryPolicy": "OnTransientError"}, "warning", "NOT retried"),
        ({"expression": "lastRetry.exitCode == '143'"}, "warning", "lastRetry.exitCode == '143'"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_each_policy_is_told_as_argo_understands_it(
    retry: Any,
    outcome: str,
    words: str,
    kubeflow_api: KubeflowApi,
    kubernetes_api: KubernetesApi,
) -> None:
    kubernetes_api.config_maps[MAP] = data(defaults(retry))
    checked = found(kubeflow_api)
    assert checked["retries"]["outcome"] == outcome
    assert words in checked["retries"]["text"]
    assert checked["lifetime"]["outcome"] == "ok"


@pytest.mark.parametrize("content", [None, {"executor": "imagePullPolicy: Always\n"}])
@pytest.mark.usefixtures("alone")
def test_without_defaults_steps_are_retried(
    content: Any, kubeflow_api: KubeflowApi, kubernetes_api: KubernetesApi
) -> None:
    kubernetes_api.config_maps[MAP] = content
    assert found(kubeflow_api)["retries"]["outcome"] == "ok"


def test_a_single_key_with_the_whole_configuration_is_read_and_patched() -> None:
    whole = {"parallelism": 3, "workflowDefaults": defaults(ON_ERROR)}
    config = controller_config.parse({"config": yaml.safe_dump(whole)})
    assert not config.retries_failures
    patch = json.loads(shlex.split(controller_config.patch_command(config, "argo"))[-1])
    assert yaml.safe_load(patch["data"]["config"]) == {
        "parallelism": 3, "workflowDefaults": {"spec": {}},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["a: [", "- a", "spec: 3", "spec: {templateDefaults: x}"])
def test_a_damaged_config_map_is_an_error_in_words(text: str) -> None:
    with pytest.raises(DataError, match="workflow-controller-configmap: "):
        controller_config.parse({"workflowDefaults": text})


@pytest.mark.usefixtures("alone")
def test_a_map_that_may_not_be_read_gives_the_line_for_an_administrator(
    kubeflow_api: KubeflowApi, kubernetes_api: KubernetesApi
) -> None:
    kubernetes_api.allowed = False
    result = typed(kubeflow_api)
    assert result.exit_code == 0
    assert "retries    not checked: this user may not read the ConfigMap" in result.stdout
    assert 'User "jane" cannot get resource "configmaps"' in result.stdout
    assert f"kubectl get configmap {MAP[1]} -n kubeflow -o yaml\n" in result.stdout


@pytest.mark.usefixtures("alone")
def test_other_reasons_for_not_reading_it_are_told(
    kubeflow_api: KubeflowApi,
    kubernetes_api: KubernetesApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    def text(*arguments: str) -> str:
        one = found(kubeflow_api, *arguments)["retries"]
        assert one["outcome"] == "not checked"
        assert one["command"].startswith("kubectl get configmap")
        return one["text"]

    assert "there is no ConfigMap workflow-controller-configmap in namespace kubeflow" in text()
    assert "-kubeflow-namespace" in text()
    assert "in namespace argo" in text("--kubeflow-namespace", "argo")
    assert "127.0.0.1:9: cannot be reached" in text("--context", "other")
    assert "context nowhere: " in text("--context", "nowhere")
    kubernetes_api.page = LOGIN_PAGE
    assert "not from the API of Kubernetes" in text()
    use(monkeypatch, kubernetes_api.kubeconfig(tmp_path, "expired"))
    kubernetes_api.page = ""
    assert "does not know this user (401)" in text()
    use(monkeypatch, tmp_path / "missing")
    assert "no access to Kubernetes here" in text()
    (tmp_path / "broken").write_text("a: [", encoding="utf-8")
    use(monkeypatch, tmp_path / "broken")
    assert "the kubeconfig cannot be used" in text()


@pytest.mark.usefixtures("alone")
def test_an_api_that_cannot_run_the_pipeline_is_a_problem(
    kubeflow_api: KubeflowApi, kubernetes_api: KubernetesApi
) -> None:
    kubernetes_api.config_maps[MAP] = data(defaults())
    kubeflow_api.version = "2.5.0"
    assert typed(kubeflow_api).exit_code == 1
    assert "needs 2.14.0 or newer" in found(kubeflow_api)["version"]["text"]
    kubeflow_api.version = "unknown"
    assert typed(kubeflow_api).exit_code == 0
    assert found(kubeflow_api)["version"]["outcome"] == "not checked"
    kubeflow_api.in_the_way["/runs"] = [failure(PERMISSION_DENIED, "not yours")]
    assert "does not allow this" in found(kubeflow_api)["namespace"]["text"]
    kubeflow_api.in_the_way["/healthz"] = [ApiResponse(LOGIN_PAGE, content_type="text/html")]
    result = typed(kubeflow_api)
    assert result.exit_code == 1
    assert "the response is not from the API of Kubeflow Pipelines 2" in result.stdout
    assert "retries    ok" in result.stdout  # the other checks are made all the same
    kubeflow_api.multi_user = True
    assert "give your profile's namespace" in found(kubeflow_api)["api"]["text"]


def test_the_patch_in_the_manifests_turns_the_retries_on() -> None:
    path = ROOT / "kubeflow" / "manifests" / "workflow-controller" / "retries.yaml"
    patch = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = controller_config.parse(patch["data"])
    assert config.retries_failures
    assert not config.retry_expression
    assert config.kept_seconds == 3600


@pytest.mark.usefixtures("alone")
def test_pods_that_are_deleted_early_or_after_a_day_are_told_of(
    kubeflow_api: KubeflowApi, kubernetes_api: KubernetesApi
) -> None:
    kubernetes_api.config_maps[MAP] = data(defaults(None))
    assert "persistence agent does" in found(kubeflow_api)["lifetime"]["text"]
    kubernetes_api.config_maps[MAP] = data({"spec": {"podGC": {"strategy": "OnPodCompletion"}}})
    told = found(kubeflow_api)["lifetime"]
    assert told["outcome"] == "warning"
    assert "podGC: OnPodCompletion" in told["text"]
