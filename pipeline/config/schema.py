"""Configuration of a run: one frozen dataclass of all tables of a TOML file.

`pipeline.config.load.load` builds it from a file. Importing this module loads nothing heavy.
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
from components.data_check.settings import DataCheckSettings
from components.datasets.registry import READERS
from components.datasets.settings import DatasetSettings, SplitSettings
from components.ensemble.members import ALL, members_of
from components.ensemble.settings import EnsembleSettings
from components.gate.settings import GateSettings
from components.models.architectures import NETWORKS, Architecture
from components.models.settings import ModelSettings
from components.serving_check.settings import ServingSettings
from components.storage.uri import checked_place
from components.trainer.settings import TrainingSettings
from components.trainer.tuned import TUNABLE
from components.tuner.settings import TuningSettings
from pipeline.config.beam import BeamSettings
from pipeline.config.kubeflow import KubeflowSettings

_SECOND_PHASE = ("fine_tune_epochs", "fine_tune_learning_rate")


# Value of storage.clip_store.
NO_STORE = "none"


@dataclasses.dataclass(frozen=True)
class StorageSettings:
    """Places of a run's large output, each a local folder or an s3:// URI.

    Metadata, lock, logs, caches, results.json and rejects.csv stay in the work folder.

    Attributes:
      pipeline_root: TFX's artifacts (examples, models, ...); "" is in the work folder.
      push_destination: pushed models, as `genreflow/<version>/`; "" is `serving_models` in the
        work folder.
      clip_store: decoded clips, kept between runs, so that a new run decodes only what has changed;
        "none" keeps none. "" is `cache` in the work folder, but keeps none for Beam's workers on
        other machines if the artifacts are in an object store: name a store there, or a folder
        that all of them share.
    """

    pipeline_root: str = ""
    push_destination: str = ""
    clip_store: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            checked_place(getattr(self, field.name), field.name)


@dataclasses.dataclass(frozen=True)
class Config:
    """Configuration of a run; everything but the work folder.

    Attributes:
      models: settings by architecture; each of them is trained.

    Raises:
      ValueError: there is no model, or tables contradict each other; the message has one line
        per problem, which starts with the key.
    """

    # Read by pydantic when a file is validated; a plain dict needs no import of it. It applies to
    # all tables: "3" is not an int, and an unknown key is an error.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    models: dict[str, ModelSettings]
    audio: AudioParams = dataclasses.field(default_factory=AudioParams)
    dataset: DatasetSettings = dataclasses.field(default_factory=DatasetSettings)
    split: SplitSettings = dataclasses.field(default_factory=SplitSettings)
    training: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)
    tuning: TuningSettings = dataclasses.field(default_factory=TuningSettings)
    baselines: BaselineSettings = dataclasses.field(default_factory=BaselineSettings)
    ensemble: EnsembleSettings = dataclasses.field(default_factory=EnsembleSettings)
    data_check: DataCheckSettings = dataclasses.field(default_factory=DataCheckSettings)
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
        """Yield problems that no single table can see."""
        yield from network_problems(self.models)
        kind = self.dataset.kind
        if self.split.policy == "official" and not READERS[kind].official_split:
            yield (
                f'split.policy = "official": dataset.kind = "{kind}" has no official split; '
                'use "by_artist" or "by_track"'
            )
        if self.split.policy == "by_clip" and self.audio.evaluation_clips is not None:
            yield (
                f"audio.evaluation_clips = {json.dumps(self.audio.evaluation_clips)}: "
                'split.policy = "by_clip" splits the random clips of each track; remove one of '
                "the two"
            )
        if len(self.dataset.genres) == 1:
            yield "dataset.genres: a model needs at least two genres to tell apart; name more"
        for name, model in self.models.items():
            if name in NETWORKS:
                made = NETWORKS[name]
                yield from _model_problems(f"models.{name}", model, made)
                if made.front_end not in (None, self.audio.front_end):
                    yield (
                        f"models.{name}: this network takes only the spectrograms of "
                        f'audio.front_end = "{made.front_end}", not of "{self.audio.front_end}"; '
                        f"set it, or remove the table [models.{name}]"
                    )
                smallest = made.min_side_pixels
                side = model.image_size_or(made.image_size)
                picture = (self.audio.n_mels, self.audio.frames)
                if smallest and not side and min(picture) < smallest:
                    yield (
                        f"models.{name}.image_size = 0: keeps the spectrogram's {picture[0]} x "
                        f"{picture[1]} pixels ([audio]: mel bands x frames), but this network "
                        f"needs {smallest} per side; set it to {smallest} or more"
                    )
        yield from _tuning_problems(self.tuning, self.models)
        yield from self._gate_problems()

    def _gate_problems(self) -> Iterator[str]:
        """Yield rules of the gate that have nothing to compare with, and so always refuse."""
        if self.gate.beats_baseline and not self.baselines.models:
            yield (
                "gate.beats_baseline = true: baselines.models is empty; name some, or set "
                "gate.beats_baseline = false"
            )
        if self.gate.holds_ensemble and ALL not in members_of(
            list(self.models), list(self.baselines.models)
        ):
            yield (
                "gate.holds_ensemble = true: a single model has no ensemble to be compared with; "
                "train another, or set gate.holds_ensemble = false"
            )

    @property
    def tuned_networks(self) -> tuple[str, ...]:
        """Networks whose settings are tuned before they are trained."""
        return self.tuning.networks if self.tuning.trials else ()

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values, defaults included, in the tables' order."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    def digest(self) -> str:
        """Return 16 hex digits that identify the configuration, however its file is written."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def network_problems(names: Iterable[str]) -> Iterator[str]:
    """Yield problems with the names of the [models] tables: none at all, or unknown ones."""
    names = list(names)
    if not names:
        yield "models: no network to train; add a table such as [models.cnn_small]"
    for name in names:
        if name in NETWORKS:
            continue
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"did you mean models.{near[0]}? " if near else ""
        yield f"models.{name}: unknown network; {hint}known: {', '.join(sorted(NETWORKS))}"


