"""NVIDIA driver and CUDA libraries that TensorFlow needs, and their folders. Imports little."""

from __future__ import annotations

import ast
import contextlib
import csv
import dataclasses
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Mapping

PATH_VARIABLE = "LD_LIBRARY_PATH"
DRIVER = "libcuda.so.1"

_MAX_NVIDIA_SMI_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class GpuInfo:
    """GPU as listed by the driver."""

    name: str
    memory_mib: str
    capability: str
    driver: str


def cards() -> list[GpuInfo]:
    """Return the GPUs that nvidia-smi lists; none if it is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,memory.total,compute_cap,driver_version"
    try:
        done = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_MAX_NVIDIA_SMI_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return [GpuInfo(*row) for row in rows if len(row) == 4] if done.returncode == 0 else []


def built_for() -> dict[str, str]:
    """Return TensorFlow's version and the CUDA and cuDNN versions that it was built with.

    TensorFlow is not imported.

    Returns:
      Versions by "tensorflow", "cuda", "cudnn"; unknown ones are absent.
    """
    found = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["tensorflow"] = importlib.metadata.version("tensorflow")
    spec = importlib.util.find_spec("tensorflow")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = pathlib.Path(folder, "python", "platform", "build_info.py")
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text(encoding="utf-8")
            for name in ("cuda", "cudnn"):
                value = re.search(rf"\('{name}_version', ('[^']*')\)", text)
                if value:
                    found[name] = ast.literal_eval(value.group(1))
    return found


def libraries() -> dict[str, str]:
    """Return the libraries that TensorFlow opens when it starts on a GPU, with their packages.

    Returns:
      The package of `tensorflow[and-cuda]` by library, in the versions of CUDA 12; "" for the
      driver, which is part of the system. TensorFlow 2.16 is built for cuDNN 8, 2.21 for cuDNN 9.
    """
    cudnn = built_for().get("cudnn", "9").partition(".")[0]
    return {
        DRIVER: "",
        "libcudart.so.12": "nvidia-cuda-runtime-cu12",
        "libcublas.so.12": "nvidia-cublas-cu12",
        "libcublasLt.so.12": "nvidia-cublas-cu12",
        "libcufft.so.11": "nvidia-cufft-cu12",
        "libcusolver.so.11": "nvidia-cusolver-cu12",
        "libcusparse.so.12": "nvidia-cusparse-cu12",
        f"libcudnn.so.{cudnn}": "nvidia-cudnn-cu12",
    }


def pip_folders() -> list[str]:
    """Return the folders of the libraries of pip's nvidia packages, beside TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    packages = spec.submodule_search_locations if spec else None
    roots = {pathlib.Path(folder).parent / "nvidia" for folder in packages or []}
    return sorted(str(path) for root in roots for path in root.glob("*/lib") if path.is_dir())


def library_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the LD_LIBRARY_PATH for processes that use a GPU, with pip's folders at its end.

    TensorFlow itself does not search these folders.

    Args:
      environment: the current environment variables.

    Returns:
      The variable and its value; empty if pip's folders do not exist.
    """
    folders = pip_folders()
    if not folders:
        return {}
    before = [part for part in environment.get(PATH_VARIABLE, "").split(os.pathsep) if part]
    return {PATH_VARIABLE: os.pathsep.join([*before, *folders])}
