"""Compiled files as they are read before they are sent, and a run's parameters."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
import yaml

from components.common.errors import UsageError
from kubeflow.client import package
from kubeflow.client.run_state import tasks_of


def test_it_is_read_as_kfps_client_sends_it(compiled_pipeline: pathlib.Path) -> None:
    from kfp.client.client import _extract_pipeline_yaml

    read = package.read(str(compiled_pipeline))
    assert read.spec == _extract_pipeline_yaml(str(compiled_pipeline)).to_dict()
    assert set(read.spec) == {"pipeline_spec", "platform_spec"}
    assert read.parameters == dict.fromkeys(
        ["data_dir", "overrides", "pipeline_root", "push_destination"], False
    )


def test_the_configuration_is_what_the_first_step_is_given(
    compiled_pipeline: pathlib.Path,
) -> None:
    read = package.read(str(compiled_pipeline))
    assert read.defaults["pipeline_root"] == "s3://bucket/genreflow"
    assert read.config == ""


def test_what_is_no_pipeline_is_told_without_kfp(tmp_path: pathlib.Path) -> None:
    (tmp_path / "c.toml").write_text("[dataset]\nkind = 'fma'\n")
    program = (
        "import sys\nfrom components.common.errors import UsageError\n"
        "from kubeflow.client import package\n"
        "for name in ('none.yaml', 'c.toml'):\n"
        "    try: package.read(name)\n"
        "    except UsageError as error: print(error)\n"
        "print({'kfp', 'google.protobuf'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    first, second, imported = done.stdout.splitlines()
    assert first.startswith("none.yaml: No such file")
    assert second.startswith("c.toml: not a compiled pipeline")
    assert imported == "set()"


def test_its_steps_are_in_an_order_in_which_they_can_run(compiled_pipeline: pathlib.Path) -> None:
    assert list(tasks_of(package.read(str(compiled_pipeline)).spec).items()) == [
        ("prepare", "Prepare"),
        ("trainer-vgg16", "Trainer.vgg16"),
        ("pusher", "Pusher"),
        ("finish", "Finish"),
    ]


def test_a_pipeline_without_what_is_kubernetes_own_is_one_document(
    compiled_pipeline: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    first = next(yaml.safe_load_all(compiled_pipeline.read_text()))
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(first))
    assert package.read(str(path)).spec["pipelineInfo"] == {"name": "genreflow"}


OTHER = """
pipelineInfo: {name: other}
root: {dag: {tasks: {a: {componentRef: {name: comp-a}}}}}
components: {comp-a: {executorLabel: exec-a}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.5.0
deploymentSpec: {executors: {exec-a: {container: {image: a}}}}
"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a compiled pipeline"),
        ("just a text", "not a compiled pipeline"),
        ("- a\n- b\n", "not a compiled pipeline"),
        ("a: [1", "not a compiled pipeline: not YAML (while parsing a flow sequence"),
        ("a: 2026-13-01", "not YAML"),
        ("a: \x00", "not YAML"),
        ("!!python/object:os.system {}", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("{a: b}", 'has no field named "a"'),
        ("root: 5", "not a compiled pipeline"),
        ("root: {dag: []}", "its pipeline is ''"),
        ("deploymentSpec: text", "not a compiled pipeline"),
        ("pipelineInfo: {name: genreflow}", "its pipeline is 'genreflow'"),
        (OTHER, "its pipeline is 'other', not 'genreflow'"),
        (OTHER + "---\n{}\n---\n{}\n", "not a compiled pipeline"),
        (OTHER + "---\nplatforms: 3\n", "not a compiled pipeline"),
        ('{"pipelineSpec": {}, "runtimeConfig": {}}', "compiled for Vertex AI"),
    ],
)
def test_other_files_are_told(content: str, words: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        package.read(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_file_that_is_none_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: No such file.*genreflow kubeflow compile"):
        package.read(str(tmp_path / "none.yaml"))
    with pytest.raises(UsageError, match="Is a directory"):
        package.read(str(tmp_path))


def test_a_file_beyond_all_measure_is_not_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.yaml"
    with open(path, "wb") as file:
        file.truncate(package._MAX_BYTES + 1)
    with pytest.raises(UsageError, match="too large"):
        package.read(str(path))


TAKES = package.Package("p.yaml", {}, {"data_dir": False, "overrides": False, "root": True})


def test_parameters_are_what_stands_before_and_after_the_first_sign() -> None:
    given = ["root=s3://b/r", "data_dir=", 'overrides={"dataset.genres": ["a=b"]}']
    assert package.parameters(TAKES, given) == {
        "root": "s3://b/r",
        "data_dir": "",
        "overrides": '{"dataset.genres": ["a=b"]}',
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["root"], "-p root: not KEY=VALUE"),
        (["root=1", "datadir=x"],
         "-p datadir: p.yaml has no such parameter; it has data_dir, overrides, root"),
        (["root=1", "=x"], "has no such parameter"),
        (["root=1", "root=2"], "-p root: given twice"),
        (["data_dir=x"], "p.yaml needs -p root=..."),
        (["root=1", "overrides="], "-p overrides: not JSON"),
        (["root=1", "overrides={training.epochs: 3}"], "-p overrides: not JSON"),
        (["root=1", 'overrides=["a"]'], "-p overrides: a JSON object is needed"),
        (["root=1", "overrides=" + "[" * 5000], "-p overrides: not JSON"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_told(given: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        package.parameters(TAKES, given)
    assert words in str(caught.value)
