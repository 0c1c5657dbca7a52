"""docs/guides/beam.md: settings that load, flags that Beam parses, YAML of things that exist."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

from genreflow.cli.app import app
from pipeline.config.beam import BeamSettings, pipeline_args
from pipeline.config.beam_runners import (
    DataflowSettings,
    FlinkSettings,
    PortableSettings,
    SparkSettings,
)
from pipeline.config.load import load
from pipeline.config.schema import Config
from pipeline.prepare.beam_flags import check_flags
from tests.support import ROOT

PAGE = (ROOT / "docs" / "guides" / "beam.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
TOML = [text for kind, text in BLOCKS if kind == "toml"]
YAML = [one for kind, text in BLOCKS if kind == "yaml" for one in yaml.safe_load_all(text)]
SHELL = "\n".join(text for kind, text in BLOCKS if kind == "sh")
IMAGE = "registry.example.org/genreflow:1"
# Where a key of the tables has another name in Beam's parsers.
DESTINATIONS = {"worker_machine_type": "machine_type"}


def _load(text: str, folder: pathlib.Path) -> Config:
    (folder / "c.toml").write_text(f"{text}\n[models.ffnn]\n")
    return load(folder / "c.toml")


def _section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def _named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in YAML if one["kind"] == kind and one["metadata"]["name"] == name)
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("text", TOML)
def test_beam_reads_every_flag_of_the_recipes_with_its_value(
    text: str, tmp_path: pathlib.Path
) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = _load(text, tmp_path).beam
    flags = pipeline_args(beam, tracks=1)
    check_flags(flags)
    options = PipelineOptions(flags).get_all_options()
    table = beam.runner_table
    assert table is not None
    for flag, key in table.own_flags().items():
        name = flag.removeprefix("--")
        value = getattr(table, key)
        if value != table.__dataclass_fields__[key].default and not isinstance(value, bool):
            assert str(options[DESTINATIONS.get(name, name)]) == str(value)


def test_every_flag_of_every_table_is_one_of_beams() -> None:
    for table in (PortableSettings, FlinkSettings, SparkSettings, DataflowSettings):
        # Any value that the flag's own type takes.
        values = {"--flink_version": "1.19", "--no_use_public_ips": None}
        flags = [
            flag if values.get(flag, 1) is None else f"{flag}={values.get(flag, 1)}"
            for flag in table.own_flags()
        ]
        check_flags(flags)


def test_there_is_a_recipe_for_each_runner_elsewhere(tmp_path: pathlib.Path) -> None:
    runners = {_load(text, tmp_path).beam.runner for text in TOML}
    assert runners == {"portable", "flink", "spark", "dataflow"}


@pytest.mark.parametrize("title", ["Flink on Kubernetes", "Spark", "Dataflow"])
def test_what_was_not_run_says_so(title: str) -> None:
    assert _section(title).lstrip().startswith("**Not run.**")


def test_every_setting_is_listed_with_its_default() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (.*?) \|", PAGE, flags=re.MULTILINE)
    listed = [name for cell, _ in rows for name in re.findall(r"`([a-z_]+)`", cell)]
    for table in (BeamSettings, FlinkSettings, SparkSettings, DataflowSettings):
        for field in dataclasses.fields(table):
            if not dataclasses.is_dataclass(field.default_factory):
                assert field.name in listed, f"{table.__name__}.{field.name}"
    known = {
        field.name
        for table in (BeamSettings, FlinkSettings, SparkSettings, DataflowSettings)
        for field in dataclasses.fields(table)
    }
    assert set(listed) <= known
    beam = PAGE.split("| `[beam]` | default | |")[1].split("\n\n")[0]
    for name, default in re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", beam, flags=re.MULTILINE):
        value = getattr(BeamSettings(), name)
        assert json.loads(default) == (list(value) if isinstance(value, tuple) else value)


def test_the_job_servers_have_the_versions_of_beam_that_are_locked() -> None:
    locked = {
        generation: re.search(
            r"^apache-beam(?:\[[a-z,]+\])?==(\S+)",
            (ROOT / "requirements" / generation / "runtime.lock").read_text(),
            flags=re.MULTILINE,
        )[1]  # type: ignore[index]
        for generation in ("1.16", "1.21")
    }
    named = re.findall(r"_job_server:(\S+)", PAGE)
    assert set(named) == {locked["1.21"]}
    assert f"{locked['1.21']}, or {locked['1.16']} with `GENERATION=1.16`" in PAGE.replace(
        "\n", " "
    )


def test_flinks_version_is_one_of_beams() -> None:
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    spec = _named("FlinkDeployment", "genreflow-flink")["spec"]
    assert spec["image"].split(":")[1] in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
    assert spec["flinkVersion"] == "v" + spec["image"].split(":")[1].replace(".", "_")


def _commands() -> list[list[str]]:
    """Return the words of every call of genreflow, in the YAML and in the shell's lines."""
    flink = _named("FlinkDeployment", "genreflow-flink")["spec"]["taskManager"]["podTemplate"]
    job = _named("Job", "genreflow-run")["spec"]["template"]
    containers = [one for pod in (flink, job) for one in pod["spec"]["containers"]]
    ours = [one["command"] for one in containers if one.get("image") == IMAGE]
    assert len(ours) == 2
    for line in SHELL.splitlines():
        if found := re.search(r"\bgenreflow (beam-worker|run) .*", line):
            ours.append(found[0].split())
    return ours


