"""Commands in the pages about Kubeflow and the cluster files, as far as they need no cluster."""

from __future__ import annotations

import pathlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import typer.main

from genreflow.cli.kubeflow.app import app
from kubeflow.compile import pods
from pipeline.config.kubeflow import amount
from pipeline.config.load import load, shipped_config
from tests.support import ROOT

MANIFESTS = ROOT / "kubeflow" / "manifests"
TEXT = (ROOT / "docs" / "guides" / "kubeflow-cluster.md").read_text("utf-8")
PAGES = (
    "docs/tutorial/kubeflow.md", "docs/guides/kubeflow.md", "docs/guides/kubeflow-cluster.md"
)  # fmt: skip
# Sections of overlays, by their names.
SECTIONS = dict(re.findall(r"^## (\w+): [^\n]*\n(.*?)(?=^## )", TEXT, re.M | re.S))
NEEDS = {
    "kind": {"genreflow-metadata", "genreflow-mysql"},
    "s3": {"genreflow-metadata", "genreflow-mysql", "genreflow-storage"},
    "gke": {"genreflow-metadata"},
}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each line in code blocks, with continued lines joined."""
    for language, block in re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S):
        for line in [] if language not in ("", "sh") else block.replace("\\\n", " ").splitlines():
            words = line.partition(" #")[0]
            if re.match(r"(genreflow|kubectl|secret|cat|make) ", words) and "<<" not in words:
                yield shlex.split(words.removesuffix("&"))


def kubeflow_commands(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each `genreflow kubeflow COMMAND`, with the values that the command line parses."""
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for words in commands(text):
        if words[:2] == ["genreflow", "kubeflow"]:
            yield words[2], known[words[2]].make_context(words[2], words[3:]).params


def joined(overlay: str, tmp_path: pathlib.Path) -> Any:
    """Return the configuration that the section's `cat` makes, and its name."""
    (line,) = [words for words in commands(SECTIONS[overlay]) if words[0] == "cat"]
    *parts, sign, name = line[1:]
    assert sign == ">"
    file = tmp_path / name
    file.write_text("".join((ROOT / part).read_text() for part in parts))
    return load(file), name


def test_every_line_is_one_that_the_command_line_takes() -> None:
    for page in PAGES:
        found = dict(kubeflow_commands((ROOT / page).read_text("utf-8")))
        assert {"compile", "submit"} <= found.keys(), page


def test_whoever_submits_says_the_account_of_the_steps() -> None:
    accounts = [
        taken["service_account"]
        for page in PAGES
        for command, taken in kubeflow_commands((ROOT / page).read_text("utf-8"))
        if command in ("submit", "schedule")
    ]
    assert len(accounts) >= 6
    assert set(accounts) == {"genreflow-runner"}


def test_what_is_typed_by_its_bare_name_was_put_on_the_path() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        activated = text.index("make env && . .venv/bin/activate")
        first = re.search(r"^(?:genreflow kubeflow|make image) ", text, re.M)
        assert first is not None
        assert activated < first.start(), page


def test_files_are_made_before_they_are_read() -> None:
    for page in PAGES:
        made: set[str] = set()
        for words in commands((ROOT / page).read_text("utf-8")):
            if words[0] == "cat":
                assert all((ROOT / part).is_file() for part in words[1:-2]), words
                made.add(words[-1])
            if words[:3] == ["genreflow", "kubeflow", "compile"] and "vertex" not in words:
                assert words[words.index("--config") + 1] in made, page
                made.add(words[words.index("--output") + 1])
            if words[:3] == ["genreflow", "kubeflow", "submit"]:
                assert words[3] in made, page


def test_the_page_names_files_that_there_are() -> None:
    for path in re.findall(r"kubeflow/manifests/([\w./-]+)", TEXT):
        made = path.endswith((".env", "/pipeline.yaml"))  # by the reader
        assert made or (MANIFESTS / path).exists(), path
    for folder in ("components", "overlays"):
        for part in (MANIFESTS / folder).iterdir():
            assert part.name in TEXT, part


@pytest.mark.parametrize("overlay", NEEDS)
def test_each_overlays_section_makes_the_secrets_that_it_needs(overlay: str) -> None:
    """The function `secret` of the page takes a namespace, a name and a key."""
    assert SECTIONS.keys() == set(NEEDS)
    section = SECTIONS[overlay]
    made = re.findall(r"^secret \w+ ([\w-]+) [\w-]+$", section, re.M)
    made += re.findall(r"create secret generic (genreflow-\w+)", section)
    assert set(made) == NEEDS[overlay]
    assert f"kubectl apply -k kubeflow/manifests/overlays/{overlay}\n" in section
    assert TEXT.index("\nsecret() {") < TEXT.index(section)


