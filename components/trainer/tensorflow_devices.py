"""TensorFlow's devices, and a network's replicas on several of them."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from components.trainer.devices import Gpu, Placement, compiles

# The file that XLA links into code for a GPU, below a folder of CUDA.
DEVICE_LIBRARY = "nvvm/libdevice/libdevice.10.bc"


def gpus() -> list[Gpu]:
    """Return the GPUs that TensorFlow can use; CUDA_VISIBLE_DEVICES hides others."""
    found = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        capability = details.get("compute_capability")
        name = details.get("device_name", device.name)
        found.append(Gpu(name, tuple(capability) if capability else None))
    return found


def device_library() -> str | None:
    """Return the path of CUDA's device library among XLA's search paths, or None."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    prefix = "--xla_gpu_cuda_data_dir="
    version = tf.sysconfig.get_build_info().get("cuda_version", "")
    # get_lib() is a folder in that of the pip packages.
    packages = pathlib.Path(tf.sysconfig.get_lib()).parent
    folders = [
        *(pathlib.Path(flag[len(prefix) :]) for flag in flags if flag.startswith(prefix)),
        pathlib.Path("cuda_sdk_lib"),
        packages / "nvidia" / "cuda_nvcc",
        pathlib.Path(f"/usr/local/cuda-{version}"),
        pathlib.Path("/usr/local/cuda"),
    ]
    found = (folder / DEVICE_LIBRARY for folder in folders)
    return next((str(path) for path in found if path.is_file()), None)


@contextlib.contextmanager
def placed(found: Sequence[Gpu]) -> Iterator[Placement]:
    """Open a block in which networks are built and trained on all GPUs, or else on the CPU."""
    if len(found) > 1:
        with replicated([f"GPU:{index}" for index in range(len(found))]) as placement:
            yield placement
    else:
        yield Placement(jit_compile=compiles(len(found), device_library()))


@contextlib.contextmanager
def replicated(devices: Sequence[str]) -> Iterator[Placement]:
    """Open a block in which each network has a replica on each device, by MirroredStrategy."""
    strategy = _strategy(tuple(devices))
    with strategy.scope():
        yield Placement(replicas=strategy.num_replicas_in_sync, synchronise=synchronised)


@functools.cache
def _strategy(devices: tuple[str, ...]) -> Any:
    # One strategy for all networks of a process. Each strategy numbers its exchanges from the same
    # start, and TensorFlow confuses those of two strategies.
    return tf.distribute.MirroredStrategy(devices)


def synchronised(optimizer: Any) -> Any:
    """Make `optimizer.apply` start with the mean of all replicas' gradients.

    Keras sums them only after it has checked for overflow and clipped the norm, which would then
    happen by replica. The price is that equal gradients are summed again.
    """
    apply = optimizer.apply

    @functools.wraps(apply)
    def apply_mean(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
        replica = tf.distribute.get_replica_context()
        mean = iter(
            replica.all_reduce(tf.distribute.ReduceOp.MEAN, [g for g in grads if g is not None])
        )
        every = [None if grad is None else next(mean) for grad in grads]
        return apply(every, trainable_variables)

    optimizer.apply = apply_mean
    return optimizer
