"""Why a transferred ResNet can stay at chance on validation while its training accuracy rises.

    GENREFLOW_DATA=... taskset -c 0 python -m benchmarks.resnet_collapse [--networks resnet50]

A ResNet's base that was trained on five of GTZAN's genres (as in transfer.py) is used on the
other five, chance 0.20, in the ways that are suspected, next to ours. Each is one change:

- batch normalisation of the frozen base: with its stored statistics, or in training mode,
  with those of the batch at hand, which validation does not have;
- pictures as the weights expect them, or scaled to 0..1 and nothing else;
- the rate of the second phase;
- from random weights, the momentum of the stored statistics: Keras's 0.99 or our 0.9.

Prints the accuracy on clips: what training reports while it trains, the training clips read
again by the finished network, and validation. docs/resnets.md tells what it means.
"""

from __future__ import annotations

import argparse
import os
import pathlib
from typing import Any

from benchmarks import mels
from benchmarks.transfer import base_of, target

ROOT = pathlib.Path(__file__).resolve().parents[1]


BATCH = 32
PARTS = ("head", "base", "all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["resnet34", "resnet50"])
    parser.add_argument("--head-epochs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=5, help="of the whole network")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="of the table")
    parser.add_argument("--rates", nargs="*", type=float, default=[1e-4, 1e-3, 1e-2])
    parser.add_argument("--pretraining", type=float, default=600.0, help="processor seconds")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("benchmark-bases"))
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tracks, chosen = target()
    clips = {split: mels.clips_of(tracks, mask) for split, mask in chosen.items()}
    print("| network | what is trained | how | training says | training, again | validation |")
    print("|---|---|---|---|---|---|")
    for name in arguments.networks:
        file = base_of(
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
            said = f"statistics {statistics}, pictures {pictures}"
            _print(name, "head", _fit(model, clips, said, epochs=arguments.head_epochs, rate=1e-3))


def _second_phases(
    name: str, file: str, clips: dict[str, Any], arguments: argparse.Namespace
) -> None:
    for rate in arguments.rates:
        network = _network(name, arguments.image_size, file)
        _freeze(network.base, batch_statistics=False)
        _fit(network.model, clips, "", epochs=arguments.head_epochs, rate=1e-3)
        _unfreeze(network)
        said = _fit(network.model, clips, f"rate {rate}", epochs=arguments.epochs, rate=rate)
        _print(name, "base, after the head", said)


def _from_random_weights(name: str, clips: dict[str, Any], arguments: argparse.Namespace) -> None:
    for momentum in (0.99, 0.9):
        network = _network(name, arguments.image_size, "none")
        for layer in _norms(network.base):
            layer.momentum = momentum
        said = f"momentum {momentum}"
        said = _fit(network.model, clips, said, epochs=arguments.epochs, rate=1e-3)
        _print(name, "all, from random weights", said)


def _print(name: str, part: str, said: str) -> None:
    print(f"| {name} | {part} | {said} |", flush=True)


def _network(name: str, side: int, weights: str) -> Any:
    from components.models.settings import ModelSettings

    model = ModelSettings(image_size=side, weights=weights)
    return mels.build(name, genres=5, model=model, seed=0)


def _scaled_only(network: Any) -> Any:
    """The network without its preprocessing: pixels divided by 255 go to the convolutions."""
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
    """No weight of the base changes, nor its stored statistics; but see the module's text."""
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
    """The second phase: the convolutions train, the statistics and the head stay."""
    network.head.trainable = False
    network.base.trainable = True
    for layer in _norms(network.base):
        layer.trainable = False


def _fit(model: Any, clips: dict[str, Any], said: str, *, epochs: int, rate: float) -> str:
    """Trains at a constant rate; the row's cells."""
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
    return f"{said} | {reported:.2f} | {again:.2f} | {validated:.2f}"


if __name__ == "__main__":
    main()
