"""Command lines of benchmarks, and figures about their processes."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

GENREFLOW = pathlib.Path(sys.executable).with_name("genreflow")


def parser(file: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the argument parser of a benchmark.

    Args:
      file: the benchmark's `__file__`; gives the name in the usage line.
      doc: its `__doc__`, shown by `--help`.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module(file)}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def module(file: str) -> str:
    """Return the name of the module that a benchmark's file holds."""
    return f"benchmarks.{pathlib.Path(file).stem}"


def add_base_arguments(options: argparse.ArgumentParser) -> None:
    """Add the options of benchmarks that use a base trained by `benchmarks.transfer`."""
    options.add_argument(
        "--pretraining", type=float, default=600.0, help="processor seconds to train a base"
    )
    options.add_argument("--image-size", type=int, default=64, help="pixels")
    options.add_argument(
        "--keep",
        type=pathlib.Path,
        default=pathlib.Path("benchmark-bases"),
        help="folder for trained bases, which later runs use",
    )


def data_folder(*parts: str, file: str) -> pathlib.Path:
    """Return a folder of GENREFLOW_DATA; end the program if it lacks a file.

    Args:
      parts: the folder's path below GENREFLOW_DATA.
      file: a file that must be in it.
    """
    folder = pathlib.Path(os.environ.get("GENREFLOW_DATA", ""), *parts)
    if not (folder / file).is_file():
        sys.exit(f"{folder} has no {file}: set GENREFLOW_DATA to the folder of real audio")
    return folder


def fma_files() -> list[pathlib.Path]:
    """Return the real mp3s of FMA small below GENREFLOW_DATA; end the program without any."""
    folder = pathlib.Path(os.environ.get("GENREFLOW_DATA", ""), "fma", "fma_small", "000")
    files = sorted(folder.glob("*.mp3"))
    if not files:
        sys.exit(f"{folder} has no mp3: set GENREFLOW_DATA to the folder of real audio")
    return files


def peak_bytes() -> int:
    """Return the peak of this process's resident memory.

    resource.getrusage would return at least the peak of the process that started this one.
    """
    lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
