"""Types of results.json, the machine-readable outcome of a run.

`Results` is the whole file. Parts that a component writes into an artifact of its own, such as
the gate's decision, are that component's types. The JSON Schema beside this file is generated
from these types and their docstrings:

    python -m pipeline.results.json_schema
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Gt, MinLen

from components.data_check.outcome import DriftResult
from components.datasets.settings import DatasetKind
from components.gate.outcome import Decision
from components.predictions.interval import Count, NonNegative, Share
from components.predictions.selection import ModelKind
from components.predictions.split_metrics import SplitMetrics
from components.serving_check.outcome import ServingCheckResult
from components.spectrogram_gen.summary import DataCounts
from components.tuner.settings import Algorithm

SCHEMA_VERSION: Final = 2

SplitName = Literal["validation", "test"]

_DIGEST = {"pattern": "^[0-9a-f]{16}$"}


@dataclasses.dataclass(frozen=True)
class TunedValues:
    """Values that a search chose; a parameter that was not tuned is absent."""

    batch_size: Annotated[int, Ge(1)] | None = None
    dropout: Share | None = None
    l2: Annotated[float, Gt(0)] | None = None
    learning_rate: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        if all(value is None for value in dataclasses.astuple(self)):
            raise ValueError("no parameter was tuned")


@dataclasses.dataclass(frozen=True)
class TuningSummary:
    """Search for a network's settings, judged on validation.

    Attributes:
      values: Settings that the network was then trained with.
      validation_loss: Mean over the clips, without penalties, in the best trial.
      validation_clip_accuracy: Share of clips whose genre the best trial predicts.
      best_trial: Number of the best trial, from 1.
      trials: Number of trials.
      failed: Number of trials that failed.
      algorithm: The search's algorithm.
      seconds: Duration of all trials together.
    """

    values: TunedValues = dataclasses.field(metadata={"json_schema_extra": {"minProperties": 1}})
    validation_loss: NonNegative
    validation_clip_accuracy: Share
    best_trial: Annotated[int, Ge(1)]
    trials: Annotated[int, Ge(1)]
    failed: Count
    algorithm: Algorithm
    seconds: NonNegative


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelResults:
    """Results of one model.

    Attributes:
      kind: Kind of model.
      parameters: Number of weights; null for a model without weights to count.
      train_seconds: Duration of the training; null for a model that is not trained.
      tuning: The search for its settings; absent for a network that was not tuned.
      pretrained: Name of the trained weights that a network started from, or of their file;
        absent for a network that learned from this data alone.
      test: Metrics on the test split.
      validation: Metrics on the validation split.
    """

    kind: ModelKind
    parameters: Count | None
    train_seconds: NonNegative | None
    tuning: TuningSummary | None = None
    pretrained: str | None = None
    test: SplitMetrics
    validation: SplitMetrics

    def on(self, split: SplitName) -> SplitMetrics:
        """Return the metrics on a split."""
        return self.test if split == "test" else self.validation


@dataclasses.dataclass(frozen=True)
class Ensembles:
    """Averages of models' probabilities.

    Attributes:
      members: For each ensemble the models that it averages.
      weights: Weights of the members of ensemble_weighted, chosen on validation; empty without
        that ensemble.
    """

    members: dict[str, Annotated[tuple[str, ...], MinLen(2)]]
    weights: dict[str, Share]


@dataclasses.dataclass(frozen=True)
class PrincipalComponents:
    """Principal components of the spectrograms, which are the baselines' input.

    Attributes:
      components: Number of principal components.
      explained_variance: Share of the spectrograms' variance that they explain.
    """

    components: Annotated[int, Ge(1)]
    explained_variance: Share


@dataclasses.dataclass(frozen=True)
class NodeRun:
    """Execution of one node.

    Attributes:
      outcome: "cached" where the outputs of an earlier run were used.
      seconds: Duration.
    """

    outcome: Literal["done", "cached"]
    seconds: NonNegative


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """Outcome of a run.

    Shares are between 0 and 1. Intervals are 95 % bootstrap intervals that resample whole
    artists; a track whose artist is unknown is drawn on its own. Fields of parts that a run does
    not have are absent.

    Attributes:
      schema_version: Version of this schema.
      run_id: Name of the run in ML Metadata.
      config_digest: Digest of the configuration.
      dataset: Kind of data set.
      genres: In label order.
      synthetic: True where the data is synthesised: no number says anything about real music.
      leaky: True where clips of one track lie in several splits (split.policy = by_clip): the
        numbers are too good.
      audio_hash: Digest of the audio parameters.
      counts: Tracks and clips.
      models: Results of each model, by name.
      candidate: Chosen on validation among the networks and their average; a key of models.
      best_baseline: The best baseline on validation, which the candidate has to beat; a key of
        models, or null without baselines.
      ensembles: Averages of models.
      pca: The baselines' input; absent without baselines.
      drift: Comparison of the training songs with those of the serving model; absent in the results
        of earlier versions.
      gate: Decision on the candidate.
      serving_check: Test of the candidate on a server; absent in the results of earlier versions.
      test_split_uses: Number of different candidates that were judged on these test tracks in
        this work folder; the more, the less a good result means.
      pushed_version: Version that this run pushed, or null.
      push_refused: Why Pusher did not push a candidate that was blessed: it is the model of a
        version that was rolled back from. Absent otherwise.
      nodes: Executions of the graph's nodes, by id.
    """

    schema_version: Literal[2]
    run_id: Annotated[str, MinLen(1)]
    config_digest: str = dataclasses.field(metadata=_DIGEST)
    dataset: DatasetKind
    genres: Annotated[tuple[str, ...], MinLen(2)] = dataclasses.field(
        metadata={"json_schema_extra": {"uniqueItems": True}}
    )
    synthetic: bool
    leaky: bool
    audio_hash: str = dataclasses.field(metadata=_DIGEST)
    counts: DataCounts
    models: Annotated[dict[str, ModelResults], MinLen(1)]
    candidate: str
    best_baseline: str | None
    ensembles: Ensembles
    pca: PrincipalComponents | None = None
    drift: DriftResult | None = None
    gate: Decision
    serving_check: ServingCheckResult | None = None
    test_split_uses: Annotated[int, Ge(1)]
    pushed_version: str | None = dataclasses.field(metadata={"pattern": "^[0-9]+$"})
    push_refused: str | None = None
    nodes: dict[str, NodeRun]

    def __post_init__(self) -> None:
        if len(set(self.genres)) != len(self.genres):
            raise ValueError("its genres hold a name twice")
        if self.candidate not in self.models:
            raise ValueError("its candidate is none of its models")
        for name, model in self.models.items():
            if set(model.test.recall) != set(self.genres):
                raise ValueError(f"{name} was tested on other genres")

    @property
    def failed_serving_check(self) -> bool:
        """True if ServingCheck refused a candidate that the gate blessed."""
        return self.serving_check is not None and self.serving_check.outcome == "failed"

    @property
    def pushable(self) -> bool:
        """True if neither the gate, ServingCheck nor Pusher refused the candidate."""
        return self.gate.blessed and not self.failed_serving_check and not self.push_refused

    @property
    def caveats(self) -> tuple[str, ...]:
        """Reasons not to trust the numbers, in a word each: "synthetic", "leaky"."""
        return tuple(word for word in ("synthetic", "leaky") if getattr(self, word))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, without the parts that the run does not have."""
        values: dict[str, Any] = _json_value(self)
        return values


def _json_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _json_value(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not _is_absent(field, value)
        }
    if isinstance(value, Mapping):
        return {key: _json_value(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_json_value(one) for one in value]
    return value


def _is_absent(field: dataclasses.Field[Any], value: Any) -> bool:
    """Return True for a field that is left out of the file: it may be absent, and is None."""
    return field.default is None and getattr(value, field.name) is None