def test_the_recipes_call_commands_that_exist() -> None:
    commands: Any = typer.main.get_command(app)
    found = _commands()
    assert {words[1] for words in found} == {"beam-worker", "run"}
    for name, command, *words in found:
        assert name == "genreflow"
        known = {flag for option in commands.commands[command].params for flag in option.opts}
        for word in words:
            if word.startswith("--"):
                assert word.split("=")[0] in known, word


def test_the_pools_port_is_where_the_runner_looks(tmp_path: pathlib.Path) -> None:
    pools = [words[words.index("--pool") + 1] for words in _commands() if "--pool" in words]
    assert len(pools) == 3
    assert set(pools) == {"50000"}
    for text in TOML:
        table = _load(text, tmp_path).beam.runner_table
        if isinstance(table, PortableSettings) and table.environment == "external":
            assert table.worker_address == "localhost:50000"


def test_the_parts_on_kubernetes_refer_to_each_other(tmp_path: pathlib.Path) -> None:
    (text,) = (one for one in TOML if 'runner = "flink"' in one)
    table = _load(text, tmp_path).beam.flink
    service = _named("Service", "genreflow-job-server")
    server = _named("Deployment", "genreflow-job-server")["spec"]["template"]
    (container,) = server["spec"]["containers"]
    arguments = dict(one.removeprefix("--").split("=") for one in container["args"])
    ports = {port["name"]: str(port["port"]) for port in service["spec"]["ports"]}
    name = service["metadata"]["name"]
    assert table.endpoint == f"{name}:{ports['job']}"
    assert table.artifact_endpoint == f"{name}:{ports['artifacts']}"
    assert (arguments["job-port"], arguments["artifact-port"]) == tuple(ports.values())
    assert [str(port["containerPort"]) for port in container["ports"]] == list(ports.values())
    assert service["spec"]["selector"].items() <= server["metadata"]["labels"].items()
    # The operator's name of the REST service.
    flink = _named("FlinkDeployment", "genreflow-flink")
    assert arguments["flink-master"] == f"{flink['metadata']['name']}-rest:8081"
    managers = flink["spec"]["taskManager"]["replicas"]
    slots = int(flink["spec"]["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    assert (table.sdk_workers, table.parallelism) == (slots, slots * managers)
    run = _named("Job", "genreflow-run")["spec"]["template"]
    (policy,) = _named("NetworkPolicy", name)["spec"]["ingress"]
    (source,) = policy["from"]
    assert source["podSelector"]["matchLabels"] == run["metadata"]["labels"]
    assert "create secret generic genreflow-store " in SHELL
    assert "create configmap genreflow --from-file=flink.toml" in SHELL


def test_kubernetes_knows_the_fields() -> None:
    for document in YAML:
        if document["kind"] == "FlinkDeployment":  # of the operator; its template is a pod's
            spec = document["spec"]["taskManager"]["podTemplate"]["spec"]
            main, worker = spec["containers"]
            assert main == {"name": "flink-main-container"}, "the operator merges it by this name"
            document = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "x"},
                "spec": {**spec, "containers": [worker]},
            }
        kubernetes_validate.validate(document, "1.31", strict=True)
