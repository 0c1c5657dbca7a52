"""Deferred packages: their own code runs only when a name is needed."""

from __future__ import annotations

import gc
import pathlib
import re
import subprocess
import sys

import pytest

from pipeline.process import libraries
from tests.support import ROOT

PROGRAM = """
import sys
from pipeline.process import libraries
libraries.defer("outer.inner")
assert "outer" in sys.modules and "heavy" not in sys.modules
from outer.inner.constants import ONE
import outer
assert ONE == 1 and outer.inner.constants.ONE == 1
assert "heavy" not in sys.modules
assert not hasattr(outer.inner, "__wrapped__")
assert "heavy" not in sys.modules
{ask}
assert "heavy" in sys.modules
import outer.inner
assert outer.inner.GATHERED == "all" and outer.inner.constants.ONE == 1
libraries.defer("outer.inner")
assert outer.inner.GATHERED == "all"
"""


@pytest.fixture
def packages(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the folder of outer.inner; its __init__ imports `heavy`, which imports a submodule."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text("")
    (inner / "__init__.py").write_text("import heavy\nGATHERED = 'all'\n")
    (inner / "constants.py").write_text("ONE = 1\n")
    (tmp_path / "heavy.py").write_text("from outer.inner import constants\n")
    return tmp_path


@pytest.mark.parametrize(
    "ask",
    ["from outer.inner import GATHERED", "assert outer.inner.GATHERED == 'all'"],
)
def test_a_deferred_package_runs_when_it_is_asked_for_a_name(
    packages: pathlib.Path, ask: str
) -> None:
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(ask=ask)],
        env={"PYTHONPATH": f"{root}:{packages}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_missing_is_told() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"json\.nowhere"):
        libraries.defer("json.nowhere")


def test_parts_of_tfx_do_not_import_all_of_its_components() -> None:
    code = (
        "import sys; from pipeline.process import libraries\n"
        "with libraries.tfx_imports(): import tfx.components\n"
        "assert 'tfx.components.trainer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=True)
    asked = re.compile(r"^\s*from tfx\.components import", re.MULTILINE)
    sources = [*(ROOT / "components").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py"),
               *(ROOT / "kubeflow").rglob("*.py")]  # fmt: skip
    assert sources
    assert not [path for path in sources if asked.search(path.read_text(encoding="utf-8"))]


def test_garbage_is_collected_again_after_the_imports() -> None:
    assert gc.isenabled()
    with libraries.quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failed_import_leaves_it_on() -> None:
    with pytest.raises(ImportError), libraries.quick_imports():
        import no_such_module  # noqa: F401
    assert gc.isenabled()


NAMED = """
from pipeline.process import libraries
def name(module):
    module.NAMED = module.GATHERED + " and named"
{before}
libraries.defer("outer.inner", then=name)
import outer.inner
assert ("NAMED" in vars(outer.inner)) == {at_once}
assert outer.inner.NAMED == "all and named"
"""


@pytest.mark.parametrize(("before", "at_once"), [("", False), ("import outer.inner", True)])
def test_names_are_added_once_the_package_has_run(
    packages: pathlib.Path, before: str, at_once: bool
) -> None:
    code = NAMED.format(before=before, at_once=at_once)
    environment = {"PYTHONPATH": f"{ROOT}:{packages}"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)


def test_tfx_finds_the_names_of_its_evaluators_configuration() -> None:
    code = (
        "from pipeline.process import libraries\n"
        "with libraries.tfx_imports():\n"
        "    from tfx.components.evaluator.component import Evaluator, executor\n"
        "config = executor.tfma.EvalConfig(metrics_specs=[executor.tfma.MetricsSpec()])\n"
        "assert len(config.metrics_specs) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=True)
