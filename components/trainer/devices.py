"""Rules for training on the available devices. Light: no Keras, no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

# Lowest compute capability, major and minor, of GPUs whose tensor cores multiply the type.
BFLOAT16_CAPABILITY = (8, 0)
FLOAT16_CAPABILITY = (7, 0)

FLOAT32, MIXED_FLOAT16, MIXED_BFLOAT16 = "float32", "mixed_float16", "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU that training can use. `capability` is None if its driver does not report one."""

    name: str
    capability: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Placement:
    """Placement of a training's steps on devices.

    Attributes:
      jit_compile: whether XLA compiles the steps.
      replicas: number of the network's copies, one on each device, which share every batch.
      synchronise: wraps a Keras optimizer so that it first averages the replicas' gradients.
    """

    jit_compile: bool = False
    replicas: int = 1
    synchronise: Callable[[Any], Any] = lambda optimizer: optimizer


ONE_DEVICE = Placement()


def dtype_policy(precision: str, gpus: Sequence[Gpu]) -> str:
    """Return Keras's name of the dtype policy for a `precision` of [training].

    bfloat16 is preferred to float16. It has float32's range, so gradients neither vanish nor
    overflow, and no loss scale must be found and kept. Weights and normalisations in float32
    make up for its few digits. A CPU computes slowly in both types; only tests do so.
    """
    if precision == "float32":
        return FLOAT32
    # The weakest one decides, as all compute the same step.
    weakest = min((gpu.capability or (0, 0) for gpu in gpus), default=None)
    if weakest is None:
        return MIXED_BFLOAT16 if precision == "mixed" else FLOAT32
    if weakest >= BFLOAT16_CAPABILITY:
        return MIXED_BFLOAT16
    if weakest >= FLOAT16_CAPABILITY or precision == "mixed":
        return MIXED_FLOAT16
    return FLOAT32


def compiles(gpus: int, device_library: str | None) -> bool:
    """Return whether XLA compiles the steps: on one GPU, if NVIDIA's device library is found.

    On a CPU compiling takes longer than a small network's whole training. On several GPUs
    TensorFlow cannot compile the exchange of gradients.
    """
    return gpus == 1 and device_library is not None
