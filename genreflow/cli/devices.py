"""`genreflow devices`: what training would use here, and why not more."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
from typing import Any

from rich.console import Console

from components.common.cpu import usable_cores
from components.trainer.devices import BFLOAT16_CAPABILITY, FLOAT16_CAPABILITY, FLOAT32
from pipeline.display.text import escaped
from pipeline.process import cuda

PROBE = (sys.executable, "-m", "pipeline.process.devices_probe")
PROBE_SECONDS = 300

# What a processor's speed in training depends on, as /proc/cpuinfo names it.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")

Facts = dict[str, Any]


def devices() -> int:
    """Prints processor, GPUs, CUDA libraries, and what training makes of them; returns 0."""
    out = Console(highlight=False, soft_wrap=True)
    _print_processor(out)
    listed = cuda.cards()
    _print_cards(out, listed)
    with out.status("asking TensorFlow, which takes its time to start"):
        facts, trouble = probe()
    _print_libraries(out, facts.get("libraries", {}))
    found = facts.get("tensorflow")
    if found is None:
        out.print(f"[red]TensorFlow cannot be asked:[/] {escaped(trouble)}")
    else:
        _print_plan(out, found, listed, facts.get("libraries", {}))
    return 0


def probe() -> tuple[Facts, str]:
    """What the process that trains would find; and what went wrong, "" for nothing."""
    environment = {
        **os.environ,
        **cuda.library_path(os.environ),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "PYTHONPATH": os.pathsep.join(
            [str(pathlib.Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep),
    }
    try:
        done = subprocess.run(
            PROBE,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {PROBE_SECONDS} seconds"
    except OSError as error:
        return {}, str(error)
    facts: Facts = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts.update(json.loads(line))
    if done.returncode == 0:
        return facts, ""
    if done.returncode < 0:
        return facts, f"it was ended by {signal.Signals(-done.returncode).name}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return facts, lines[-1] if lines else f"it ended with status {done.returncode}"


def _print_processor(out: Console) -> None:
    model, flags = platform.machine(), set()
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags.update(value.split())
    known = [name for name in INSTRUCTIONS if name in flags]
    usable = usable_cores()
    out.print("[bold]Processor[/]")
    out.print(f"  {escaped(model)}, {usable} of {os.cpu_count()} cores usable")
    out.print(f"  instructions: {' '.join(known) or 'unknown'}")


def _print_cards(out: Console, listed: list[cuda.Card]) -> None:
    out.print("[bold]GPUs that the driver lists[/]")
    for card in listed:
        out.print(
            f"  {escaped(card.name)}, {escaped(card.memory_mib)} MiB, compute capability "
            f"{escaped(card.capability)}, driver {escaped(card.driver)}"
        )
    if not listed:
        nodes = sorted(path.name for path in pathlib.Path("/dev").glob("nvidia[0-9]*"))
        seen = f"/dev has {', '.join(nodes)}" if nodes else "/dev has no nvidia0"
        out.print(f"  none: nvidia-smi lists nothing or is not there, and {seen}")


def _print_libraries(out: Console, libraries: dict[str, dict[str, str]]) -> None:
    built = cuda.built_for()
    out.print(
        f"[bold]CUDA libraries that TensorFlow {built.get('tensorflow', '')} opens on a GPU[/] "
        f"(CUDA {built.get('cuda', '?')}, cuDNN {built.get('cudnn', '?')})"
    )
    for name, found in libraries.items():
        if "path" in found:
            out.print(f"  [green]✓[/] {name}  {escaped(found['path'])}")
        else:
            out.print(f"  [red]✗[/] {name}  {escaped(_why_missing(name, found['error']))}")
    missing = [name for name, found in libraries.items() if "path" not in found]
    path = os.environ.get(cuda.PATH_VARIABLE)
    folders = cuda.pip_folders()
    looked = [
        f"{cuda.PATH_VARIABLE} ({escaped(path) if path else 'not set'})",
        f"pip's nvidia packages ({len(folders) or 'no'} folders beside TensorFlow)",
        "the loader's own folders (ldconfig -p)",
    ]
    out.print(f"  looked in: {'; '.join(looked)}")
    if cuda.DRIVER in missing:
        out.print(
            f"  {cuda.DRIVER} belongs to NVIDIA's driver: install that (Debian: apt install "
            "nvidia-driver), or start the container with --gpus all"
        )
    packages = sorted({cuda.LIBRARIES[name] for name in missing} - {""})
    if packages:
        version = built.get("tensorflow", "")
        out.print(
            f"  the others come with: {escaped(sys.executable)} -m pip install "
            f'"tensorflow\\[and-cuda]=={version}" (here {", ".join(packages)})'
        )


def _why_missing(name: str, error: str) -> str:
    if "cannot open shared object file: No such file" in error and name in error:
        return "not found"
    return f"cannot be loaded: {error}"


def _print_plan(
    out: Console, found: Facts, listed: list[cuda.Card], libraries: dict[str, dict[str, str]]
) -> None:
    gpus = found["gpus"]
    out.print("[bold]Training would use[/]")
    if gpus:
        for gpu in gpus:
            capability = ".".join(map(str, gpu["capability"])) or "unknown"
            out.print(f"  {escaped(gpu['name'])}, compute capability {capability}")
    else:
        out.print("  the processor")
    if not gpus and listed:
        missing = [name for name, state in libraries.items() if "path" not in state]
        why = f"without {', '.join(missing)}" if missing else "although every library loads"
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None:
            why += f", and with CUDA_VISIBLE_DEVICES={escaped(repr(hidden))}"
        out.print(f"  [yellow]TensorFlow sees none of the {len(listed)} GPUs[/], {why}")
    out.print(f"  precision: {found['precision']}, {_why_precision(found)}")
    out.print(f"  XLA: {_why_xla(found)}")
    copies = f"a copy of the network on each of {len(gpus)} GPUs (MirroredStrategy)"
    out.print(f"  strategy: {copies if len(gpus) > 1 else 'one device'}")


def _why_precision(found: Facts) -> str:
    if not found["gpus"]:
        return "as processors compute 16 bits slowly (training.precision sets it)"
    if found["precision"] == FLOAT32:
        least = ".".join(map(str, FLOAT16_CAPABILITY))
        return f"as a GPU is below compute capability {least} and has no tensor cores"
    least = ".".join(map(str, BFLOAT16_CAPABILITY))
    kind = "from" if found["precision"] == "mixed_bfloat16" else "below"
    return f"as the least able GPU is {kind} compute capability {least}"


def _why_xla(found: Facts) -> str:
    if found["compiles"]:
        return f"on, with {escaped(found['device_library'])}"
    if not found["gpus"]:
        return "off; on a processor it costs more time than it saves"
    if len(found["gpus"]) > 1:
        return "off; TensorFlow cannot compile steps that several GPUs share"
    return "off; libdevice.10.bc was not found (it comes with nvidia-cuda-nvcc-cu12)"
