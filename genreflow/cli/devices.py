"""`genreflow devices`: the hardware that training would use here, and what is missing."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.common.resources import usable_cores
from genreflow.cli.exit import command
from genreflow.cli.help import DATA, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import JsonOption
from pipeline.process import cuda

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole

PROBE = (sys.executable, "-m", "pipeline.process.devices_probe")
LOAD = (sys.executable, "-m", "pipeline.process.tensorflow_load")
PROBE_SECONDS = 300

# Instruction sets that speed up training, as /proc/cpuinfo names them.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")

Facts = dict[str, Any]


@shown(
    DATA,
    "genreflow devices",
    "genreflow devices --json",
)
@command
def devices(json_output: JsonOption = False) -> int:
    """Print what training would use here, and what is missing."""
    from pipeline.display.console import PlainConsole

    out = PlainConsole()
    cpu, listed = processor(), cuda.cards()
    if not json_output:
        _print_processor(out, cpu)
        _print_cards(out, listed)
    with PlainConsole(stderr=True).status("starting TensorFlow, which takes some seconds"):
        facts, trouble = probe()
    found = facts.get("tensorflow")
    if json_output:
        print_json(
            {
                "cpu": dataclasses.asdict(cpu),
                "gpus": [dataclasses.asdict(card) for card in listed],
                "libraries": facts.get("libraries", {}),
                "training": found,
                "problem": None if found else trouble,
            }
        )
        return 0
    _print_libraries(out, facts.get("libraries", {}))
    if found is None:
        out.say(("TensorFlow could not be started:", "red"), f" {trouble}")
    else:
        _print_plan(out, found, listed, facts.get("libraries", {}))
    return 0


def probe() -> tuple[Facts, str]:
    """Return what a training process finds here, and an error message or ""."""
    stdout, trouble = _run(PROBE)
    facts: Facts = {}
    for line in stdout.splitlines():
        if line.startswith("{"):
            facts.update(json.loads(line))
    return facts, trouble


def load_trouble() -> str:
    """Return why TensorFlow's libraries cannot be loaded here, or ""."""
    return _run(LOAD)[1]


def _run(program: Sequence[str]) -> tuple[str, str]:
    """Run a program in a training process's environment; return its output, and an error or ""."""
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
            program,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"timed out after {PROBE_SECONDS} seconds"
    except OSError as error:
        return "", str(error)
    if done.returncode == 0:
        return done.stdout, ""
    if done.returncode < 0:
        return done.stdout, f"killed by {signal.Signals(-done.returncode).name}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return done.stdout, lines[-1] if lines else f"exit status {done.returncode}"


@dataclasses.dataclass(frozen=True)
class Processor:
    """Processor of this machine.

    Attributes:
      model: its name.
      usable_cores: cores that this process may use.
      cores: cores of the machine.
      instructions: those of INSTRUCTIONS that it has; none if it does not tell.
    """

    model: str
    usable_cores: int
    cores: int
    instructions: tuple[str, ...]


def processor() -> Processor:
    """Return this machine's processor."""
    model, flags = platform.machine(), set()
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags.update(value.split())
    known = tuple(name for name in INSTRUCTIONS if name in flags)
    return Processor(model, usable_cores(), os.cpu_count() or 1, known)


def _print_processor(out: PlainConsole, cpu: Processor) -> None:
    out.say(("CPU", "bold"))
    out.say(f"  {cpu.model}, {cpu.usable_cores} of {cpu.cores} cores usable")
    out.say(f"  instructions: {' '.join(cpu.instructions) or 'unknown'}")


def _print_cards(out: PlainConsole, listed: list[cuda.GpuInfo]) -> None:
    out.say(("GPUs that the driver lists", "bold"))
    for card in listed:
        out.say(
            f"  {card.name}, {card.memory_mib} MiB, compute capability "
            f"{card.capability}, driver {card.driver}"
        )
    if not listed:
        nodes = sorted(path.name for path in pathlib.Path("/dev").glob("nvidia[0-9]*"))
        seen = f"/dev has {', '.join(nodes)}" if nodes else "/dev has no nvidia0"
        out.say(f"  none: nvidia-smi is missing or lists none, and {seen}")


