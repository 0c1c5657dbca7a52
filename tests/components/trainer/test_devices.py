"""Tests of the precision and compiler that training uses, by the available GPUs."""

from __future__ import annotations

import pathlib
import types

import pytest

from components.models.network import Defaults
from components.models.settings import ModelSettings
from components.trainer import tensorflow_devices
from components.trainer.devices import Gpu, compiles, dtype_policy
from components.trainer.resolved import resolve
from components.trainer.settings import TrainingSettings

P100, V100, A100 = Gpu("P100", (6, 0)), Gpu("V100", (7, 0)), Gpu("A100", (8, 0))


@pytest.mark.parametrize(
    ("precision", "gpus", "expected"),
    [
        ("auto", [], "float32"),
        ("auto", [P100], "float32"),
        ("auto", [V100], "mixed_float16"),
        ("auto", [A100], "mixed_bfloat16"),
        ("auto", [A100, V100], "mixed_float16"),
        ("auto", [A100, P100], "float32"),
        ("auto", [A100, Gpu("unknown")], "float32"),
        ("mixed", [], "mixed_bfloat16"),
        ("mixed", [P100], "mixed_float16"),
        ("mixed", [A100, A100], "mixed_bfloat16"),
        ("float32", [A100], "float32"),
    ],
)
def test_the_least_able_gpu_decides_the_precision(
    precision: str, gpus: list[Gpu], expected: str
) -> None:
    assert dtype_policy(precision, gpus) == expected
    training = TrainingSettings(precision=precision)  # type: ignore[arg-type]
    resolved = resolve(training, ModelSettings(), Defaults(dropout=0.0), gpus)
    assert resolved.precision == expected


def test_steps_are_compiled_on_one_gpu_with_its_library() -> None:
    assert compiles(1, "/usr/local/cuda/nvvm/libdevice/libdevice.10.bc")
    assert not compiles(1, None)
    assert not compiles(0, "/somewhere")
    assert not compiles(2, "/somewhere")


def test_the_device_library_is_found_where_xla_flags_say(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / tensorflow_devices.DEVICE_LIBRARY
    monkeypatch.setenv("XLA_FLAGS", f"--xla_other --xla_gpu_cuda_data_dir={tmp_path}")
    assert tensorflow_devices.device_library() != str(library)
    library.parent.mkdir(parents=True)
    library.write_bytes(b"")
    assert tensorflow_devices.device_library() == str(library)


def test_a_gpu_is_named_with_its_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    device = types.SimpleNamespace(name="/physical_device:GPU:0")
    details = {"device_name": "NVIDIA A100", "compute_capability": (8, 0)}
    config = tensorflow_devices.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [device])
    monkeypatch.setattr(config.experimental, "get_device_details", lambda found: details)
    assert tensorflow_devices.gpus() == [Gpu("NVIDIA A100", (8, 0))]
    details.clear()
    assert tensorflow_devices.gpus() == [Gpu("/physical_device:GPU:0", None)]
