"""Causes of a transferred ResNet that stays at chance on validation while training improves.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.resnet_collapse [--networks resnet50]

A ResNet's base is trained on five of GTZAN's genres (as in benchmarks.transfer) and used on the
other five, where chance is 0.20. The program compares our training with suspected mistakes, one
change at a time:

- batch normalisation in the frozen base: with stored statistics, or in training mode with those of
  the batch, which validation does not have
- pictures: as the weights expect them, or only scaled to 0..1
- learning rate of the second phase
- from random weights, momentum of the stored statistics: Keras's 0.99 or our 0.9

It prints accuracies on clips: as reported during training, on the training clips afterwards, and on
validation. docs/method/resnets.md explains the results.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from benchmarks.shared import command, gtzan_tracks
from benchmarks.transfer import load_target, train_base

BATCH = 32
PARTS = ("head", "base", "all")


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--networks", nargs="*", default=["resnet34", "resnet50"])
    parser.add_argument("--head-epochs", type=int, default=12, help="epochs of the head")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the base or of all")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="rows to print")
    parser.add_argument(
        "--rates", nargs="*", type=float, default=[1e-4, 1e-3, 1e-2], help="of the second phase"
    )
    command.add_base_arguments(parser)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tracks, chosen = load_target()
    clips = {split: gtzan_tracks.clips_of(tracks, mask) for split, mask in chosen.items()}
    print("| network | trained | change | while training | training clips after | validation |")
    print("|---|---|---|---|---|---|")
    for name in arguments.networks:
        file = train_base(
            name, arguments.keep, side=arguments.image_size, budget=arguments.pretraining
        )
        if "head" in arguments.parts:
            _heads(name, str(file), clips, arguments)
        if "base" in arguments.parts:
            _second_phases(name, str(file), clips, arguments)
        if "all" in arguments.parts:
            _from_random_weights(name, clips, arguments)


def _heads(name: str, file: str, clips: dict[str, Any], arguments: argparse.Namespace) -> None:
    for batch_statistics in (False, True):
        for wrong in (False, True):
            network = _network(name, arguments.image_size, file)
            model = _scaled_only(network) if wrong else network.model
            _freeze(network.base, batch_statistics=batch_statistics)
            statistics = "of the batch" if batch_statistics else "stored"
            pictures = "0..1" if wrong else "right"
            change = f"statistics {statistics}, pictures {pictures}"
            cells = _fit(model, clips, change, epochs=arguments.head_epochs, rate=1e-3)
            _print(name, "head", cells)


def _second_phases(
    name: str, file: str, clips: dict[str, Any], arguments: argparse.Namespace
) -> None:
    for rate in arguments.rates:
        network = _network(name, arguments.image_size, file)
        _freeze(network.base, batch_statistics=False)
        _fit(network.model, clips, "", epochs=arguments.head_epochs, rate=1e-3)
        _unfreeze(network)
        cells = _fit(network.model, clips, f"rate {rate}", epochs=arguments.epochs, rate=rate)
        _print(name, "base, after the head", cells)


def _from_random_weights(name: str, clips: dict[str, Any], arguments: argparse.Namespace) -> None:
    for momentum in (0.99, 0.9):
        network = _network(name, arguments.image_size, "none")
        for layer in _norms(network.base):
            layer.momentum = momentum
        change = f"momentum {momentum}"
        cells = _fit(network.model, clips, change, epochs=arguments.epochs, rate=1e-3)
        _print(name, "all, from random weights", cells)


def _print(name: str, part: str, cells: str) -> None:
    print(f"| {name} | {part} | {cells} |", flush=True)


def _network(name: str, side: int, weights: str) -> Any:
    from components.models.settings import ModelSettings

    model = ModelSettings(image_size=side, weights=weights)
    return gtzan_tracks.build(name, genres=5, model=model, seed=0)


def _scaled_only(network: Any) -> Any:
    """Return the network without its preprocessing: pixels are only divided by 255."""
    import keras

    from components.models.preprocessing import picture

    convolutions = network.base.get_layer("convolutions")
    mel_db = keras.Input(network.model.input_shape[1:])
    scaled = keras.layers.Rescaling(1 / 255)(picture(mel_db, convolutions.input_shape[1]))
    features = keras.layers.GlobalAveragePooling2D()(convolutions(scaled))
    return keras.Model(mel_db, network.head(features))


def _norms(base: Any) -> list[Any]:
    import keras

    layers = base.get_layer("convolutions").layers
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _freeze(base: Any, *, batch_statistics: bool) -> None:
    """Freeze the base's weights and stored statistics.

    Args:
      base: of the network.
      batch_statistics: normalise with the batch's statistics, as in training mode.
    """
    base.trainable = False
    if not batch_statistics:
        return
    base.trainable = True
    for layer in base.get_layer("convolutions").layers:
        layer.trainable = False
    for layer in _norms(base):
        layer.trainable = True
        layer.gamma.trainable = layer.beta.trainable = False
        layer.momentum = 1.0


def _unfreeze(network: Any) -> None:
    """Prepare the second phase: the convolutions train, the statistics and the head do not."""
    network.head.trainable = False
    network.base.trainable = True
    for layer in _norms(network.base):
        layer.trainable = False


def _fit(model: Any, clips: dict[str, Any], change: str, *, epochs: int, rate: float) -> str:
    """Train at a constant rate. Return the cells of the row: the change and the accuracies."""
    import keras

    model.compile(
        optimizer=keras.optimizers.Adam(rate, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",
    )
    validation = clips["validation"].batches(BATCH)
    for epoch in range(epochs):
        history = model.fit(
            clips["train"].batches(BATCH, shuffle=(0, epoch)),
            shuffle=False,
            validation_data=validation if epoch == epochs - 1 else None,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
        ).history
    _, again = model.evaluate(clips["train"].batches(BATCH), verbose=0)
    reported, validated = history["accuracy"][-1], history["val_accuracy"][-1]
    return f"{change} | {reported:.2f} | {again:.2f} | {validated:.2f}"


if __name__ == "__main__":
    main()
