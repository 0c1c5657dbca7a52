"""What training does with the devices that are there: the rules. Light: no Keras, no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

# Compute capability, major and minor, from which a GPU's tensor cores multiply that type.
BFLOAT16_CAPABILITY = (8, 0)
FLOAT16_CAPABILITY = (7, 0)

FLOAT32, MIXED_FLOAT16, MIXED_BFLOAT16 = "float32", "mixed_float16", "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU that training would use. `capability` is None where its driver does not tell."""

    name: str
    capability: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Placement:
    """How the steps of a training run.

    `jit_compile`: by XLA. `replicas`: the network's copies, each on a device of its own,
    that share every batch; `synchronise` then makes a Keras optimizer apply the mean of
    their gradients, before anything else happens to them.
    """

    jit_compile: bool = False
    replicas: int = 1
    synchronise: Callable[[Any], Any] = lambda optimizer: optimizer


ONE_DEVICE = Placement()


def dtype_policy(precision: str, gpus: Sequence[Gpu]) -> str:
    """Keras's name of the dtype policy for a `precision` of [training].

    bfloat16 before float16: it has float32's range, so gradients neither vanish nor
    overflow, no step is lost to finding a loss scale, and there is no scale to keep.
    What it lacks in digits the float32 weights and normalisations make up for. A CPU
    computes both slowly and is asked for them only in tests.
    """
    if precision == "float32":
        return FLOAT32
    # The least able one decides: all of them compute the same step.
    weakest = min((gpu.capability or (0, 0) for gpu in gpus), default=None)
    if weakest is None:
        return MIXED_BFLOAT16 if precision == "mixed" else FLOAT32
    if weakest >= BFLOAT16_CAPABILITY:
        return MIXED_BFLOAT16
    if weakest >= FLOAT16_CAPABILITY or precision == "mixed":
        return MIXED_FLOAT16
    return FLOAT32


def compiles(gpus: int, device_library: str | None) -> bool:
    """Whether XLA compiles the steps: on one GPU, if NVIDIA's device library is there.

    On a CPU compiling costs more than a small network's whole training; on several GPUs
    the gradients' exchange cannot be part of what TensorFlow compiles.
    """
    return gpus == 1 and device_library is not None