def _print_libraries(out: PlainConsole, libraries: dict[str, dict[str, str]]) -> None:
    built = cuda.built_for()
    out.say(
        (f"CUDA libraries that TensorFlow {built.get('tensorflow', '')} opens on a GPU", "bold"),
        f" (CUDA {built.get('cuda', '?')}, cuDNN {built.get('cudnn', '?')})",
    )
    for name, found in libraries.items():
        if "path" in found:
            out.say("  ", ("✓", "green"), f" {name}  {found['path']}")
        else:
            out.say("  ", ("✗", "red"), f" {name}  {_why_missing(name, found['error'])}")
    missing = [name for name, found in libraries.items() if "path" not in found]
    path = os.environ.get(cuda.PATH_VARIABLE)
    folders = cuda.pip_folders()
    looked = [
        f"{cuda.PATH_VARIABLE} ({path or 'not set'})",
        f"pip's nvidia packages ({len(folders) or 'no'} folders beside TensorFlow)",
        "the loader's default folders (ldconfig -p)",
    ]
    out.say(f"  searched: {'; '.join(looked)}")
    if cuda.DRIVER in missing:
        out.say(
            f"  {cuda.DRIVER} belongs to NVIDIA's driver: install that (Debian: apt install "
            "nvidia-driver), or start the container with --gpus all"
        )
    packages = sorted({cuda.libraries()[name] for name in missing} - {""})
    if packages:
        version = built.get("tensorflow", "")
        out.say(
            f"  install the others with: {sys.executable} -m pip install "
            f'"tensorflow[and-cuda]=={version}" (packages {", ".join(packages)})'
        )


def _why_missing(name: str, error: str) -> str:
    if "cannot open shared object file: No such file" in error and name in error:
        return "not found"
    return f"cannot be loaded: {error}"


def _print_plan(
    out: PlainConsole,
    found: Facts,
    listed: list[cuda.GpuInfo],
    libraries: dict[str, dict[str, str]],
) -> None:
    gpus = found["gpus"]
    out.say(("Training would use", "bold"))
    if gpus:
        for gpu in gpus:
            capability = ".".join(map(str, gpu["capability"])) or "unknown"
            out.say(f"  {gpu['name']}, compute capability {capability}")
    else:
        out.say("  the CPU")
    if not gpus and listed:
        missing = [name for name, state in libraries.items() if "path" not in state]
        why = f"without {', '.join(missing)}" if missing else "although every library loads"
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None:
            why += f", and with CUDA_VISIBLE_DEVICES={hidden!r}"
        out.say("  ", (f"TensorFlow sees none of the {len(listed)} GPUs", "yellow"), f", {why}")
    out.say(f"  precision: {found['precision']}, {_why_precision(found)}")
    out.say(f"  XLA: {_why_xla(found)}")
    copies = f"a copy of the network on each of {len(gpus)} GPUs (MirroredStrategy)"
    out.say(f"  strategy: {copies if len(gpus) > 1 else 'one device'}")


def _why_precision(found: Facts) -> str:
    from components.trainer.devices import BFLOAT16_CAPABILITY, FLOAT16_CAPABILITY, FLOAT32

    if not found["gpus"]:
        return "as CPUs are slow in 16 bits (set by training.precision)"
    if found["precision"] == FLOAT32:
        capability = ".".join(map(str, FLOAT16_CAPABILITY))
        return f"as a GPU is below compute capability {capability} and has no tensor cores"
    capability = ".".join(map(str, BFLOAT16_CAPABILITY))
    if found["precision"] == "mixed_bfloat16":
        return f"as every GPU has compute capability {capability} or higher"
    return f"as a GPU is below compute capability {capability}"


def _why_xla(found: Facts) -> str:
    if found["compiles"]:
        return f"on, with {found['device_library']}"
    if not found["gpus"]:
        return "off; on a CPU it costs more time than it saves"
    if len(found["gpus"]) > 1:
        return "off; TensorFlow cannot compile steps that several GPUs share"
    return "off; libdevice.10.bc was not found (it comes with nvidia-cuda-nvcc-cu12)"