def test_no_password_ends_in_a_line_break(tmp_path: pathlib.Path) -> None:
    """kubectl gets them at its standard input, from the function and from the file."""
    (tmp_path / "FILE").write_text("of the database\n")
    function = re.search(r"^secret\(\) \{.*?\}$", TEXT, re.M | re.S)
    line = re.search(r'^printf %s "\$\(cat FILE\)" \|\n    kubectl.*$', SECTIONS["gke"], re.M)
    assert function is not None
    assert line is not None
    program = f"kubectl() {{ cat > got; }}\n{function[0]}\n"
    for typed, expected in (
        ("secret kubeflow genreflow-mysql root-password", r"[A-Za-z0-9+/]{32}"),
        (line[0], "of the database"),
    ):
        subprocess.run(["sh", "-euc", program + typed], cwd=tmp_path, check=True, timeout=60)
        assert re.fullmatch(expected, (tmp_path / "got").read_text()), typed


def test_each_section_has_the_data_where_its_settings_let_steps_look(
    tmp_path: pathlib.Path,
) -> None:
    for overlay in NEEDS:
        config, name = joined(overlay, tmp_path)
        settings = config.kubeflow
        taken = dict(kubeflow_commands(SECTIONS[overlay]))["compile"]
        assert taken["config_name"] == name
        if config.dataset.kind == "synthetic":
            assert not taken["data_dir"]
        elif taken["data_dir"].startswith("s3://"):
            assert settings.storage_secret in NEEDS[overlay], overlay
        else:
            assert taken["data_dir"].startswith(f"{settings.volume_path}/"), overlay
            (copied,) = [w for w in commands(SECTIONS[overlay]) if w[:2] == ["kubectl", "cp"]]
            assert copied[3] == f"genreflow/genreflow-data:{taken['data_dir']}"


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_the_pod_that_takes_data_mounts_the_steps_volume_as_their_user(
    version: str, manifests: Any, tmp_path: pathlib.Path
) -> None:
    config, _ = joined("gke", tmp_path)
    (pod,) = manifests.build("data")
    kubernetes_validate.validate(pod, version, strict=True)
    spec, metadata = pod["spec"], pod["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("genreflow-data", "genreflow")
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["image"] == config.kubeflow.image
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    step = pods.kubernetes_config(config.kubeflow, config.kubeflow.resources_of("Trainer"))
    (mount,), (volume,) = container["volumeMounts"], spec["volumes"]
    assert mount["name"] == volume["name"]
    assert [{"constant": volume["persistentVolumeClaim"]["claimName"],
             "mountPath": mount["mountPath"]}] == step["pvcMount"]  # fmt: skip


def test_what_kind_needs_is_what_its_steps_take(tmp_path: pathlib.Path) -> None:
    config, _ = joined("kind", tmp_path)
    side_by_side = [f"Trainer.{name}" for name in config.models] + ["BaselineTrainer"]
    resources = [config.kubeflow.resources_of(node) for node in side_by_side]
    processors = sum(amount(each.cpu) for each in resources)
    gibibytes = sum(amount(each.memory) for each in resources) / 2**30
    wanted = f"{processors:.0f} processors and {gibibytes:.0f} GiB"
    for text in (SECTIONS["kind"], (MANIFESTS / "overlays/kind/kubeflow.toml").read_text()):
        assert wanted in re.sub(r"\s+(# )?", " ", text)
    assert len(side_by_side) == 4


def test_the_database_is_made_with_the_character_set_of_the_one_in_the_cluster_files() -> None:
    statements = re.search(r"^```sql\n(.*?)^```", SECTIONS["gke"], re.M | re.S)
    assert statements is not None
    made = re.search(r"CREATE DATABASE genreflow CHARACTER SET (\w+) COLLATE (\w+);", statements[1])
    assert made is not None
    text = (MANIFESTS / "components" / "mysql" / "statefulset.yaml").read_text()
    assert f"--character-set-server={made[1]}\n" in text
    assert f"--collation-server={made[2]}\n" in text
    assert "'genreflow'@'%' IDENTIFIED WITH mysql_native_password BY" in statements[1]


def test_a_schedule_without_its_pipeline_ends_as_the_page_says(manifests: Any) -> None:
    folder = manifests.folder / "components" / "schedule"
    manifests.variant("s3+schedule")  # the file is there for it
    (folder / "pipeline.yaml").rename(folder / "kept.yaml")
    try:
        done = manifests.try_build("overlays/s3-schedule")
    finally:
        (folder / "kept.yaml").rename(folder / "pipeline.yaml")
    assert done.returncode != 0
    assert re.search(r"evalsymlink failure on '.*/pipeline\.yaml'", done.stderr)
    assert """evalsymlink failure on '.../pipeline.yaml'""" in TEXT


def test_the_example_of_settings_can_be_put_behind_a_configuration(
    tmp_path: pathlib.Path,
) -> None:
    page = (ROOT / "docs" / "guides" / "kubeflow.md").read_text("utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    file = tmp_path / "joined.toml"
    file.write_text(shipped_config("fma_small").read_text() + example)
    assert load(file).kubeflow.resources_of("Trainer.vgg16").gpus == 1
