"""What all tests share. Loads before any test module, so the environment is set here."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import NoReturn

# Before anything imports TensorFlow: quiet, on the processor, without rounding that
# depends on how it was compiled.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("MPLBACKEND", "Agg")
# A test that wants a setting from the environment sets it itself.
os.environ.pop("GENREFLOW_EVENT_FILE", None)

import hypothesis
import pytest

# Before any module of it is imported: its assertions explain themselves as those of tests do.
pytest.register_assert_rewrite("tests.support")

from tests.support import ROOT  # noqa: E402

# The same examples every time; and no deadline, as machines differ.
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
        "kubeflow_api", "kubeflow_compiled", "mariadb_server", "memory", "s3_server",
        "scripted_serving", "serving_server", "serving_toys", "tls_files",
    )
]  # fmt: skip

DATA_VARIABLE = "GENREFLOW_DATA"
# Programs for tests that are no Debian packages; scripts/ci_packages.sh puts them there.
TOOLS = ROOT / ".tools"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines first: where several processes test, none then ends long after the others."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(scope="session", autouse=True)
def _no_arguments() -> None:
    """TFX's Beam executors parse sys.argv, and take pytest's -v for a flag of their own."""
    del sys.argv[1:]


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real audio that GENREFLOW_DATA names; the test is skipped without it."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        pytest.skip(f"needs real audio: set {DATA_VARIABLE} to its folder")
    folder = pathlib.Path(value).resolve()
    # Set, but wrong: a skip would hide that nothing real was tested.
    assert folder.is_dir(), f"{DATA_VARIABLE} = {value} is not a folder"
    return folder


@pytest.fixture(scope="session")
def requires_program() -> Callable[[str, str], str]:
    """`requires_program(program, package)`: the program's path.

    It is looked for on PATH and in .tools/bin. Where it is missing the test is skipped,
    naming the Debian package that has it (or, for one with a slash in its name, what
    scripts/ci_packages.sh builds); in continuous integration, which installs them, it fails.
    """
    return find_program


def find_program(program: str, package: str) -> str:
    path = os.environ.get("PATH", os.defpath)
    # A server's program lies in /usr/sbin, which is not on everybody's PATH.
    found = shutil.which(program, path=os.pathsep.join([path, "/usr/sbin", str(TOOLS / "bin")]))
    if found is None:
        is_debian = "/" not in package
        raise_missing(
            f"{program}: apt install {package}" if is_debian else f"{program} ({package})"
        )
    return found


@pytest.fixture(scope="session")
def requires_npm_packages() -> Callable[..., pathlib.Path]:
    """`requires_npm_packages(*names)`: the node_modules of .tools/node; as requires_program."""
    return find_npm_packages


def find_npm_packages(*names: str) -> pathlib.Path:
    modules = TOOLS / "node" / "node_modules"
    missing = [name for name in names if not (modules / name / "package.json").is_file()]
    if missing:
        raise_missing(f"the npm packages {', '.join(missing)}")
    return modules


def raise_missing(what: str) -> NoReturn:
    """Skips the test, or fails it where everything should be installed."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs {what}; scripts/ci_packages.sh should have installed it")
    pytest.skip(f"needs {what} (scripts/ci_packages.sh installs all)")


@pytest.fixture
def faulty_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding processes that are started meanwhile, by whichever process, fail on files
    that are named after a fault; see tests/support/faulty_decoder."""
    folder = pathlib.Path(__file__).with_name("support") / "faulty_decoder"
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
