"""Tests of the [baselines] table: its bounds, and rejected values."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, ClassVar

import pydantic
import pytest

from components.baselines.settings import BASELINES, BaselineSettings, KnnSettings, SvmSettings
from components.common.dataclass_json import from_json


@dataclasses.dataclass(frozen=True)
class Table:
    """Validate values as the configuration does: strictly, and without unknown keys."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    baselines: BaselineSettings


def test_all_seven_are_trained_by_default() -> None:
    assert BaselineSettings().models == BASELINES
    assert set(BASELINES) == {
        "dummy", "knn", "svm", "logistic", "random_forest", "gradient_boosting", "xgboost",
    }  # fmt: skip
    assert BaselineSettings().pca_components == 15


def test_settings_survive_json() -> None:
    settings = BaselineSettings(
        models=("svm", "knn"), seed=3, knn=KnnSettings(n_neighbors=7, weights="uniform")
    )
    text = json.dumps(dataclasses.asdict(settings))
    assert from_json(BaselineSettings, json.loads(text)) == settings


def test_every_model_has_its_own_table_but_the_dummy() -> None:
    settings = BaselineSettings(knn=KnnSettings(n_neighbors=9))
    assert settings.of_model("knn") == {"n_neighbors": 9, "weights": "distance"}
    assert settings.of_model("dummy") == {}
    assert all(settings.of_model(name) for name in BASELINES if name != "dummy")


def test_a_model_named_twice_is_told() -> None:
    with pytest.raises(ValueError, match="models: names knn twice"):
        BaselineSettings(models=("knn", "svm", "knn"))


@pytest.mark.parametrize(
    "values",
    [
        {"models": ["perceptron"]},
        {"pca_components": 0},
        {"seed": -1},
        {"knn": {"n_neighbors": 0}},
        {"svm": {"C": 0.0}},
        {"svm": {"c": 1.0}},
        {"xgboost": {"subsample": 1.5}},
        {"random_forest": {"max_depth": 0}},
    ],
)
def test_what_no_model_can_use_is_refused(values: dict[str, Any]) -> None:
    adapter = pydantic.TypeAdapter(Table)
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_json(json.dumps({"baselines": values}))
    assert adapter.validate_json('{"baselines": {"models": [], "svm": {"C": 2.0}}}') == Table(
        BaselineSettings(models=(), svm=SvmSettings(C=2.0))
    )
