"""Tests of the three places that a setting's value may come from."""

from __future__ import annotations

import dataclasses

from components.models.network import Defaults
from components.models.settings import ModelSettings
from components.trainer.resolved import ResolvedSettings, resolve
from components.trainer.settings import TrainingSettings

DEFAULTS = Defaults(dropout=0.4, l2=0.003, head_units=9)


def test_an_open_setting_comes_from_training_or_the_architecture() -> None:
    shared = TrainingSettings(epochs=7, batch_size=5, seed=11, patience=9)
    resolved = resolve(shared, ModelSettings(), DEFAULTS)
    for field in dataclasses.fields(shared):
        if field.name.endswith("learning_rate") or field.name == "precision":
            continue
        assert getattr(resolved, field.name) == getattr(shared, field.name)
    assert (resolved.dropout, resolved.l2, resolved.head_units) == (0.4, 0.003, 9)


def test_rates_are_the_networks_own_unless_a_table_names_them() -> None:
    defaults = Defaults(
        dropout=0.4, learning_rate=0.1, scratch_learning_rate=0.2, fine_tune_learning_rate=0.3
    )

    def rates(shared: TrainingSettings, own: ModelSettings) -> tuple[float, float]:
        resolved = resolve(shared, own, defaults)
        return resolved.learning_rate, resolved.fine_tune_learning_rate

    trained = ModelSettings(weights="imagenet")
    assert rates(TrainingSettings(), trained) == (0.1, 0.3)
    assert rates(TrainingSettings(), ModelSettings()) == (0.2, 0.3)
    named = TrainingSettings(learning_rate=0.4, fine_tune_learning_rate=0.5)
    assert rates(named, trained) == (0.4, 0.5)
    assert rates(named, ModelSettings(learning_rate=0.6)) == (0.6, 0.5)


def test_the_networks_own_table_wins_even_with_zeros() -> None:
    own = ModelSettings(
        weights="w.h5",
        image_size=64,
        head_units=0,
        dropout=0.0,
        l2=0.0,
        max_train_clips=150,
        epochs=1,
        fine_tune_epochs=0,
        batch_size=2,
        learning_rate=0.5,
        fine_tune_learning_rate=0.25,
    )
    resolved = resolve(TrainingSettings(), own, DEFAULTS)
    for field in dataclasses.fields(own):
        assert getattr(resolved, field.name) == getattr(own, field.name), field.name


def test_every_setting_is_resolved() -> None:
    names = {field.name for field in dataclasses.fields(ResolvedSettings)}
    assert names == {
        field.name
        for settings in (TrainingSettings, ModelSettings)
        for field in dataclasses.fields(settings)
    }
    resolved = resolve(TrainingSettings(), ModelSettings(), DEFAULTS)
    assert None not in resolved.to_json().values()
