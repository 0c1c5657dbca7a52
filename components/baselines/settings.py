"""The [baselines] table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Gt, Le

BaselineName = Literal[
    "dummy", "knn", "svm", "logistic", "random_forest", "gradient_boosting", "xgboost"
]
# In the order of every table.
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)


@dataclasses.dataclass(frozen=True)
class KnnSettings:
    """k nearest neighbours. As many as there are training clips if those are fewer.

    `weights`: "distance" counts a near neighbour more than a far one.
    """

    n_neighbors: Annotated[int, Ge(1), Le(10000)] = 15
    weights: Literal["uniform", "distance"] = "distance"


@dataclasses.dataclass(frozen=True)
class SvmSettings:
    """A support vector machine with a radial kernel and probabilities.

    `C`: the price of a clip on the wrong side. `gamma`: the kernel's, 1 / (2 width²);
    None for 1 / features. `max_train_clips`: its training takes time and memory that grow
    with the square of the clips, six times over for the probabilities; of more clips it
    takes as many of each genre as can be. 0 for all.
    """

    C: Annotated[float, Gt(0), Le(1e6)] = 1.0
    gamma: Annotated[float, Gt(0), Le(1e6)] | None = None
    max_train_clips: Annotated[int, Ge(0)] = 12000


@dataclasses.dataclass(frozen=True)
class LogisticSettings:
    """Multi-class (softmax) logistic regression. `C`: the inverse of the penalty's weight."""

    C: Annotated[float, Gt(0), Le(1e6)] = 1.0
    max_iter: Annotated[int, Ge(1), Le(100000)] = 1000


@dataclasses.dataclass(frozen=True)
class RandomForestSettings:
    """A random forest. `max_depth`: None for no limit. `min_samples_leaf`: a tree of whole
    leaves of one clip is as large as the data, and there are `n_estimators` of them."""

    n_estimators: Annotated[int, Ge(1), Le(10000)] = 300
    max_depth: Annotated[int, Ge(1), Le(1000)] | None = None
    min_samples_leaf: Annotated[int, Ge(1), Le(10000)] = 4


@dataclasses.dataclass(frozen=True)
class GradientBoostingSettings:
    """Gradient boosting by scikit-learn: `n_estimators` rounds of one tree a genre.

    `subsample`: the share of clips that a round sees.
    """

    n_estimators: Annotated[int, Ge(1), Le(10000)] = 100
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.1
    max_depth: Annotated[int, Ge(1), Le(100)] = 3
    subsample: Annotated[float, Gt(0), Le(1)] = 0.5


@dataclasses.dataclass(frozen=True)
class XgboostSettings:
    """Gradient boosting by XGBoost (histograms of the features): a tree a genre and round."""

    n_estimators: Annotated[int, Ge(1), Le(10000)] = 200
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.1
    max_depth: Annotated[int, Ge(1), Le(100)] = 4
    subsample: Annotated[float, Gt(0), Le(1)] = 0.8
    colsample_bytree: Annotated[float, Gt(0), Le(1)] = 0.8
    min_child_weight: Annotated[float, Ge(0), Le(1e6)] = 1.0
    reg_lambda: Annotated[float, Ge(0), Le(1e6)] = 1.0


@dataclasses.dataclass(frozen=True)
class BaselineSettings:
    """Classical models, for the networks to beat. `models = []` trains none.

    Each clip's spectrogram is flattened and reduced to its top `pca_components` principal
    components, each of them then scaled to deviation 1; what that takes is fitted on the
    train split alone.

    Hyper-parameters have the names of scikit-learn and XGBoost. `seed` decides every draw;
    `jobs` are the threads of those models that can use several, 0 for what there is work and
    cores for.

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
        """The hyper-parameters of one model; {} of the dummy, which has none."""
        return {} if name == "dummy" else dataclasses.asdict(getattr(self, name))
