"""`make image`: the engine that it starts, the image's name, and its error messages."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.support.image_recipe import GENERATIONS, ROOT

TOOLS = ("sh", "make", "git", "sed", "dirname", "cat")


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """Create a small committed repository with the Makefile, its script, and a source."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in (
        "Makefile",
        "setup.py",
        ".dockerignore",
        "scripts/image.sh",
        "kubeflow/Dockerfile",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for generation in GENERATIONS:
        (folder / "requirements" / generation).mkdir(parents=True)
    (folder / "components").mkdir()
    (folder / "components" / "a.py").write_text("A = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a")
    return folder


def git(folder: pathlib.Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> pathlib.Path:
    """Create a folder for PATH with the script's tools and no engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def make_image(
    checkout: pathlib.Path, programs: pathlib.Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "image", *variables],
            cwd=checkout,
            env={"PATH": str(programs), "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def engine(programs: pathlib.Path, name: str, *, works: bool = True, builds: bool = True) -> None:
    """Create a program that only writes down how its build is started."""
    script = programs / name
    script.write_text(
        f'#!/bin/sh\n[ "$1" = info ] && exit {int(not works)}\n'
        f'for word; do echo "$word"; done > "{programs}/{name}.asked"\nexit {int(not builds)}\n'
    )
    script.chmod(0o755)


def asked(programs: pathlib.Path, name: str) -> list[str]:
    return (programs / f"{name}.asked").read_text().splitlines()


def test_without_an_engine_it_says_in_a_line_what_is_missing(
    make_image: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = make_image()
    assert done.returncode != 0
    first, *rest = done.stderr.splitlines()
    assert first == (
        "make image: no docker (23 or newer), podman or buildah on the PATH; install one of them"
    )
    assert all(line.startswith("make: ") for line in rest)  # make's own "Error 2"
    assert done.stdout == ""


def test_a_docker_whose_daemon_does_not_answer_is_named(
    make_image: Callable[..., subprocess.CompletedProcess[str]], programs: pathlib.Path
) -> None:
    engine(programs, "docker", works=False)
    done = make_image()
    assert done.returncode != 0
    assert done.stderr.startswith("make image: found docker, but its `info` command fails")


def test_the_first_engine_that_works_builds_under_a_name_of_version_and_revision(
    make_image: Callable[..., subprocess.CompletedProcess[str]],
    programs: pathlib.Path,
    checkout: pathlib.Path,
) -> None:
    engine(programs, "docker", works=False)
    engine(programs, "podman")
    engine(programs, "buildah")
    done = make_image()
    assert (done.returncode, done.stderr) == (0, "")
    assert not (programs / "buildah.asked").exists()
    (version,) = re.findall(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    name = f"genreflow:{version}-{git(checkout, 'rev-parse', '--short', 'HEAD')}"
    assert asked(programs, "podman") == [
        "build", "--platform", "linux/amd64", "--file", "kubeflow/Dockerfile", "--tag", name,
        "--build-arg", "GENERATION=1.21", "--build-arg", "DEVICE=cpu",
        "--build-arg", f"VERSION={version}",
        "--build-arg", f"REVISION={git(checkout, 'rev-parse', 'HEAD')}", ".",
    ]  # fmt: skip
    assert f"Built {name} (TFX 1.21, cpu" in done.stdout
    assert f"podman tag {name} registry.example.org/{name}" in done.stdout
    assert f"podman push registry.example.org/{name}" in done.stdout
    assert f"genreflow kubeflow compile --image registry.example.org/{name}" in done.stdout


def test_a_checkout_that_differs_from_its_revision_gets_no_name_of_that_revision(
    make_image: Callable[..., subprocess.CompletedProcess[str]],
    programs: pathlib.Path,
    checkout: pathlib.Path,
) -> None:
    engine(programs, "docker")
    (checkout / "notes.txt").write_text("not in the image\n")
    make_image()
    assert "-dirty" not in "".join(asked(programs, "docker"))
    (checkout / "components" / "b.py").write_text("B = 1\n")
    done = make_image("DEVICE=cuda")
    words = asked(programs, "docker")
    assert words[words.index("--tag") + 1].endswith("-dirty-cuda")
    assert "DEVICE=cuda" in words
    assert f"REVISION={git(checkout, 'rev-parse', 'HEAD')}-dirty" in words
    assert "marked as dirty" in done.stderr


def test_another_generation_gets_a_name_of_its_own(
    make_image: Callable[..., subprocess.CompletedProcess[str]], programs: pathlib.Path
) -> None:
    engine(programs, "docker")
    for device, end in (("cpu", "-tfx1.16"), ("cuda", "-tfx1.16-cuda")):
        done = make_image("GENERATION=1.16", f"DEVICE={device}")
        words = asked(programs, "docker")
        assert words[words.index("--tag") + 1].endswith(end)
        assert {"GENERATION=1.16", f"DEVICE={device}"} <= set(words)
        assert f"(TFX 1.16, {device}" in done.stdout


def test_a_name_and_further_arguments_are_passed_on(
    make_image: Callable[..., subprocess.CompletedProcess[str]], programs: pathlib.Path
) -> None:
    engine(programs, "docker")
    done = make_image("IMAGE=registry.example.org/x:1", "ARGS=--build-arg INDEX_URL=http://i/s")
    words = asked(programs, "docker")
    assert words[words.index("--tag") + 1] == "registry.example.org/x:1"
    assert words[-3:] == ["--build-arg", "INDEX_URL=http://i/s", "."]
    assert "docker tag" not in done.stdout
    assert "docker push registry.example.org/x:1" in done.stdout


@pytest.mark.parametrize("generation", ["1.17", "3.10", "tfx", "1.16 1.21", "../1.21"])
def test_another_generation_is_told_of(
    make_image: Callable[..., subprocess.CompletedProcess[str]],
    programs: pathlib.Path,
    generation: str,
) -> None:
    engine(programs, "docker")
    done = make_image(f"GENERATION={generation}")
    assert done.returncode != 0
    message = f"make image: GENERATION={generation}: it must be one of 1.16 1.21"
    assert done.stderr.splitlines()[0] == message
    assert not (programs / "docker.asked").exists()


def test_another_device_and_a_failed_build_are_told_of(
    make_image: Callable[..., subprocess.CompletedProcess[str]], programs: pathlib.Path
) -> None:
    engine(programs, "docker", builds=False)
    wrong = make_image("DEVICE=tpu")
    assert wrong.returncode != 0
    assert wrong.stderr.startswith("make image: DEVICE=tpu: it must be cpu or cuda")
    assert not (programs / "docker.asked").exists()
    failed = make_image()
    assert failed.returncode != 0
    assert "docker could not build genreflow:" in failed.stderr
    assert "Built" not in failed.stdout
