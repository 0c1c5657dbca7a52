"""Settings of one network's training, resolved from the model's own and the shared ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.trainer.devices import Gpu, dtype_policy

if TYPE_CHECKING:
    from components.models.network import Defaults
    from components.models.settings import ModelSettings
from components.trainer.settings import AugmentationSettings, TrainingSettings


@dataclasses.dataclass(frozen=True)
class ResolvedSettings:
    """The fields of TrainingSettings and ModelSettings, none of them open any more.

    `learning_rate` is that of the first phase: of the head, or of a whole network;
    `precision` is Keras's name of a dtype policy ("float32", "mixed_bfloat16", ...).
    """

    epochs: int
    fine_tune_epochs: int
    batch_size: int
    learning_rate: float
    fine_tune_learning_rate: float
    schedule: str
    warmup_epochs: int
    clip_norm: float
    class_weights: str
    label_smoothing: float
    patience: int
    seed: int
    precision: str
    augmentation: AugmentationSettings
    dropout: float
    l2: float
    weights: str
    image_size: int
    max_train_clips: int

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        return dataclasses.asdict(self)


def resolve(
    training: TrainingSettings,
    model: ModelSettings,
    defaults: Defaults,
    gpus: Sequence[Gpu] = (),
) -> ResolvedSettings:
    """The network's own table first, then [training], then the architecture's defaults.

    `gpus`: those that will train; they decide the precision.
    """
    recommended = defaults.learning_rate
    if model.weights == "none":
        recommended = defaults.scratch_learning_rate
    return ResolvedSettings(
        epochs=_first(model.epochs, training.epochs),
        fine_tune_epochs=_first(model.fine_tune_epochs, training.fine_tune_epochs),
        batch_size=_first(model.batch_size, training.batch_size),
        learning_rate=_first(model.learning_rate, training.learning_rate, recommended),
        fine_tune_learning_rate=_first(
            model.fine_tune_learning_rate,
            training.fine_tune_learning_rate,
            defaults.fine_tune_learning_rate,
        ),
        schedule=training.schedule,
        warmup_epochs=training.warmup_epochs,
        clip_norm=training.clip_norm,
        class_weights=training.class_weights,
        label_smoothing=training.label_smoothing,
        patience=training.patience,
        seed=training.seed,
        precision=dtype_policy(training.precision, gpus),
        augmentation=training.augmentation,
        dropout=defaults.dropout_of(model),
        l2=defaults.l2_of(model),
        weights=model.weights,
        image_size=model.image_size,
        max_train_clips=model.max_train_clips,
    )


def _first(*values: Any) -> Any:
    # Not `or`: fine_tune_epochs = 0 in a network's own table means none.
    return next(value for value in values if value is not None)
