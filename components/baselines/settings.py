"""The [baselines] table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Gt, Le

BaselineName = Literal[
    "dummy", "knn", "svm", "logistic", "random_forest", "gradient_boosting", "xgboost"
]
# The order of every table.
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)


@dataclasses.dataclass(frozen=True)
class KnnSettings:
    """Settings of k nearest neighbours.

    Attributes:
      n_neighbors: number of neighbours; at most all training clips.
      weights: "distance" counts a near neighbour more than a far one.
    """

    n_neighbors: Annotated[int, Ge(1), Le(10000)] = 15
    weights: Literal["uniform", "distance"] = "distance"


@dataclasses.dataclass(frozen=True)
class SvmSettings:
    """Settings of a support vector machine with a radial kernel and probabilities.

    Attributes:
      C: penalty of a clip on the wrong side.
      gamma: parameter of the kernel, 1 / (2 width²); None for 1 / features.
      max_train_clips: number of clips to train on at most, balanced by genre; 0 for all.
        Time and memory grow with the square of the clips, six times over for the
        probabilities.
    """

    C: Annotated[float, Gt(0), Le(1e6)] = 1.0
    gamma: Annotated[float, Gt(0), Le(1e6)] | None = None
    max_train_clips: Annotated[int, Ge(0)] = 12000


@dataclasses.dataclass(frozen=True)
class LogisticSettings:
    """Settings of multi-class (softmax) logistic regression.

    Attributes:
      C: inverse of the penalty's weight.
      max_iter: number of iterations at most.
    """

    C: Annotated[float, Gt(0), Le(1e6)] = 1.0
    max_iter: Annotated[int, Ge(1), Le(100000)] = 1000


@dataclasses.dataclass(frozen=True)
class RandomForestSettings:
    """Settings of a random forest.

    Attributes:
      n_estimators: number of trees.
      max_depth: depth of a tree at most; None for no limit.
      min_samples_leaf: number of clips in a leaf at least. With 1, each tree is as large as the
        data.
    """

    n_estimators: Annotated[int, Ge(1), Le(10000)] = 300
    max_depth: Annotated[int, Ge(1), Le(1000)] | None = None
    min_samples_leaf: Annotated[int, Ge(1), Le(10000)] = 4


@dataclasses.dataclass(frozen=True)
class GradientBoostingSettings:
    """Settings of gradient boosting by scikit-learn.

    Attributes:
      n_estimators: number of rounds, each of one tree for each genre.
      learning_rate: factor of each tree's contribution.
      max_depth: depth of a tree at most.
      subsample: share of the clips that a round uses.
    """

    n_estimators: Annotated[int, Ge(1), Le(10000)] = 100
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.1
    max_depth: Annotated[int, Ge(1), Le(100)] = 3
    subsample: Annotated[float, Gt(0), Le(1)] = 0.5


@dataclasses.dataclass(frozen=True)
class XgboostSettings:
    """Settings of XGBoost on histograms of the features, with one tree for each genre and round.

    Attributes:
      n_estimators: number of rounds.
      learning_rate: factor of each tree's contribution.
      max_depth: depth of a tree at most.
      subsample: share of the clips that a round uses.
      colsample_bytree: share of the features that a tree uses.
      min_child_weight: smallest sum of the clips' second derivatives in a leaf.
      reg_lambda: weight of the penalty on the leaves' squared values.
    """

    n_estimators: Annotated[int, Ge(1), Le(10000)] = 200
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.1
    max_depth: Annotated[int, Ge(1), Le(100)] = 4
    subsample: Annotated[float, Gt(0), Le(1)] = 0.8
    colsample_bytree: Annotated[float, Gt(0), Le(1)] = 0.8
    min_child_weight: Annotated[float, Ge(0), Le(1e6)] = 1.0
    reg_lambda: Annotated[float, Ge(0), Le(1e6)] = 1.0


@dataclasses.dataclass(frozen=True)
class BaselineSettings:
    """Settings of the classical models, which the networks have to beat.

    Each clip's spectrogram is flattened and reduced to its top principal components, each scaled
    to deviation 1. They are fitted on the train split alone. Hyper-parameters have the names of
    scikit-learn and XGBoost.

    Attributes:
      models: names of the models to train; empty for none.
      pca_components: number of principal components.
      seed: seed of every draw.
      jobs: threads of the models that can use several; 0 for as many as have work and cores.
      knn, svm, logistic, random_forest, gradient_boosting, xgboost: the models' settings.

    Raises:
      ValueError: a model is named twice.
    """

    models: tuple[BaselineName, ...] = BASELINES
    pca_components: Annotated[int, Ge(1), Le(1000)] = 15
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    jobs: Annotated[int, Ge(0), Le(1024)] = 0
    knn: KnnSettings = dataclasses.field(default_factory=KnnSettings)
    svm: SvmSettings = dataclasses.field(default_factory=SvmSettings)
    logistic: LogisticSettings = dataclasses.field(default_factory=LogisticSettings)
    random_forest: RandomForestSettings = dataclasses.field(default_factory=RandomForestSettings)
    gradient_boosting: GradientBoostingSettings = dataclasses.field(
        default_factory=GradientBoostingSettings
    )
    xgboost: XgboostSettings = dataclasses.field(default_factory=XgboostSettings)

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.models if self.models.count(name) > 1})
        if twice:
            raise ValueError(f"models: names {', '.join(twice)} twice")

    def of_model(self, name: BaselineName) -> dict[str, Any]:
        """Return the hyper-parameters of one model; {} for the dummy, which has none."""
        return {} if name == "dummy" else dataclasses.asdict(getattr(self, name))