def _tuning_problems(tuning: TuningSettings, models: Mapping[str, ModelSettings]) -> Iterator[str]:
    """Yield problems of the [tuning] table: no network, no range, or values fixed elsewhere."""
    if not tuning.networks:
        if tuning != TuningSettings():
            yield (
                "tuning.networks: no network to tune; name some of "
                f"{', '.join(sorted(models))}, or remove the [tuning] table"
            )
        return
    if len(set(tuning.networks)) != len(tuning.networks):
        yield f"tuning.networks = {json.dumps(tuning.networks)}: names a network twice"
    if not tuning.tuned():
        yield (
            "tuning: nothing to tune; give at least one of "
            f"{', '.join(TUNABLE)} a range, such as learning_rate = [0.0001, 0.01]"
        )
    for name in tuning.networks:
        if name not in models:
            near = difflib.get_close_matches(name, models, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            yield (
                f"tuning.networks: {name!r} is not trained; {hint}trained are: "
                f"{', '.join(sorted(models))} (tables [models.NAME])"
            )
            continue
        for parameter in tuning.tuned():
            fixed = getattr(models[name], parameter)
            if fixed is not None:
                yield (
                    f"tuning.{parameter}: models.{name}.{parameter} = {json.dumps(fixed)} fixes "
                    "it; remove one of the two"
                )


def _model_problems(table: str, model: ModelSettings, made: Architecture) -> Iterator[str]:
    """Yield settings that do not fit a network.

    Args:
      table: the name of the network's table.
      model: the network's settings.
      made: the facts about the network.
    """

    def without_effect(keys: Iterable[str], why: str) -> Iterator[str]:
        for key in keys:
            value = getattr(model, key)
            if value not in ("none", 0, None):
                yield f"{table}.{key} = {json.dumps(value)}: has no effect, as {why}"

    if not made.has_base:
        others = sorted(name for name, other in NETWORKS.items() if other.has_base)
        yield from without_effect(
            ("weights", "image_size", "head_units", *_SECOND_PHASE),
            f"this network has no base; remove it (networks with a base: {', '.join(others)})",
        )
        return
    if made.min_side_pixels is None:
        yield from without_effect(
            ("image_size",), "this network takes the spectrogram itself, not a picture; remove it"
        )
    elif model.image_size and model.image_size < made.min_side_pixels:
        yield (
            f"{table}.image_size = {model.image_size}: must be 0 (the spectrogram's own size) "
            f"or at least {made.min_side_pixels}"
        )
    if model.weights == "none":
        yield from without_effect(
            _SECOND_PHASE,
            f'{table}.weights = "none": such a network is trained in one phase; remove it',
        )
    # Find a misspelt word now, not as a missing file when training starts.
    problem = made.weights_problem(model.weights)
    if problem:
        yield f"{table}.weights = {json.dumps(model.weights)}: {problem}"
