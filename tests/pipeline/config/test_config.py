"""Tests of Config: its tables, contradictions between them, and its digest."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from components.audio.params import AudioParams
from components.baselines.settings import BaselineSettings
from components.datasets.settings import DatasetSettings, SplitSettings
from components.gate.settings import GateSettings
from components.models.settings import ModelSettings
from components.trainer.settings import TrainingSettings
from components.tuner.settings import TuningSettings
from pipeline.config.schema import Config

FFNN = {"ffnn": ModelSettings()}


def test_a_run_needs_a_network() -> None:
    with pytest.raises(ValueError, match=r"^models: no network to train"):
        Config(models={})


def test_an_unknown_network_is_named_with_the_nearest_known() -> None:
    with pytest.raises(ValueError, match=r"models\.vgg61: .* did you mean models\.vgg16\?"):
        Config(models={"vgg61": ModelSettings()})


@pytest.mark.parametrize("kind", ["gtzan", "folder"])
def test_a_dataset_without_a_split_has_no_official_one(kind: str) -> None:
    dataset = dataclasses.replace(DatasetSettings(), kind=kind)
    with pytest.raises(ValueError, match=r'split\.policy = "official": dataset\.kind'):
        Config(models=FFNN, dataset=dataset, split=SplitSettings(policy="official"))


@pytest.mark.parametrize("clips", ["all", 4])
def test_clips_that_are_split_one_by_one_are_the_same_in_every_split(clips: Any) -> None:
    audio, split = AudioParams(evaluation_clips=clips), SplitSettings(policy="by_clip")
    with pytest.raises(ValueError, match=r"audio\.evaluation_clips = .*by_clip"):
        Config(models=FFNN, audio=audio, split=split)
    Config(models=FFNN, audio=audio, split=SplitSettings(policy="by_track"))
    Config(models=FFNN, audio=dataclasses.replace(audio, evaluation_clips=None), split=split)


def test_one_genre_is_no_task() -> None:
    with pytest.raises(ValueError, match=r"dataset\.genres"):
        Config(models=FFNN, dataset=DatasetSettings(genres=("Rock",)))
    Config(models=FFNN, dataset=DatasetSettings(genres=("Rock", "Folk")))


def test_misspelt_weights_do_not_wait_until_training() -> None:
    with pytest.raises(ValueError, match=r'models\.vgg16\.weights = "imagnet"'):
        Config(models={"vgg16": ModelSettings(weights="imagnet")})
    with pytest.raises(ValueError, match=r'must be "imagenet", "none", or the path .*\.h5'):
        Config(models={"vgg16": ModelSettings(weights="msd")})
    for weights in ("imagenet", "none", "/w/resnet34.weights.h5", "base.keras", "w.safetensors"):
        Config(models={"resnet34": ModelSettings(weights=weights)})
    with pytest.raises(ValueError, match=r"models\.vgg16\.weights = .*\.keras\)"):
        Config(models={"vgg16": ModelSettings(weights="w.safetensors")})


MUSICNN = AudioParams.of_front_end("musicnn")


def test_the_musicnn_networks_take_published_words_files_and_folders() -> None:
    for name in ("musicnn", "musicnn_vgg"):
        for weights in ("msd", "mtt", "none", "b.weights.h5", "/w/MSD_vgg", "./MTT_vgg/"):
            Config(models={name: ModelSettings(weights=weights)}, audio=MUSICNN)
        for weights in ("imagenet", "MSD", "MSD_musicnn"):
            with pytest.raises(ValueError, match=r'must be "msd", "mtt", "none", .*\./NAME'):
                Config(models={name: ModelSettings(weights=weights)}, audio=MUSICNN)


def test_a_network_of_another_front_end_is_told_with_what_to_set() -> None:
    for name in ("musicnn", "musicnn_vgg"):
        message = rf'models\.{name}: .* audio\.front_end = "musicnn", not of "mel_db"; set it'
        with pytest.raises(ValueError, match=message):
            Config(models={name: ModelSettings()})
        with pytest.raises(ValueError, match=rf"models\.{name}\.image_size = 64: has no effect"):
            Config(models={name: ModelSettings(image_size=64)}, audio=MUSICNN)
        Config(models={name: ModelSettings(), "cnn_small": ModelSettings()}, audio=MUSICNN)


@pytest.mark.parametrize(("size", "fits"), [(0, True), (31, False), (32, True)])
def test_pictures_have_a_smallest_side(size: int, fits: bool) -> None:
    models = {"vgg16": ModelSettings(image_size=size)}
    if fits:
        assert Config(models=models).models["vgg16"].image_size == size
    else:
        with pytest.raises(ValueError, match=r"models\.vgg16\.image_size = 31: .* at least 32"):
            Config(models=models)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", "imagenet"),
        ("image_size", 64),
        ("head_units", 64),
        ("fine_tune_epochs", 1),
        ("fine_tune_learning_rate", 1e-4),
    ],
)
def test_a_setting_without_effect_is_an_error(key: str, value: object) -> None:
    models = {"ffnn": dataclasses.replace(ModelSettings(), **{key: value})}
    with pytest.raises(ValueError, match=rf"models\.ffnn\.{key} = .* has no effect"):
        Config(models=models)


def test_all_contradictions_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="models") as caught:
        Config(models={"x": ModelSettings()}, dataset=DatasetSettings(genres=("Rock",)))
    unknown, genres = str(caught.value).splitlines()
    assert unknown.startswith("models.x: ")
    assert genres.startswith("dataset.genres: ")


@pytest.mark.parametrize(
    ("key", "value"), [("fine_tune_epochs", 1), ("fine_tune_learning_rate", 0.1)]
)
def test_a_second_phase_without_trained_weights_is_an_error(key: str, value: float) -> None:
    settings = ModelSettings(**{key: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"models\.vgg16\.{key} = .*weights = \"none\""):
        Config(models={"vgg16": settings})
    Config(models={"vgg16": dataclasses.replace(settings, weights="imagenet")})


def test_a_spectrogram_too_small_for_a_network_is_told_before_any_audio_is_read() -> None:
    few_bands = AudioParams(n_mels=16)
    for name in ("vgg16", "resnet34", "resnet50"):
        with pytest.raises(ValueError, match=rf"models\.{name}\.image_size = 0: .*16 x 87.* 32 "):
            Config(models={name: ModelSettings()}, audio=few_bands)
        Config(models={name: ModelSettings(image_size=32)}, audio=few_bands)
    short = AudioParams(clip_seconds=0.5)
    with pytest.raises(ValueError, match="128 x 22"):
        Config(models={"vgg16": ModelSettings()}, audio=short)
    Config(models={"cnn_small": ModelSettings(), "crnn": ModelSettings()}, audio=few_bands)


def test_json_holds_every_table_as_plain_values() -> None:
    config = Config(models=FFNN, dataset=DatasetSettings(genres=("Rock", "Folk")))
    values = config.to_json()
    assert json.loads(json.dumps(values)) == values
    assert set(values) == {
        "models",
        "audio",
        "dataset",
        "split",
        "training",
        "tuning",
        "baselines",
        "ensemble",
        "data_check",
        "gate",
        "serving",
        "beam",
        "storage",
        "kubeflow",
    }
    assert values["dataset"]["genres"] == ["Rock", "Folk"]
    assert values["audio"]["n_mels"] == 128


def test_digest_depends_on_values_and_not_on_the_tables_order() -> None:
    two = {"cnn_small": ModelSettings(), "ffnn": ModelSettings()}
    reversed_two = dict(reversed(two.items()))
    assert Config(models=two).digest() == Config(models=reversed_two).digest()
    assert len(Config(models=two).digest()) == 16
    changed = Config(models=two, training=TrainingSettings(epochs=21))
    assert changed.digest() != Config(models=two).digest()


RATES = (1e-4, 1e-2)


def test_only_the_networks_that_are_named_are_tuned() -> None:
    models = {"ffnn": ModelSettings(), "cnn_small": ModelSettings()}
    assert Config(models=models).tuned_networks == ()
    tuning = TuningSettings(networks=("ffnn",), learning_rate=RATES)
    assert Config(models=models, tuning=tuning).tuned_networks == ("ffnn",)
    off = dataclasses.replace(tuning, trials=0)
    assert Config(models=models, tuning=off).tuned_networks == ()


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        (TuningSettings(learning_rate=RATES), r"tuning\.networks: no network to tune.* ffnn"),
        (TuningSettings(networks=("ffnn",)), r"tuning: nothing to tune; .*range"),
        (
            TuningSettings(networks=("fnn",), dropout=(0.1, 0.5)),
            r"tuning\.networks: 'fnn' is not trained; did you mean 'ffnn'\? trained are: ffnn",
        ),
        (
            TuningSettings(networks=("vgg16",), dropout=(0.1, 0.5)),
            r"'vgg16' is not trained; trained are",
        ),
        (TuningSettings(networks=("ffnn", "ffnn"), l2=(0.1, 0.5)), "names a network twice"),
    ],
)
def test_a_search_that_cannot_be_made_is_told(tuning: TuningSettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(models=FFNN, tuning=tuning)


@pytest.mark.parametrize("name", ["learning_rate", "batch_size", "dropout", "l2"])
def test_a_value_cannot_be_both_fixed_and_tuned(name: str) -> None:
    value = 16 if name == "batch_size" else 0.01
    ranges = {name: (8, 16) if name == "batch_size" else (0.001, 0.1)}
    models = {"ffnn": ModelSettings(**{name: value}), "cnn_small": ModelSettings()}  # type: ignore[arg-type]
    tuning = TuningSettings(networks=("ffnn",), **ranges)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"tuning\.{name}: models\.ffnn\.{name} = .* fixes it"):
        Config(models=models, tuning=tuning)
    # Of another network it may be fixed, and what [training] says is only a default.
    other = dataclasses.replace(tuning, networks=("cnn_small",))
    Config(models=models, tuning=other, training=TrainingSettings(batch_size=64))


def test_a_gate_that_could_only_refuse_is_refused_itself() -> None:
    """Refuse comparing rules that have nothing to compare with, unless they are switched off."""
    models = {"ffnn": ModelSettings()}
    none = BaselineSettings(models=())
    with pytest.raises(
        ValueError, match=r"gate\.beats_baseline = true: baselines\.models is empty"
    ):
        Config(models=models, baselines=none, gate=GateSettings(holds_ensemble=False))
    with pytest.raises(ValueError, match=r"gate\.holds_ensemble = true: a single model"):
        Config(models=models, baselines=none, gate=GateSettings(beats_baseline=False))
    with pytest.raises(ValueError, match=r"gate\.holds_ensemble"):
        Config(models=models, baselines=BaselineSettings(models=("dummy",)))
    Config(models=models, baselines=BaselineSettings(models=("dummy", "svm")))
    off = GateSettings(beats_baseline=False, holds_ensemble=False)
    assert Config(models=models, baselines=none, gate=off).gate == off
