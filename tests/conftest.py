"""Environment, fixtures and plugins of all tests. It loads before any test module."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NoReturn

# For TensorFlow, before it is imported: no log output, CPU only, and the same rounding on every
# CPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("MPLBACKEND", "Agg")
# Tests that need this variable set it themselves.
os.environ.pop("GENREFLOW_EVENT_FILE", None)

import hypothesis
import pytest

# Before any of its modules is imported, so that their failed assertions show values, as in tests.
pytest.register_assert_rewrite("tests.support")

from pipeline.config.beam import NO_PACKAGES  # noqa: E402
from tests.support import ROOT  # noqa: E402

# The same examples in every run, and no deadline, as machines differ.
hypothesis.settings.register_profile(
    "genreflow",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("genreflow")

pytest_plugins = [
    f"tests.support.{name}"
    for name in (
        "beam_services", "browser", "kubeflow_api", "kubeflow_compiled", "kubernetes_api",
        "mariadb_server", "memory", "s3_server", "scripted_serving", "serving_server",
        "serving_toys", "tls_files",
    )
]  # fmt: skip

DATA_VARIABLE = "GENREFLOW_DATA"
# Programs for tests that are no Debian packages; scripts/ci_packages.sh puts them there.
TOOLS = ROOT / ".tools"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that need much memory first, then whole pipelines, which take the longest.

    A test process grows by what it imports and traces, so a peak is lowest at its begin. Starting
    with the longest tests, no process finishes long after the others.
    """
    first = ("memory", "e2e")
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in first])


@pytest.fixture(scope="session", autouse=True)
def _no_arguments() -> None:
    """Empty sys.argv, as TFX's Beam executors would parse pytest's options as their own."""
    del sys.argv[1:]


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give temporary files of the tests, and of what they start, a folder that pytest deletes.

    TFX packs itself into it for Beam's workers, unless Beam's flags say otherwise: 49 MB and some
    seconds each time, which no test wants.
    """
    folder = tmp_path_factory.mktemp("temporary", numbered=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield
    packed = list(folder.glob("*/build/tfx"))
    assert not packed, f"give Beam the flag {NO_PACKAGES}: TFX packed itself {len(packed)} times"


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Return the folder of real audio, GENREFLOW_DATA; skip the test if it is not set."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        pytest.skip(f"needs real audio: set {DATA_VARIABLE} to its folder")
    folder = pathlib.Path(value).resolve()
    # With a wrong value, a skip would hide that no real audio was tested.
    assert folder.is_dir(), f"{DATA_VARIABLE} = {value} is not a folder"
    return folder


@pytest.fixture(scope="session")
def requires_program() -> Callable[[str, str], str]:
    """Return a function that finds a program on PATH or in .tools/bin: `(program, package)`.

    If it is missing, the test is skipped with the name of its Debian package (a name with a slash:
    of what scripts/ci_packages.sh builds). In continuous integration the test fails.
    """
    return find_program


def find_program(program: str, package: str) -> str:
    path = os.environ.get("PATH", os.defpath)
    # Servers are in /usr/sbin, which is not on every user's PATH.
    found = shutil.which(program, path=os.pathsep.join([path, "/usr/sbin", str(TOOLS / "bin")]))
    if found is None:
        is_debian = "/" not in package
        raise_missing(
            f"{program}: apt install {package}" if is_debian else f"{program} ({package})"
        )
    return found


@pytest.fixture(scope="session")
def requires_npm_packages() -> Callable[..., pathlib.Path]:
    """Return a function that finds the node_modules with some npm packages: `(*names)`.

    If one is missing, the test is skipped or fails as with `requires_program`.
    """
    return find_npm_packages


def find_npm_packages(*names: str) -> pathlib.Path:
    modules = TOOLS / "node" / "node_modules"
    missing = [name for name in names if not (modules / name / "package.json").is_file()]
    if missing:
        raise_missing(f"the npm packages {', '.join(missing)}")
    return modules


@pytest.fixture(scope="session")
def requires_go_modules() -> Callable[[], pathlib.Path]:
    """Return a function that finds the folder with the modules of tests/conformance/go.

    It has go.mod, go.sum, and `modules` and `cache` for GOMODCACHE and GOCACHE. If it is missing,
    the test is skipped or fails as with `requires_program`.
    """
    return find_go_modules


def find_go_modules() -> pathlib.Path:
    folder = TOOLS / "go"
    if not (folder / "go.sum").is_file():
        raise_missing("the Go modules of tests/conformance/go")
    return folder


@pytest.fixture(scope="session")
def pyav() -> None:
    """Skip or fail the test, as `requires_program` does, if PyAV is not installed."""
    if importlib.util.find_spec("av") is None:
        raise_missing("the Python package av (the extra genreflow[av])")


def raise_missing(requirement: str) -> NoReturn:
    """Skip the test, or fail it in continuous integration, where everything is installed."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs {requirement}; scripts/ci_packages.sh should have installed it")
    pytest.skip(f"needs {requirement} (scripts/ci_packages.sh installs all)")


@pytest.fixture
def faulty_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make decoding processes that start from now on fail on files named after a fault.

    See tests/support/faulty_decoder.
    """
    folder = pathlib.Path(__file__).with_name("support") / "faulty_decoder"
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
