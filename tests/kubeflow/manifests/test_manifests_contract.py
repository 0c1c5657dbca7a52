"""Names that the cluster files and the rest of the project share."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
from typing import Any

import pytest
import typer.main
import yaml

from genreflow.cli.kubeflow.app import app
from kubeflow.client import access
from kubeflow.compile import checks as compile_checks
from kubeflow.compile import pods
from kubeflow.steps import metadata_url
from pipeline.config.load import load, shipped_config
from pipeline.config.schema import Config
from tests.support import ROOT

MANIFESTS = ROOT / "kubeflow" / "manifests"
# The configuration to which each overlay's comment appends its settings.
JOINED = {"kind": "demo", "s3": "fma_small", "gke": "fma_small"}
SECRETS = ("metadata", "mysql", "storage")
Objects = list[dict[str, Any]]


def joined(overlay: str, configuration: str, folder: pathlib.Path) -> Config:
    """Return a configuration with an overlay's kubeflow.toml appended, as `cat` does."""
    file = folder / "joined.toml"
    own = MANIFESTS / "overlays" / overlay / "kubeflow.toml"
    file.write_text(shipped_config(configuration).read_text() + own.read_text())
    return load(file)


def of(kind: str, among: Objects) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in among if item["kind"] == kind}


@pytest.fixture(scope="module")
def secret_keys(manifests: Any) -> dict[str, set[str]]:
    """Return the keys of the Secrets made from filled-in examples, by name."""
    folder = manifests.folder.parent / "with-secrets"
    shutil.copytree(manifests.folder / "secrets", folder)
    for name in SECRETS:
        lines = (folder / f"{name}.env.example").read_text().splitlines()
        filled = [f"{line}filled" if line.endswith("=") else line for line in lines]
        (folder / f"{name}.env").write_text("\n".join(filled) + "\n")
    return {name: set(s["data"]) for name, s in of("Secret", manifests.build(folder)).items()}


# Settings


@pytest.mark.parametrize("overlay", JOINED)
def test_each_overlays_settings_can_be_compiled_for(overlay: str, tmp_path: pathlib.Path) -> None:
    text = (MANIFESTS / "overlays" / overlay / "kubeflow.toml").read_text()
    assert (
        f"# cat configs/{JOINED[overlay]}.toml "
        f"kubeflow/manifests/overlays/{overlay}/kubeflow.toml > {overlay}.toml\n"
    ) in text
    config = joined(overlay, JOINED[overlay], tmp_path)
    compile_checks.check(config, config.kubeflow)


@pytest.mark.parametrize("overlay", JOINED)
@pytest.mark.parametrize("name", ["demo", "folder", "fma_medium", "fma_small", "gtzan", "study"])
def test_they_can_follow_any_configuration_that_is_shipped(
    overlay: str, name: str, tmp_path: pathlib.Path
) -> None:
    assert joined(overlay, name, tmp_path).kubeflow.image


@pytest.mark.parametrize("overlay", JOINED)
def test_what_the_settings_name_is_in_the_cluster(
    overlay: str, manifests: Any, secret_keys: dict[str, set[str]], tmp_path: pathlib.Path
) -> None:
    settings = joined(overlay, JOINED[overlay], tmp_path).kubeflow
    objects = manifests.variant(overlay)
    claims = set(of("PersistentVolumeClaim", objects))
    assert claims == ({settings.volume_claim} if settings.volume_claim else set())
    assert settings.pipeline_root.startswith(f"{settings.volume_path}/" if claims else "s3://")
    # The compiler's settings for a step.
    step = pods.kubernetes_config(settings, settings.resources_of("Trainer.vgg16"))
    for secret in step["secretAsEnv"]:
        keys = {pair["secretKey"] for pair in secret["keyToEnv"]}
        assert keys == secret_keys[secret["secretName"]]
    assert [mount["constant"] for mount in step.get("pvcMount", [])] == sorted(claims)


