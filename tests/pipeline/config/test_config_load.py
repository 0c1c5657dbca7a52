"""Tests of loading configurations: accepted files, and messages about the others."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable

import pytest

from pipeline.config.load import load, load_beam, shipped_config
from pipeline.config.messages import ConfigError
from pipeline.config.schema import Config

SHIPPED = [
        "demo", "fma_medium", "fma_small", "fma_small_pretrained", "folder", "gtzan",
        "gtzan_pretrained", "pretrained", "study",
    ]  # fmt: skip
Write = Callable[[str], pathlib.Path]
Complain = Callable[..., list[str]]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_loads(name: str) -> None:
    config = load(shipped_config(name))
    assert config.models


def test_the_shipped_configurations_are_these() -> None:
    folder = shipped_config("demo").parent
    assert sorted(path.stem for path in folder.glob("*.toml")) == SHIPPED
    names = ", ".join(SHIPPED)
    with pytest.raises(ConfigError, match=rf"did you mean fma_small\? There are {names}"):
        shipped_config("fma_smal")
    with pytest.raises(ConfigError, match=f"choose one of {names}"):
        shipped_config("xyz")


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
        ("[dataset]\ngenres = 'Rock'", "must be a list, each item a string"),
        ("[dataset]\ngenres = ['Rock', 3]", "dataset.genres[1] = 3: must be a string"),
        (
            "[dataset]\nkind = 'fmaa'",
            'must be one of "fma", "gtzan", "folder", "split_folders", "manifest"',
        ),
        ("[audio]\nhop_samples = 4096", "[audio] hop_samples = 4096 skips audio"),
        *(
            (
                f"[audio]\nevaluation_clips = {value}",
                f'audio.evaluation_clips = {shown}: must be "all" or a whole number from 1 to 300',
            )
            for value, shown in (("0", "0"), ("'al'", '"al"'), ("[1]", "[1]"), ("1.5", "1.5"))
        ),
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


def test_keeping_one_version_is_refused_as_it_leaves_nothing_to_roll_back_to(
    complaints: Complain,
) -> None:
    (line,) = complaints("[serving]\nkeep_versions = 1\n[models.ffnn]")
    assert (
        "keep_versions is 1, which leaves no version to roll back to; set 2 or more, or 0" in line
    )


def test_tables_that_do_not_exist_yet_are_unknown(complaints: Complain) -> None:
    (line,) = complaints("[vertex]\nx = 1\n[models.ffnn]")
    assert "vertex: unknown table" in line
    assert (
        "(there are: models, audio, dataset, split, training, tuning, baselines, ensemble, "
        "data_check, gate, serving, beam, storage, kubeflow)" in line
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


def test_the_table_of_beam_is_loaded_from_a_file_that_has_only_it(write: Write) -> None:
    path = str(write('[beam]\nrunner = "direct"\n'))
    assert load_beam(path).runner == "direct"
    assert load_beam(path, ["beam.runner=auto"]).runner == "auto"
    assert load_beam("demo") == load(shipped_config("demo")).beam
    with pytest.raises(ConfigError, match=r'beam\.runner = "spork": must be '):
        load_beam(path, ["beam.runner=spork"])


def test_broken_toml_is_told_with_its_line(complaints: Complain) -> None:
    (line,) = complaints("[training]\nepochs = = 3\n")
    assert "c.toml: not valid TOML" in line
    assert "line 2" in line


def test_files_that_cannot_be_read_are_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; .*demo, fma_medium"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="this is a folder; name a TOML file"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9t\xe9")
    with pytest.raises(ConfigError, match=r"latin\.toml: not a UTF-8 text file"):
        load(tmp_path / "latin.toml")


def test_terminal_escapes_are_shown_and_not_sent(complaints: Complain) -> None:
    lines = complaints('[dataset]\nkind = "\\u001b[2J\\u009b"\n"\\u001b[31m" = 1\n[models.ffnn]')
    assert len(lines) == 2
    assert all(character.isprintable() for line in lines for character in line)
    assert "\\x1b[31m" in "".join(lines)


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
        ('networks = ["ffnn"]', "tuning: nothing to tune; give at least one of"),
        ('networks = ["ffnn"]\nl2 = []', "tuning: nothing to tune"),
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
        ("trials = 3", "tuning.networks: no network to tune; name some of ffnn"),
    ],
)
def test_a_search_that_cannot_be_made_is_told_where_it_is_written(
    complaints: Complain, table: str, message: str
) -> None:
    (line,) = complaints(f"[models.ffnn]\n[tuning]\n{table}")
    assert "c.toml: " in line
    assert message in line
