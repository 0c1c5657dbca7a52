"""Problems that the compiler reports all at once, before it imports anything heavy."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from components.common.errors import UsageError
from genreflow.cli.app import app
from kubeflow.compile import checks as compile_checks
from kubeflow.compile import compiler
from kubeflow.compile.node_steps import NodeStep
from pipeline.config.kubeflow import KubeflowSettings, StepResources
from pipeline.config.load import load, shipped_config
from pipeline.config.schema import Config
from pipeline.graph.nodes import node_ids

RIGHT = {
    "image": "registry.example.org:5000/genreflow:1.2",
    "pipeline_root": "s3://bucket/genreflow",
    "metadata": "mysql://genreflow@mysql/genreflow",
    "metadata_secret": "genreflow-metadata",
}
VOLUME = {"volume_claim": "genreflow", "pipeline_root": "/genreflow/root"}


def complaints(name: str = "fma_small", **changes: str) -> list[str]:
    settings = {**RIGHT, **changes}
    overrides = [
        f'{key if "." in key else f"kubeflow.{key}"}="{value}"' for key, value in settings.items()
    ]
    config = load(shipped_config(name), overrides)
    try:
        compile_checks.check(config, config.kubeflow)
    except UsageError as error:
        return str(error).splitlines()
    return []


def test_what_is_right_passes() -> None:
    assert complaints() == []
    assert complaints("demo", **VOLUME) == []
    assert complaints(**VOLUME, metadata="sqlite:///genreflow/metadata.sqlite") == []
    assert complaints(image="genreflow@sha256:" + "0" * 64) == []
    assert complaints(model_registry="http://registry:8080", inference_service="genreflow") == []
    for registry in ("https://registry.example.org", "http://registry.kubeflow.svc:8080"):
        assert complaints(model_registry=registry, model_registry_secret="token") == []
    for folder in ("/genreflow", "/genreflow/fma", "s3://bucket/fma"):
        assert complaints(**VOLUME, **{"dataset.data_dir": folder}) == []
    assert complaints(**VOLUME, **{"storage.push_destination": "/genreflow/models"}) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": ""}, "no image"),
        ({"image": "Not An Image"}, "not an image reference"),
        ({"image": "registry.example.org/Genreflow:1.2"}, "only the tag may have capitals"),
        ({"pipeline_root": ""}, "not shared between steps"),
        ({"pipeline_root": "/tmp/root"}, "not shared between steps"),
        ({**VOLUME, "pipeline_root": "/genreflow/../tmp"}, "not shared between steps"),
        ({"pipeline_root": "gs://bucket/x"}, "only local folders and s3:// URIs"),
        ({"pipeline_root": "s3://a/x"}, "kubeflow.pipeline_root: not a valid s3:// URI"),
        ({"dataset.data_dir": "/data/fma"},
         "the data folder = '/data/fma': not shared between steps; give an s3:// URI, or set "
         "kubeflow.volume_claim and a folder below /genreflow"),
        ({**VOLUME, "dataset.data_dir": "/data/fma"}, "or a folder below /genreflow"),
        ({"dataset.data_dir": "/genreflow/fma"}, "set kubeflow.volume_claim and a folder"),
        ({**VOLUME, "dataset.data_dir": "fma"}, "the data folder = 'fma': not shared"),
        ({**VOLUME, "dataset.data_dir": "/genreflow/../fma"}, "not shared between steps"),
        ({"dataset.data_dir": "gs://bucket/fma"}, "the data folder = gs://bucket/fma: only"),
        ({**VOLUME, "storage.push_destination": "/models"}, "storage.push_destination = '/models'"),
        ({"metadata": ""}, "kubeflow.metadata: "),
        ({"metadata_secret": ""}, "kubeflow.metadata_secret: not set"),
        ({"metadata": "sqlite:///tmp/x.sqlite"}, "must be on the volume"),
        ({"model_registry_secret": "a"}, "kubeflow.model_registry is not"),
        ({"model_registry_secret": "a", "model_registry": "http://registry:8080"},
         "its token would be sent unencrypted"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_by_its_key(changes: dict[str, str], words: str) -> None:
    (line,) = complaints(**changes)
    assert words in line


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    (line,) = complaints(metadata="mysql://u:hush@db/g")
    assert "GENREFLOW_METADATA_PASSWORD" in line
    assert "hush" not in line


def test_the_wait_for_kserve_ends_before_its_step_does() -> None:
    config = load(shipped_config("fma_small"), [f'kubeflow.{key}="{RIGHT[key]}"' for key in RIGHT])
    settings = dataclasses.replace(config.kubeflow, inference_service="genreflow")
    for hours, ready_minutes, fits in ((0.1, 15.0, False), (0.25, 15.0, False), (0.5, 15.0, True)):
        changed = dataclasses.replace(settings, timeout_hours=hours, ready_minutes=ready_minutes)
        if fits:
            compile_checks.check(config, changed)
            continue
        with pytest.raises(UsageError, match=r"kubeflow\.ready_minutes = 15: the step Deploy ends"):
            compile_checks.check(config, changed)


def test_synthetic_songs_need_a_volume() -> None:
    (line,) = complaints("demo")
    assert "made on the volume" in line


def test_resources_of_what_is_no_node_are_refused() -> None:
    config = load(shipped_config("fma_small"))
    steps = [NodeStep(("Trainer.ffnn",), "trainer-ffnn", ())]
    for key in ("Trainer", "Trainer.ffnn", "default", "prepare"):
        compile_checks.check_resources(_with(config, key), steps)
    with pytest.raises(UsageError, match=r"kubeflow\.resources\.Traner: no such node"):
        compile_checks.check_resources(_with(config, "Traner"), steps)


def test_they_are_told_without_tfx_by_the_configuration_alone() -> None:
    def told(key: str, *overrides: str) -> list[str]:
        config = load(shipped_config("demo"), overrides)
        nodes = node_ids(config)
        return compile_checks.resource_problems(_with(config, key), nodes)

    for key in ("Trainer.cnn_small", "ServingModel", "ServingCheck", "BaselineTrainer", "finish"):
        assert told(key) == []
    (line,) = told("Tuner")
    assert line.startswith("kubeflow.resources.Tuner: no such node; there are: BaselineTrainer, ")
    assert told("ServingCheck", "serving.check=false")
    assert told("BaselineTrainer", "baselines.models=[]", "gate.beats_baseline=false")
    tuning = ("tuning.networks=[ffnn]", "tuning.dropout=[0.1, 0.5]")
    assert told("Tuner.ffnn", *tuning) == []
    assert told("Tuner.vgg16", *tuning)
    nodes = node_ids(load(shipped_config("demo")), resolves_serving=False)
    assert "ServingModel" not in nodes


def _with(config: Config, key: str) -> KubeflowSettings:
    return dataclasses.replace(config.kubeflow, resources={key: StepResources(cpu="1")})


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("genreflow", "a name without a tag"),
        ("registry.example.org:5000/genreflow", "a name without a tag"),
        ("registry.example.org:5000/genreflow:latest", "the tag latest"),
        ("registry.example.org:5000/genreflow:1.2", ""),
        ("genreflow@sha256:" + "0" * 64, ""),
        ("genreflow:latest@sha256:" + "0" * 64, ""),
    ],
)
def test_a_name_that_moves_is_warned_of(image: str, why: str) -> None:
    warning = compile_checks.image_warning(image)
    assert why in warning
    assert bool(warning) == bool(why)


def test_what_cannot_be_written_is_told_by_the_name_that_was_typed(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "file").write_text("")

    def told(output: object) -> str:
        problems = compile_checks.output_problems(str(output), (".yaml", ".yml"))
        return "".join(problems)

    assert told(tmp_path / "p.yaml") == ""
    assert told(tmp_path / "made" / "later" / "p.yml") == ""
    for name in ("pipeline", "p.txt", "p.yaml.gz", ".yaml"):
        assert told(name) == f"{name}: the file's name must end in .yaml or .yml"
    assert told(tmp_path / "folder.yaml").endswith("folder.yaml: is a folder; give a file")
    for name in (tmp_path / "file" / "p.yaml", "/proc/none/p.yaml"):
        assert told(name).startswith(f"{name}: cannot be written: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.yaml"]


def test_the_command_tells_all_at_once_with_status_2() -> None:
    result = CliRunner().invoke(
        app, ["kubeflow", "compile", "-c", "demo", "-o", "p.txt", "--data-dir", "gs://b/x",
              "--set", "kubeflow.resources.Traner.cpu='2'"]
    )  # fmt: skip
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    words = ["no image", "kubeflow.pipeline_root", "kubeflow.metadata", "the data folder",
             "kubeflow.resources.Traner", "p.txt: the file's name"]  # fmt: skip
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_the_checks_import_nothing_heavy() -> None:
    program = (
        "import sys; from kubeflow.compile import checks as compile_checks, compiler; "
        "print({'tfx', 'kfp'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"


def told_of_a_compiled(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, name: str = "fma_small", **changes: str
) -> tuple[list[str], str]:
    """Return the lines and warnings printed around the compiler, without running it."""
    monkeypatch.setattr(compiler, "compile_pipeline", lambda *_: [])
    settings = [
        word for key, value in {**RIGHT, **changes}.items()
        for word in ("--set", f'kubeflow.{key}="{value}"')
    ]  # fmt: skip
    result = CliRunner().invoke(app, ["kubeflow", "compile", "-c", name, *settings, *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines(), result.stderr


def test_data_that_are_lacking_are_told_with_how_to_give_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, warnings = told_of_a_compiled(monkeypatch, "-o", "my file.yaml")
    assert "data       none yet; give it with submit -p data_dir=..." in lines
    assert lines[-1] == (
        "next       genreflow kubeflow submit 'my file.yaml' -p data_dir=s3://BUCKET/FOLDER "
        "--host URL --service-account NAME"
    )
    assert warnings == ""
    lines, _ = told_of_a_compiled(monkeypatch, "--data-dir", "s3://bucket/fma/")
    assert "data       s3://bucket/fma" in lines
    assert "data_dir" not in lines[-1]
    lines, _ = told_of_a_compiled(monkeypatch, name="demo", **VOLUME)
    assert "data       songs that the first step generates" in lines
    assert "data_dir" not in lines[-1]


def test_an_image_that_moves_is_warned_of_and_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, warning = told_of_a_compiled(monkeypatch, image="registry.example.org/g:latest")
    assert warning.startswith(
        "genreflow: warning: image registry.example.org/g:latest: the tag latest may mean"
    )
    assert lines[0].startswith("compiled ")


def test_what_each_command_does_is_told_on_a_line() -> None:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["kubeflow", "--help"])
    lines = result.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == [
        "compile", "submit", "schedule", "upload", "runs", "watch", "doctor",
    ]  # fmt: skip
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_submits_parameters_are_told_in_its_help() -> None:
    text = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["kubeflow", "submit", "--help"]).stdout
    for name in ("data_dir", "overrides", "pipeline_root", "push_destination"):
        assert name in text