@pytest.mark.parametrize("overlay", ["kind", "s3"])
def test_the_settings_database_is_the_one_that_is_made(
    overlay: str, manifests: Any, tmp_path: pathlib.Path
) -> None:
    settings = joined(overlay, JOINED[overlay], tmp_path).kubeflow
    url = metadata_url.parse(settings.metadata)
    objects = manifests.variant(overlay)
    service = of("Service", objects)[url.host]
    assert [port["port"] for port in service["spec"]["ports"]] == [url.port]
    mysql = of("StatefulSet", objects)["genreflow-mysql"]
    (container,) = mysql["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable for variable in container["env"]}
    assert env["MYSQL_DATABASE"]["value"] == url.path
    assert env["MYSQL_USER"]["value"] == url.user
    assert env["MYSQL_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
        "name": settings.metadata_secret,
        "key": pods.PASSWORD_KEY,
    }


def test_the_address_of_an_existing_database_is_the_one_that_steps_may_reach(
    manifests: Any, tmp_path: pathlib.Path
) -> None:
    url = metadata_url.parse(joined("gke", "fma_small", tmp_path).kubeflow.metadata)
    policies = of("NetworkPolicy", manifests.variant("gke"))
    (rule,) = policies["genreflow-steps-existing-mysql"]["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": f"{url.host}/32"}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": url.port}]


@pytest.mark.parametrize("overlay", JOINED)
def test_the_image_of_steps_is_that_of_the_cluster_files(
    overlay: str, manifests: Any, tmp_path: pathlib.Path
) -> None:
    image = joined(overlay, JOINED[overlay], tmp_path).kubeflow.image
    text = (MANIFESTS / "overlays" / overlay / "kustomization.yaml").read_text()
    (entry,) = yaml.safe_load(text)["images"]
    assert f"{entry['newName']}:{entry['newTag']}" == image
    job = of("CronJob", manifests.variant(f"{overlay}+schedule"))["genreflow-schedule"]
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image


# Secrets


def test_secrets_have_the_names_and_keys_that_steps_ask_for(
    secret_keys: dict[str, set[str]],
) -> None:
    assert secret_keys == {
        "genreflow-metadata": {pods.PASSWORD_KEY},
        "genreflow-mysql": {"root-password"},
        "genreflow-storage": set(pods.STORAGE_VARIABLES),
    }


def test_no_secret_is_in_the_repository_and_none_is_made_unasked(manifests: Any) -> None:
    for path in sorted((MANIFESTS / "secrets").glob("*.example")):
        for line in path.read_text().splitlines():
            assert line.startswith("#") or line.endswith("="), path
    done = manifests.try_build("secrets")
    assert done.returncode != 0
    assert ".env" in done.stderr
    for overlay in JOINED:
        assert not of("Secret", manifests.variant(overlay))


def test_git_ignores_the_files_with_passwords(requires_program: Any) -> None:
    git = requires_program("git", "git")
    ignored = [f"secrets/{name}.env" for name in SECRETS]
    ignored.append("components/schedule/pipeline.yaml")
    kept = [f"secrets/{name}.env.example" for name in SECRETS]
    done = subprocess.run(
        [git, "check-ignore", "--no-index", *ignored, *kept],
        cwd=MANIFESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ignored


# The schedule


def _submitter(manifests: Any, variant: str) -> dict[str, Any]:
    job = of("CronJob", manifests.variant(variant))["genreflow-schedule"]
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_the_schedule_types_a_command_that_there_is(manifests: Any) -> None:
    container = _submitter(manifests, "s3+schedule")
    program, group, command = container["command"]
    assert (program, group) == ("genreflow", "kubeflow")
    commands = typer.main.get_command(app)
    context = commands.commands[command].make_context(  # type: ignore[attr-defined]
        command, list(container["args"])
    )
    assert context.params["file"] == "/pipeline/pipeline.yaml"
    account = context.params["service_account"]
    assert account in of("ServiceAccount", manifests.variant("s3+schedule"))


@pytest.mark.parametrize(
    ("variant", "namespace"),
    [("s3+schedule", "genreflow"), ("kind+schedule", ""), ("gke+schedule+standalone", "")],
)
def test_it_submits_where_kubeflow_is_with_its_token(
    variant: str, namespace: str, manifests: Any, tmp_path: pathlib.Path
) -> None:
    """A namespace is given only with profiles; without them Kubeflow refuses one."""
    environment = {}
    for variable in _submitter(manifests, variant)["env"]:
        value = variable.get("value")
        if value is None:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
            value = "genreflow"
        environment[variable["name"]] = value
    file = tmp_path / "token"
    file.write_text("header.payload.signature")
    environment["KF_PIPELINES_SA_TOKEN_PATH"] = str(file)
    found = access.access_of("", "", "", environment)
    assert found.host == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    assert found.namespace == namespace
    assert found.token is not None
    assert found.token.read().endswith("header.payload.signature")
