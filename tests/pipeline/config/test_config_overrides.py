"""Tests of overrides by --set and by a run's parameter, and of messages on wrong ones."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pipeline.config.load import from_values, load, shipped_config
from pipeline.config.messages import ConfigError
from pipeline.config.overrides import parse_override
from pipeline.config.schema import Config

Write = Callable[[str], pathlib.Path]
Complain = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("training.epochs=3", lambda c: c.training.epochs == 3),
        ("training.learning_rate=1", lambda c: c.training.learning_rate == 1.0),
        ("models.ffnn.weights=none", lambda c: c.models["ffnn"].weights == "none"),
        ("dataset.strict=true", lambda c: c.dataset.strict is True),
        ('dataset.genres=["Rock","Hip-Hop"]', lambda c: c.dataset.genres == ("Rock", "Hip-Hop")),
        ("dataset.genres=[Rock,Hip-Hop]", lambda c: c.dataset.genres == ("Rock", "Hip-Hop")),
        ("dataset.genres=[]", lambda c: c.dataset.genres == ()),
        ("dataset.data_dir=/data/a=b c", lambda c: c.dataset.data_dir == "/data/a=b c"),
        ('dataset.data_dir="2024"', lambda c: c.dataset.data_dir == "2024"),
        (" split . seed = 7 ", lambda c: c.split.seed == 7),
        ("gate={floor = 0.5}", lambda c: c.gate.floor == 0.5),
    ],
)
def test_an_override_sets_one_key(
    override: str, read: Callable[[Config], bool], write: Write
) -> None:
    assert read(load(write("[gate]\nfloor = 0.1\n[models.ffnn]"), [override]))


def test_an_override_may_add_a_network(write: Write) -> None:
    config = load(write("[models.ffnn]\ndropout = 0.1"), ["models.cnn_small.epochs=1"])
    assert set(config.models) == {"ffnn", "cnn_small"}
    assert config.models["ffnn"].dropout == 0.1


@pytest.mark.parametrize("name", ['"Trainer.vgg16"', "'Trainer.vgg16'", ' "Trainer\\u002Evgg16" '])
def test_an_overrides_key_is_read_as_toml_reads_it(name: str, write: Write) -> None:
    path = write("[models.ffnn]")
    found = load(path, [f"kubeflow.resources.{name}.gpus=1"]).kubeflow
    assert found == load(write(f"[models.ffnn]\n[kubeflow.resources.{name}]\ngpus = 1")).kubeflow
    assert found.resources["Trainer.vgg16"].gpus == 1


def test_a_quoted_key_may_hold_an_equals_sign(write: Write) -> None:
    label = 'kubeflow.resources.Trainer.node_selector."cloud.google.com/gke-accelerator"=nvidia-l4'
    resources = load(write("[models.ffnn]"), [label]).kubeflow.resources["Trainer"]
    assert resources.node_selector == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert parse_override('"a=b".c=d=e').path == ("a=b", "c")
    assert parse_override('"a=b".c=d=e').value == "d=e"


STEP_KEYS = "([kubeflow.resources.Trainer] has: cpu, memory, gpus, gpu_resource, node_selector, "


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("Trainer.cpu=2", "must be a string; write --set 'kubeflow.resources.Trainer.cpu=\"2\"'"),
        ("Trainer.gpus=many", "must be a whole number from 0 to 16"),
        ("Trainer.gpus=99", "must be a whole number from 0 to 16"),
        ("Trainer.cores=2", f"unknown key {STEP_KEYS}timeout_hours)"),
        ("Trainer.cpus=2", f"did you mean kubeflow.resources.Trainer.cpu? {STEP_KEYS}"),
        ("Trainer.node_selector.pool=1", "must be a string; write --set"),
        (
            "Trainer.vgg16.gpus=1",
            "quote a node's name that contains a dot: "
            'kubeflow.resources."Trainer.vgg16" ([kubeflow.resources.Trainer] has: cpu',
        ),
        ('"Trainer.x".cpu=2', 'write --set \'kubeflow.resources."Trainer.x".cpu="2"\''),
    ],
)
def test_what_a_step_may_take_is_told_by_its_own_keys(
    override: str, expected: str, complaints: Complain
) -> None:
    (line,) = complaints("[models.ffnn]", [f"kubeflow.resources.{override}"])
    assert expected in line
    assert "beam.workers" not in line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainin.epochs=1", "trainin: unknown table; did you mean training?"),
        ("epochs=1", "epochs = 1: unknown key; did you mean training.epochs?"),
    ],
)
def test_a_typo_of_a_table_in_an_override_is_told_with_what_helps_alone(
    override: str, message: str, complaints: Complain
) -> None:
    assert complaints("[models.ffnn]", [override]) == [f"--set {override}: {message}"]


def test_an_override_that_is_near_no_table_is_told_all_tables(complaints: Complain) -> None:
    (line,) = complaints("[models.ffnn]", ["foo.bar=1"])
    assert line.startswith("--set foo.bar=1: foo: unknown table (there are: models, audio, ")


def test_a_table_of_the_file_and_of_an_override_is_told_with_both(complaints: Complain) -> None:
    (line,) = complaints("[foo]\nx = 1\n[models.ffnn]", ["foo.bar=1"])
    assert ".toml, --set foo.bar=1: foo: unknown table" in line


def test_the_last_of_two_overrides_holds(write: Write) -> None:
    assert load(write("[models.ffnn]"), ["split.seed=1", "split.seed=2"]).split.seed == 2


@pytest.mark.parametrize(
    "override",
    ["training.epochs", "=3", "training..epochs=3", ".=1", 'a"b=1', '"".a=1', 'a."\\x".b=1'],
)
def test_an_override_is_key_and_value(override: str, complaints: Complain) -> None:
    (line,) = complaints("[models.ffnn]", [override])
    assert line.startswith(f"--set {override}: must be KEY=VALUE")


def test_an_override_without_a_value_says_how_to_write_an_empty_one(complaints: Complain) -> None:
    (line,) = complaints("[models.ffnn]", ["dataset.data_dir="])
    assert "--set 'dataset.data_dir=\"\"'" in line


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs=0", "must be a whole number from 1 to 10000"),
        ("training.epohcs=3", "did you mean training.epochs?"),
        ("training.epochs=three", 'training.epochs = "three": must be a whole number'),
        ("dataset.manifest=2024", "write --set 'dataset.manifest=\"2024\"'"),
        ("dataset.kind.x=1", "dataset.kind is not a table"),
        ("models.vgg61.epochs=3", "did you mean models.vgg16?"),
        ("split.policy=official", "split.policy"),
        ("models=[ffnn]", "to leave networks out, remove their tables from a copy of "),
        ("models.train=[ffnn]", "each table [models.NAME] is a network to train, and to leave"),
        ("models.ffnn=false", "to leave networks out, remove their tables from a copy of "),
        ("training.epochs=3\nx=4", "must be a whole number"),
    ],
)
def test_a_wrong_override_is_named(override: str, expected: str, complaints: Complain) -> None:
    (line,) = complaints("[dataset]\nkind = 'folder'\n[models.ffnn]", [override])
    assert f"--set {override.splitlines()[0]}" in line
    assert expected in line


def test_a_value_from_an_override_is_not_blamed_on_the_file(complaints: Complain) -> None:
    (line,) = complaints("[training]\nepochs = 3\n[models.ffnn]", ["training.epochs=0"])
    assert line.startswith("--set training.epochs=0: training.epochs = 0: must be")


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_any_text_in_quotes_is_that_text(text: str) -> None:
    escaped = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert parse_override(f"a.b={escaped}").value == text


def test_a_configuration_survives_json_and_takes_changes() -> None:
    config = load(shipped_config("demo"))
    assert from_values(config.to_json(), {}) == config
    changed = from_values(config.to_json(), {"training.epochs": 99})
    assert changed.training.epochs == 99
    assert changed.models == config.models


def test_every_wrong_change_is_told_by_its_key() -> None:
    values = load(shipped_config("demo")).to_json()
    with pytest.raises(ConfigError) as told:
        from_values(values, {"training.epocs": 3, "gate.floor": "x"})
    lines = str(told.value).splitlines()
    assert len(lines) == 2
    assert "did you mean training.epochs" in lines[0]
    assert "gate.floor" in lines[1]


def test_changes_are_called_by_where_they_came_from() -> None:
    values = load(shipped_config("demo")).to_json()

    def told(changes: dict[str, object]) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            from_values(values, changes, "-p overrides")
        return str(caught.value).splitlines()

    (line,) = told({"training.epohcs": 3})
    assert line.startswith("-p overrides: training.epohcs = 3: unknown key; did you mean")
    (line,) = told({"training.epochs": "3"})
    assert line == ('-p overrides: training.epochs = "3": must be a whole number from 1 to 10000')
    # Nobody typed a text whose kind was guessed.
    assert told({"dataset.manifest": 2024}) == [
        "-p overrides: dataset.manifest = 2024: must be a string"
    ]
    assert told({"training..epochs": 3, "": 1}) == [
        "-p overrides: 'training..epochs' is not a key such as training.epochs",
        "-p overrides: '' is not a key such as training.epochs",
    ]
    both = from_values(values, {'kubeflow.resources."Trainer.ffnn".gpus': 1})
    assert both.kubeflow.resources["Trainer.ffnn"].gpus == 1
