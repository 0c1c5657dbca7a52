"""The image's installation, line by line as in the Dockerfile, in a clean environment."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.image_recipe import (
    HOME,
    INSTALLED_GENERATION,
    ROOT,
    SITE_PACKAGES,
    build_context,
    copy_stage,
    stage,
)

# Messages of pip and uv when they cannot reach the index.
UNREACHABLE = re.compile(
    "error sending request|Failed to fetch|NewConnectionError|Could not connect|dns error"
    "|Name or service not known|No matching distribution found for uv"
)


def installations(name: str) -> list[str]:
    """Return a stage's RUN lines that install packages or the project and need no root."""
    lines = stage(name).texts("RUN")
    found = [line for line in lines if re.search(r"\b(pip|uv)\b", line)]
    assert all(re.search(r"\b(apt-get|useradd)\b", line) for line in lines if line not in found)
    return found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """Install the image's /opt/genreflow into a folder, and yield it.

    Beside it, base/ stands for the base image's Python.
    """
    home = tmp_path_factory.mktemp("image") / "genreflow"
    home.mkdir()
    base = home.parent / "base"
    # With pip but without ensurepip, which a Debian has in a package of its own.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", base], check=True)
    (packages,) = (base / "lib").glob("python3.*/site-packages")
    for folder in {file.parts[0] for file in importlib.metadata.files("pip") or ()} - {".."}:
        source = importlib.metadata.distribution("pip").locate_file(folder)
        shutil.copytree(str(source), packages / folder)
    path = f"{base / 'bin'}:{os.environ['PATH']}"
    context = build_context(ROOT)
    for name, count in (("packages", 2), ("runtime", 1)):
        copy_stage(stage(name), context, home)
        assert len(installations(name)) == count
        variables = {
            **os.environ,
            "PATH": path,
            **stage(name).environment(PATH=path),
            "HOME": os.environ["HOME"],
            "GENERATION": INSTALLED_GENERATION,
            "DEVICE": "cpu",
            # Hard links save writing gigabytes if the cache is on the same disk.
            "UV_LINK_MODE": "hardlink",
        }
        for line in installations(name):
            run_line(line.replace("/usr/local", str(base)), home, variables)
    yield home
    # pytest would keep these gigabytes for three sessions.
    shutil.rmtree(home / ".venv")


def run_line(line: str, home: pathlib.Path, variables: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", line.replace(HOME, str(home))],
        cwd=home,
        env={name: value.replace(HOME, str(home)) for name, value in variables.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and UNREACHABLE.search(done.stderr) and os.environ.get("CI") != "true":
        pytest.skip(f"needs a package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def run(image: pathlib.Path, *command: str) -> str:
    """Return the output of a program of the image's environment, in another folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{image / '.venv' / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=image.parent,
        env={**environment, "PATH": path},
        executable=image / ".venv" / "bin" / command[0],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_dockerfiles_lines_install_what_a_step_needs(
    requires_program: Callable[[str, str], str], request: pytest.FixtureRequest
) -> None:
    requires_program("g++", "g++")
    image: pathlib.Path = request.getfixturevalue("image")
    assert "usage: kubeflow.steps.run_node" in run(
        image, "python", "-m", "kubeflow.steps.run_node", "--help"
    )
    (version,) = re.findall(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    shown = run(image, "genreflow", "--version")
    assert shown.startswith(f"genreflow {version} (TFX {INSTALLED_GENERATION}.")
    code = (
        "import importlib.util as u, sys, soundfile, xgboost\n"
        "import librosa, numba, numpy.testing, pandas.testing, scipy.stats, sklearn.ensemble\n"
        "import kubeflow.steps.run_node\n"
        "import tfx.orchestration.portable.launcher, components.spectrogram_gen.executor\n"
        "print(kubeflow.__path__[0], u.find_spec('pip'), u.find_spec('uv'))\n"
    )
    assert run(image, "python", "-c", code) == f"{image / 'kubeflow'} None None\n"


@pytest.mark.slow
def test_the_installation_is_lean_and_compiled(image: pathlib.Path) -> None:
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = image / ".venv" / "lib" / python / "site-packages"
    assert packages.samefile(image / SITE_PACKAGES)
    assert not (packages / "tensorflow" / "include").exists()
    assert not (packages / "clang").exists()
    for package in ("numba", "numpy", "pandas", "scipy", "sklearn"):
        assert (packages / package / "__init__.py").is_file()
        assert not list((packages / package).rglob("tests"))
    tag = sys.implementation.cache_tag
    for folder in (packages / "tensorflow", packages / "tfx", image / "kubeflow"):
        for source in folder.glob("*.py"):
            (compiled,) = (folder / "__pycache__").glob(f"{source.stem}.{tag}.pyc")
            # The flags of PEP 552: 0 would mean the source's time, which copies may not keep.
            expected = 3 if folder == image / "kubeflow" else 1
            assert compiled.read_bytes()[4] == expected, compiled
    assert not list((image.parent / "base").glob(f"lib/{python}/site-packages/pip"))
    assert not (image / "genreflow.egg-info").exists()
