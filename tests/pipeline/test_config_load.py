"""Loading configurations: what is accepted, and what is said about what is not."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pipeline.config import Config
from pipeline.config_errors import ConfigError
from pipeline.config_load import from_values, load, shipped_config
from pipeline.config_overrides import parse_override

SHIPPED = ["demo", "fma_medium", "fma_small", "folder", "gtzan", "study"]
Write = Callable[[str], pathlib.Path]
Complain = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def _write(text: str) -> pathlib.Path:
        path = tmp_path / "c.toml"
        path.write_text(text, "utf-8")
        return path

    return _write


@pytest.fixture
def complaints(write: Write) -> Complain:
    """The lines of the error that a text, with overrides, leads to."""

    def _complaints(text: str, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(write(text), overrides)
        return str(caught.value).splitlines()

    return _complaints


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_loads(name: str) -> None:
    config = load(shipped_config(name))
    assert config.models


def test_the_shipped_configurations_are_these() -> None:
    folder = shipped_config("demo").parent
    assert sorted(path.stem for path in folder.glob("*.toml")) == SHIPPED
    with pytest.raises(ConfigError, match="there are: " + ", ".join(SHIPPED)):
        shipped_config("fma_smal")


def test_the_study_is_the_studys_protocol() -> None:
    config = load(shipped_config("study"))
    assert (config.audio.clip_seconds, config.audio.clips_per_track) == (2.0, 4)
    assert config.split.policy == "by_clip"
    assert len(config.dataset.genres) == 8
    assert config.models["vgg16"].weights == "imagenet"


def test_absent_keys_have_their_defaults(write: Write) -> None:
    config = load(write("[models.ffnn]"))
    assert config == Config(models=config.models)
    assert config.training.epochs == 20


def test_whole_numbers_serve_as_numbers_and_lists_as_tuples(write: Write) -> None:
    config = load(write('[audio]\nclip_seconds = 3\n[dataset]\ngenres = ["B", "A"]\n[models.ffnn]'))
    assert config.audio.clip_seconds == 3.0
    assert isinstance(config.audio.clip_seconds, float)
    assert config.dataset.genres == ("B", "A")


@pytest.mark.parametrize("value", ['"3"', "true", "3.0", "[3]", "{a = 3}", "2024-01-01", "1e400"])
def test_what_only_looks_like_a_whole_number_is_refused(value: str, complaints: Complain) -> None:
    (line,) = complaints(f"[training]\nepochs = {value}\n[models.ffnn]")
    assert "c.toml: training.epochs" in line
    assert "must be a whole number from 1 to 10000" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[training]\nepochs = 0", "training.epochs = 0: must be a whole number from 1 to 10000"),
        ("[training]\nlearning_rate = 0", "= 0: must be a number above 0 and at most 1"),
        ("[training]\nlearning_rate = nan", "= NaN: must be a number above 0 and at most 1"),
        ("[gate]\nfloor = inf", "gate.floor = Infinity: must be a number from 0 to 1"),
        ("[models.ffnn]\ndropout = 1", "models.ffnn.dropout = 1: must be a number at least 0 and"),
        ("[split]\nseed = 1.5", "split.seed = 1.5: must be a whole number"),
        ("[dataset]\nstrict = 1", "dataset.strict = 1: must be true or false"),
        ("[dataset]\nmanifest = 2024-01-01", 'manifest = "2024-01-01": must be a string'),
        ("[dataset]\ngenres = 'Rock'", "must be a list, each of it a string"),
        ("[dataset]\ngenres = ['Rock', 3]", "dataset.genres[1] = 3: must be a string"),
        ("[dataset]\nkind = 'fmaa'", 'must be one of "fma", "gtzan", "folder", "manifest", "synth'),
        ("[audio]\nhop_samples = 4096", "[audio] hop_samples = 4096 skips audio"),
        ("[beam]\noptions = ['x']", '[beam] options holds "x"'),
        ("[split]\npolicy = 'official'\n[dataset]\nkind = 'gtzan'", "split.policy = "),
    ],
)
def test_an_impossible_value_is_told_with_what_is_allowed(
    text: str, expected: str, complaints: Complain
) -> None:
    models = "" if "models." in text else "\n[models.ffnn]"
    (line,) = complaints(text + models)
    assert expected in line
    assert "c.toml: " in line


@pytest.mark.parametrize("text", ["audio = 3", "models = 3", "[models]\nffnn = 3"])
def test_a_value_where_a_table_belongs_is_refused(text: str, complaints: Complain) -> None:
    lines = complaints(text)
    assert "= 3: must be a table" in lines[0]


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[training]\nepohcs = 3", "training.epochs"),
        ("[training]\nlearning-rate = 0.1", "training.learning_rate"),
        ("[training]\nn_mels = 64", "audio.n_mels"),
        ("[models.ffnn]\nepoch = 3", "models.ffnn.epochs"),
        ("[trainng]\nepochs = 3", "training"),
        ("n_mels = 64", "audio.n_mels"),
        ("[gate]\nflor = 0.1", "gate.floor"),
        ("[training.augmentation]\ntime_mask = 1", "training.augmentation.time_masks"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known_one(
    text: str, nearest: str, complaints: Complain
) -> None:
    lines = complaints(text if "models." in text else text + "\n[models.ffnn]")
    assert len(lines) == 1
    assert f"did you mean {nearest}?" in lines[0]


@pytest.mark.parametrize("key", ["horizontal_flip = true", "rotation = 10", "vertical_flips = 1"])
def test_flips_and_rotations_are_refused_with_the_reason(key: str, complaints: Complain) -> None:
    (line,) = complaints(f"[training.augmentation]\n{key}\n[models.ffnn]")
    assert "not offered: a spectrogram's axes are time and pitch" in line


def test_an_augmentation_out_of_range_is_told_with_what_is_allowed(complaints: Complain) -> None:
    (line,) = complaints("[training.augmentation]\nmixup = 11\n[models.ffnn]")
    assert "training.augmentation.mixup = 11: must be a number from 0 to 10" in line


def test_tables_that_do_not_exist_yet_are_unknown(complaints: Complain) -> None:
    (line,) = complaints("[vertex]\nx = 1\n[models.ffnn]")
    assert "vertex: unknown table" in line
    assert (
        "(there are: models, audio, dataset, split, training, tuning, baselines, ensemble, gate, "
        "serving, beam, storage, kubeflow)" in line
    )


def test_every_problem_is_told_at_once(complaints: Complain) -> None:
    lines = complaints(
        "[audio]\nn_mels = 'x'\n[training]\nepohcs = 3\nbatch_size = 0\n[models.vgg61]",
        ["split.seed=x"],
    )
    assert len(lines) == 5
    text = "\n".join(lines)
    for key in ("audio.n_mels", "training.epohcs", "batch_size", "models.vgg61", "split.seed"):
        assert key in text


def test_no_network_is_told_beside_other_problems(complaints: Complain) -> None:
    lines = complaints("[training]\nepochs = 0")
    assert len(lines) == 2
    assert "training.epochs" in lines[0]
    assert "no network to train" in lines[1]
    assert complaints("") == lines[1:]


def test_broken_toml_is_told_with_its_line(complaints: Complain) -> None:
    (line,) = complaints("[training]\nepochs = = 3\n")
    assert "c.toml: not valid TOML" in line
    assert "line 2" in line


def test_files_that_cannot_be_read_are_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; .*demo, fma_medium"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9t\xe9")
    with pytest.raises(ConfigError, match=r"latin\.toml: not a UTF-8 text file"):
        load(tmp_path / "latin.toml")


def test_terminal_escapes_are_shown_and_not_sent(complaints: Complain) -> None:
    lines = complaints('[dataset]\nkind = "\\u001b[2J\\u009b"\n"\\u001b[31m" = 1\n[models.ffnn]')
    assert len(lines) == 2
    assert all(character.isprintable() for line in lines for character in line)
    assert "\\x1b[31m" in "".join(lines)


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
            "a node's name that holds a dot is written in quotes: "
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


def test_what_is_loaded_is_what_to_json_gives_back(write: Write, tmp_path: pathlib.Path) -> None:
    import pydantic

    for name in SHIPPED:
        config = load(shipped_config(name))
        text = json.dumps(config.to_json())
        assert pydantic.TypeAdapter(Config).validate_json(text) == config
    assert all(field.name in config.to_json() for field in dataclasses.fields(Config))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('networks = ["ffnn"]', "tuning: has nothing to choose from; give at least one of"),
        ('networks = ["ffnn"]\nl2 = []', "tuning: has nothing to choose from"),
        (
            'networks = ["ffnn"]\nlearning_rate = [0.01, 0.001]',
            "[tuning] learning_rate = [0.01, 0.001]: is reversed; write learning_rate = "
            "[0.001, 0.01]",
        ),
        ('networks = ["ffn"]\ndropout = [0, 0.5]', "'ffn' is not trained; did you mean 'ffnn'?"),
        ('networks = ["ffnn"]\ndropout = [0, 1]', "dropout[1] = 1: must be a number at least 0"),
        ('networks = ["ffnn"]\nlearning_rates = [0, 1]', "did you mean tuning.learning_rate?"),
        ('networks = "ffnn"\nl2 = [0.1, 0.2]', 'networks = "ffnn": must be a list'),
        ('networks = ["ffnn"]\nalgorithm = "grid"', 'must be one of "bayesian", "random"'),
        ("trials = 3", "tuning.networks: names no network to tune; name some of ffnn"),
    ],
)
def test_a_search_that_cannot_be_made_is_told_where_it_is_written(
    complaints: Complain, table: str, message: str
) -> None:
    (line,) = complaints(f"[models.ffnn]\n[tuning]\n{table}")
    assert "c.toml: " in line
    assert message in line


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
        "-p overrides: 'training..epochs': no key such as training.epochs",
        "-p overrides: '': no key such as training.epochs",
    ]
    both = from_values(values, {'kubeflow.resources."Trainer.ffnn".gpus': 1})
    assert both.kubeflow.resources["Trainer.ffnn"].gpus == 1
