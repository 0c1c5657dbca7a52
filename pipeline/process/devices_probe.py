"""Probe of a training process's devices: `python -m pipeline.process.devices_probe`.

It prints one JSON line per finding: {"libraries": {name: {"path" or "error"}}}, then
{"tensorflow": {...}}. So the first is known even if native code crashes later.
"""

from __future__ import annotations

import ctypes
import json
import pathlib
import sys
from typing import Any

from pipeline.process import cuda


def main() -> None:
    """Load each library by its bare name, then start TensorFlow."""
    # Flush, so that output of native code does not break the lines.
    print(json.dumps({"libraries": {name: _load(name) for name in cuda.libraries()}}), flush=True)
    print(json.dumps({"tensorflow": _probe_tensorflow()}), flush=True)


def _load(name: str) -> dict[str, str]:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return {"error": str(error)}
    maps = pathlib.Path("/proc/self/maps")
    lines = maps.read_text(encoding="utf-8").splitlines() if maps.exists() else []
    paths = [line.split(maxsplit=5)[-1] for line in lines]
    stem = name.partition(".so")[0] + ".so"
    return {"path": next((p for p in paths if pathlib.Path(p).name.startswith(stem)), name)}


def _probe_tensorflow() -> dict[str, Any]:
    from components.trainer import tensorflow_devices
    from components.trainer.devices import compiles, dtype_policy

    gpus = tensorflow_devices.gpus()
    library = tensorflow_devices.device_library()
    return {
        "gpus": [{"name": gpu.name, "capability": list(gpu.capability or ())} for gpu in gpus],
        "precision": dtype_policy("auto", gpus),
        "device_library": library,
        "compiles": compiles(len(gpus), library),
    }


if __name__ == "__main__":
    main()
    sys.stdout.flush()
