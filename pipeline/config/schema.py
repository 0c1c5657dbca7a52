"""The configuration: one frozen dataclass that composes every table of a TOML file.

Built from a file by `pipeline.config.load.load`; built by hand in tests. Importing
this module loads nothing heavy.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from components.audio.params import AudioParams
from components.baselines.settings import BaselineSettings
from components.datasets.registry import READERS
from components.datasets.settings import DatasetSettings, SplitSettings
from components.ensemble.members import ALL, members_of
from components.ensemble.settings import EnsembleSettings
from components.gate.settings import GateSettings
from components.models.architectures import NETWORKS
from components.models.settings import ModelSettings
from components.serving_check.settings import ServingSettings
from components.trainer.settings import TrainingSettings
from components.trainer.tuned import TUNABLE
from components.tuner.settings import TuningSettings
from pipeline.config.beam import BeamSettings
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.storage import StorageSettings

_SECOND_PHASE = ("fine_tune_epochs", "fine_tune_learning_rate")
_WEIGHTS_WORDS = ("imagenet", "none")
_WEIGHTS_SUFFIXES = (".h5", ".keras", ".safetensors")


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on, except where its work folder lies.

    `models` maps the name of an architecture to its settings; each one is trained.

    Raises:
      ValueError: no model, or tables that contradict each other; the message holds one
        line per problem, each starting with the key.
    """

    # Read by pydantic where a file is validated; plain values, so that it is not imported
    # here. The tables below inherit it: "3" is no int, and an unknown key is an error.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    models: dict[str, ModelSettings]
    audio: AudioParams = dataclasses.field(default_factory=AudioParams)
    dataset: DatasetSettings = dataclasses.field(default_factory=DatasetSettings)
    split: SplitSettings = dataclasses.field(default_factory=SplitSettings)
    training: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)
    tuning: TuningSettings = dataclasses.field(default_factory=TuningSettings)
    baselines: BaselineSettings = dataclasses.field(default_factory=BaselineSettings)
    ensemble: EnsembleSettings = dataclasses.field(default_factory=EnsembleSettings)
    gate: GateSettings = dataclasses.field(default_factory=GateSettings)
    serving: ServingSettings = dataclasses.field(default_factory=ServingSettings)
    beam: BeamSettings = dataclasses.field(default_factory=BeamSettings)
    storage: StorageSettings = dataclasses.field(default_factory=StorageSettings)
    kubeflow: KubeflowSettings = dataclasses.field(default_factory=KubeflowSettings)

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        """Contradictions that no single table can see."""
        yield from network_problems(self.models)
        kind = self.dataset.kind
        if self.split.policy == "official" and not READERS[kind].official_split:
            yield (
                f'split.policy = "official": dataset.kind = "{kind}" comes without a split; '
                'use "by_artist" or "by_track"'
            )
        if len(self.dataset.genres) == 1:
            yield "dataset.genres: one genre leaves nothing to tell apart; name at least two"
        for name, model in self.models.items():
            if name in NETWORKS:
                smallest = NETWORKS[name].min_side_pixels
                yield from _model_problems(f"models.{name}", model, smallest)
                picture = (self.audio.n_mels, self.audio.frames)
                if smallest and not model.image_size and min(picture) < smallest:
                    yield (
                        f"models.{name}.image_size = 0: keeps the spectrogram's own {picture[0]} x "
                        f"{picture[1]} pixels ([audio]: mel bands x frames), and this network "
                        f"needs {smallest} a side; set it to {smallest} or more"
                    )
        yield from _tuning_problems(self.tuning, self.models)
        yield from self._gate_problems()

    def _gate_problems(self) -> Iterator[str]:
        """Rules that could only ever refuse: there would be nothing to compare with."""
        if self.gate.beats_baseline and not self.baselines.models:
            yield (
                "gate.beats_baseline = true: baselines.models is empty, so there is none to "
                "beat; name some, or set gate.beats_baseline = false"
            )
        if self.gate.holds_ensemble and ALL not in members_of(
            list(self.models), list(self.baselines.models)
        ):
            yield (
                "gate.holds_ensemble = true: a single model has no average to hold against; "
                "train another, or set gate.holds_ensemble = false"
            )

    @property
    def tuned_networks(self) -> tuple[str, ...]:
        """The networks whose values are searched for before they are trained."""
        return self.tuning.networks if self.tuning.trials else ()

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values, defaults included, in the tables' order."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    def digest(self) -> str:
        """16 hex digits that identify the configuration, however its file was written."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def network_problems(names: Iterable[str]) -> Iterator[str]:
    """What is wrong with the names of the [models] tables: none at all, or unknown ones."""
    names = list(names)
    if not names:
        yield "models: no network to train; add a table such as [models.cnn_small]"
    for name in names:
        if name in NETWORKS:
            continue
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"did you mean models.{near[0]}? " if near else ""
        yield f"models.{name}: unknown network; {hint}there are: {', '.join(sorted(NETWORKS))}"


def _tuning_problems(tuning: TuningSettings, models: Mapping[str, ModelSettings]) -> Iterator[str]:
    """What cannot be tuned: no network, no range, or what a network's own table fixes."""
    if not tuning.networks:
        if tuning != TuningSettings():
            yield (
                "tuning.networks: names no network to tune; name some of "
                f"{', '.join(sorted(models))}, or take the [tuning] table out"
            )
        return
    if len(set(tuning.networks)) != len(tuning.networks):
        yield f"tuning.networks = {json.dumps(tuning.networks)}: names a network twice"
    if not tuning.tuned():
        yield (
            "tuning: has nothing to choose from; give at least one of "
            f"{', '.join(TUNABLE)} a range, such as learning_rate = [0.0001, 0.01]"
        )
    for name in tuning.networks:
        if name not in models:
            near = difflib.get_close_matches(name, models, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            yield (
                f"tuning.networks: {name!r} is not trained; {hint}there are: "
                f"{', '.join(sorted(models))} (tables [models.NAME])"
            )
            continue
        for parameter in tuning.tuned():
            fixed = getattr(models[name], parameter)
            if fixed is not None:
                yield (
                    f"tuning.{parameter}: models.{name}.{parameter} = {json.dumps(fixed)} fixes "
                    "it; take one of the two out"
                )


def _model_problems(table: str, model: ModelSettings, min_side_pixels: int | None) -> Iterator[str]:
    """What a network cannot be given; `min_side_pixels` is None without a picture."""
    if min_side_pixels is None:
        with_base = sorted(name for name, made in NETWORKS.items() if made.has_base)
        for key in ("weights", "image_size", *_SECOND_PHASE):
            value = getattr(model, key)
            if value not in ("none", 0, None):
                yield (
                    f"{table}.{key} = {json.dumps(value)}: has no effect, as this network has no "
                    f"base; of those that have: {', '.join(with_base)}"
                )
        return
    for key in _SECOND_PHASE:
        value = getattr(model, key)
        if model.weights == "none" and value not in (0, None):
            yield (
                f"{table}.{key} = {json.dumps(value)}: has no effect with {table}.weights = "
                '"none": a network without trained weights is trained as a whole, in one phase'
            )
    # A misspelt word must not wait until training to be found missing as a file.
    if model.weights not in _WEIGHTS_WORDS and not model.weights.endswith(_WEIGHTS_SUFFIXES):
        yield (
            f'{table}.weights = {json.dumps(model.weights)}: must be "imagenet", "none", or the '
            "path of a Keras weights file (.h5 or .keras)"
        )
    if 0 < model.image_size < min_side_pixels:
        yield (
            f"{table}.image_size = {model.image_size}: must be 0 (the spectrogram's own size) "
            f"or at least {min_side_pixels}"
        )
