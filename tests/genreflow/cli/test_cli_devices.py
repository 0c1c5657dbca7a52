"""Tests of `genreflow devices`: present and missing libraries, and never a traceback."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import pytest

from genreflow.cli import devices as cli_devices
from pipeline.process import cuda
from tests.support import ROOT

CUDNN = f"libcudnn.so.{cuda.built_for()['cudnn']}"
ALL_FOUND = {name: {"path": f"/cuda/{name}"} for name in cuda.libraries()}


def _program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def _answering(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], status: int = 0) -> None:
    lines = "\n".join(json.dumps({key: value}) for key, value in facts.items())
    program = _program(f"import sys; print({lines!r}); sys.exit({status})")
    monkeypatch.setattr(cli_devices, "PROBE", program)


def _gpus(*capabilities: tuple[int, int], precision: str, compiles: bool) -> dict[str, Any]:
    return {
        "gpus": [{"name": "NVIDIA X", "capability": list(found)} for found in capabilities],
        "precision": precision,
        "device_library": "/cuda/libdevice.10.bc" if compiles else None,
        "compiles": compiles,
    }


def test_here_it_names_what_is_missing_and_what_training_would_use(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / CUDNN).write_bytes(b"")
    # Any library that loads will do for one that is found.
    ctypes.CDLL("libm.so.6")
    maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    names = ("libm.so.6", "libm-")  # the latter before glibc 2.34
    paths = [pathlib.Path(line.split()[-1]) for line in maps if "/" in line]
    whole = next(path for path in paths if path.name.startswith(names))
    shutil.copy(whole, tmp_path / "libcufft.so.11")
    done = subprocess.run(
        [sys.executable, "-c", "from genreflow.cli.app import main; main()", "devices"],
        cwd=ROOT,
        env={**os.environ, cuda.PATH_VARIABLE: str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any("cores usable" in line for line in lines)
    assert f"  ✓ libcufft.so.11  {tmp_path}/libcufft.so.11" in lines
    (broken,) = [line for line in lines if line.startswith(f"  ✗ {CUDNN}")]
    assert "cannot be loaded" in broken
    assert "too short" in broken
    if "  ✗ libcusparse.so.12  not found" in lines:
        (install,) = [line for line in lines if "tensorflow[and-cuda]==" in line]
        assert "nvidia-cusparse-cu12" in install
        assert "nvidia-cufft-cu12" not in install
    assert f"{cuda.PATH_VARIABLE} ({tmp_path})" in done.stdout
    plan = lines[lines.index("Training would use") :]
    assert plan[1] == "  the CPU"
    assert plan[2].startswith("  precision: float32")
    assert plan[3].startswith("  XLA: off")
    assert plan[4] == "  strategy: one device"


def test_a_probe_that_crashes_is_told_after_what_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.dumps({"libraries": ALL_FOUND})
    crash = f"print({first!r}, flush=True); import os; os.abort()"
    monkeypatch.setattr(cli_devices, "PROBE", _program(crash))
    assert cli_devices.devices.__wrapped__() == 0
    said = capsys.readouterr().out
    assert f"/cuda/{CUDNN}" in said
    assert "TensorFlow could not be started: killed by SIGABRT" in said


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (_program("import no_such_module"), "No module named 'no_such_module'"),
        (("/no/such/program",), "No such file"),
    ],
)
def test_a_probe_that_cannot_run_is_told(
    program: tuple[str, ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli_devices, "PROBE", program)
    assert cli_devices.devices.__wrapped__() == 0
    said = capsys.readouterr().out
    assert "cores usable" in said
    assert expected in said


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            _gpus((9, 0), precision="mixed_bfloat16", compiles=True),
            ["NVIDIA X, compute capability 9.0", "mixed_bfloat16", "XLA: on", "one device"],
        ),
        (
            _gpus((7, 0), precision="mixed_float16", compiles=False),
            ["mixed_float16", "below compute capability 8.0", "nvidia-cuda-nvcc-cu12"],
        ),
        (
            _gpus((6, 0), precision="float32", compiles=False),
            ["float32, as a GPU is below compute capability 7.0"],
        ),
        (
            _gpus((8, 0), (8, 0), precision="mixed_bfloat16", compiles=False),
            ["each of 2 GPUs (MirroredStrategy)", "XLA: off; TensorFlow cannot compile"],
        ),
    ],
)
def test_the_plan_says_why(
    found: dict[str, Any],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _answering(monkeypatch, {"libraries": ALL_FOUND, "tensorflow": found})
    assert cli_devices.devices.__wrapped__() == 0
    said = capsys.readouterr().out
    for text in expected:
        assert text in said


def test_a_gpu_that_tensorflow_cannot_use_is_told_with_what_is_missing(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A100, 81920, 8.0, 550.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    libraries = {**ALL_FOUND, CUDNN: {"error": f"{CUDNN}: cannot open"}}
    nothing = _gpus(precision="float32", compiles=False)
    _answering(monkeypatch, {"libraries": libraries, "tensorflow": nothing})
    assert cli_devices.devices.__wrapped__() == 0
    said = capsys.readouterr().out
    assert "NVIDIA A100, 81920 MiB, compute capability 8.0, driver 550.1" in said
    assert f"TensorFlow sees none of the 1 GPUs, without {CUDNN}" in said
    assert "CUDA_VISIBLE_DEVICES=''" in said


def test_nvidia_smi_that_fails_lists_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed, x, y, z'; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert cuda.cards() == []


def test_pips_libraries_come_after_those_that_the_user_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cuda, "pip_folders", lambda: ["/v/nvidia/cublas/lib", "/v/nvidia/x/lib"])
    expected = "/mine:/v/nvidia/cublas/lib:/v/nvidia/x/lib"
    assert cuda.library_path({cuda.PATH_VARIABLE: "/mine:"}) == {cuda.PATH_VARIABLE: expected}
    monkeypatch.setattr(cuda, "pip_folders", lambda: [])
    assert cuda.library_path({cuda.PATH_VARIABLE: "/mine"}) == {}


def test_the_build_is_read_without_importing_tensorflow() -> None:
    program = "import sys; from pipeline.process import cuda; found = cuda.built_for();"
    program += "print(sorted(found), 'tensorflow' in sys.modules)"
    done = subprocess.run(_program(program), cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['cuda', 'cudnn', 'tensorflow'] False"


@pytest.mark.parametrize(
    ("built", "cudnn"), [({"cudnn": "8"}, "8"), ({"cudnn": "9"}, "9"), ({"cudnn": "9.3.0"}, "9")]
)
def test_cudnn_is_that_of_the_installed_tensorflow(
    monkeypatch: pytest.MonkeyPatch, built: dict[str, str], cudnn: str
) -> None:
    monkeypatch.setattr(cuda, "built_for", lambda: built)
    assert [name for name in cuda.libraries() if "cudnn" in name] == [f"libcudnn.so.{cudnn}"]
