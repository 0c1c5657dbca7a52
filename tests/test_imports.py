"""Who may import whom, read from the sources; and what must stay quick to import."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

OURS = ("components", "configs", "kubeflow", "pipeline", "serving")
BEAM = ("apache_beam", "tfx", "tfx_bsl", "tensorflow_data_validation", "tensorflow_model_analysis")
TENSORFLOW = ("tensorflow", "keras", "tf_keras", "tensorflow_io")
IN_GRAPH_TWIN = "components.audio.spectrogram.mel_graph"


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for root in OURS
    for path in sorted((ROOT / root).rglob("*.py"))
    if "__pycache__" not in path.parts
}


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def is_cli(module: str) -> bool:
    """genreflow/cli/app.py, genreflow/cli/run.py, and whatever lies in a folder pipeline/cli/."""
    return is_within(module, "genreflow.cli.app") or module.startswith("pipeline.cli_")


class Import:
    """One imported name: `target` is a module, or a module and the name taken from it."""

    def __init__(self, target: str, line: int, *, top_level: bool) -> None:
        self.target, self.line, self.top_level = target, line, top_level


def imports_of(source: str, module: str = "m", *, is_package: bool = False) -> list[Import]:
    """Every import in a source text, those of functions and of TYPE_CHECKING included."""
    found: list[Import] = []

    def visit(node: ast.AST, top_level: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(a.name, node.lineno, top_level=top_level) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if is_package else module.rpartition(".")[0]
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                found.append(Import(f"{base}.{alias.name}", node.lineno, top_level=top_level))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            # Never executed, so no part of a cycle; but still a dependency.
            for child in node.body:
                visit(child, False)
            for child in node.orelse:
                visit(child, top_level)
            return
        inner = top_level and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(source), True)
    return found


IMPORTS = {
    module: imports_of(path.read_text("utf-8"), module, is_package=path.name == "__init__.py")
    for module, path in MODULES.items()
}


def offenders(modules: list[str], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{MODULES[module].relative_to(ROOT)}:{found.line} imports {found.target}"
        for module in modules
        for found in IMPORTS[module]
        if any(is_within(found.target, package) for package in forbidden)
    ]


def within(*packages: str) -> list[str]:
    return [m for m in MODULES if any(is_within(m, package) for package in packages)]


def test_the_walk_sees_imports_of_every_shape() -> None:
    source = """
import a.b, c as d
from e import f
from . import g
from ..h import i
def work():
    import j
    class K:
        from l import m
if TYPE_CHECKING:
    from n import o
"""
    found = {(i.target, i.top_level) for i in imports_of(source, "p.q.r")}
    assert found == {
        ("a.b", True), ("c", True), ("e.f", True), ("p.q.g", True), ("p.h.i", True),
        ("j", False), ("l.m", False), ("n.o", False),
    }  # fmt: skip
    assert [i.target for i in imports_of("from .x import y", "p.q", is_package=True)] == ["p.q.x.y"]
    assert len(MODULES) > 20


def test_audio_and_datasets_import_no_tfx_and_no_beam() -> None:
    assert offenders(within("components.audio", "components.datasets"), BEAM) == []


def test_storage_imports_nothing_of_ours_but_the_errors_and_nothing_heavy() -> None:
    """Whoever may import components may import it."""
    storage = within("components.storage")
    assert offenders(storage, (*BEAM, *TENSORFLOW)) == []
    allowed = ("components.storage", "components.common.errors")
    others = [
        f"{module}:{found.line} imports {found.target}"
        for module in storage
        for found in IMPORTS[module]
        if is_within(found.target, "components")
        and not any(is_within(found.target, package) for package in allowed)
    ]
    assert others == []
    at_top = [
        f"{module}:{found.line} imports {found.target}"
        for module in storage
        for found in IMPORTS[module]
        if found.top_level and found.target.split(".")[0] in ("boto3", "botocore", "urllib3")
    ]
    assert storage
    assert at_top == []


def test_audio_but_for_its_in_graph_twin_imports_no_tensorflow() -> None:
    audio = [module for module in within("components.audio") if module != IN_GRAPH_TWIN]
    assert offenders(audio, TENSORFLOW) == []
    assert offenders(audio, (IN_GRAPH_TWIN,)) == []


def test_components_import_nothing_that_is_built_on_them() -> None:
    assert offenders(within("components"), ("pipeline", "serving", "kubeflow")) == []


def test_serving_imports_only_the_audio_core_of_ours() -> None:
    others = ("pipeline", "kubeflow", "configs")
    assert offenders(within("serving"), others) == []
    rooms = {".".join(module.split(".")[:2]) for module in within("components")}
    others_of_components = rooms - {"components", "components.audio"}
    assert others_of_components
    assert offenders(within("serving"), tuple(others_of_components)) == []


def test_kubeflow_imports_nothing_of_serving() -> None:
    assert offenders(within("kubeflow"), ("serving",)) == []


def test_nothing_imports_the_cli() -> None:
    clis = [module for module in MODULES if is_cli(module)]
    others = [module for module in MODULES if not is_cli(module)]
    assert offenders(others, tuple(clis)) == []


def test_in_pipeline_only_the_cli_imports_serving_and_kubeflow_and_only_in_functions() -> None:
    rest = [module for module in within("pipeline") if not is_cli(module)]
    assert offenders(rest, ("serving", "kubeflow")) == []
    at_top = [
        f"{module}:{found.line} imports {found.target}"
        for module in MODULES
        if is_cli(module)
        for found in IMPORTS[module]
        if found.top_level and any(is_within(found.target, p) for p in ("serving", "kubeflow"))
    ]
    assert at_top == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {}
    for module, found in IMPORTS.items():
        graph[module] = set()
        for item in found:
            if not item.top_level:
                continue
            # `from package import name` is the module package.name, where there is one.
            target = item.target if item.target in MODULES else item.target.rpartition(".")[0]
            if target in MODULES and target != module:
                graph[module].add(target)
    assert find_cycle(graph) == []


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of some cycle, in order; empty where there is none."""
    done: set[str] = set()

    def walk(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph[node]):
            cycle = walk(target, [*trail, node])
            if cycle:
                return cycle
        done.add(node)
        return []

    for node in graph:
        cycle = walk(node, [])
        if cycle:
            return cycle
    return []


def test_cycles_are_found_where_there_are_some() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


KERAS_ALONE = [
    *within("components.models"),
    *(
        f"components.trainer.{name}"
        for name in ("training", "batches", "callbacks", "features", "checkpoints")
    ),
]


def test_networks_and_training_need_keras_on_any_backend_and_no_tensorflow() -> None:
    needed, new = set(), set(KERAS_ALONE)
    assert new <= MODULES.keys()
    while new:
        needed |= new
        targets = {found.target for module in new for found in IMPORTS[module]}
        ours = {name for target in targets for name in (target, target.rpartition(".")[0])}
        new = (ours & MODULES.keys()) - needed
    shell = ("tensorflow", "tf_keras", "tensorflow_io", *BEAM)
    assert offenders(sorted(needed), shell) == []


LIGHT = [
    "pipeline.config.schema",
    "pipeline.config.load",
    "components.models.registry",
    *(module for module in within("components") if module.endswith("settings")),
]


@pytest.mark.parametrize("module", LIGHT)
def test_the_listed_modules_exist(module: str) -> None:
    assert module in MODULES


def test_configuration_and_settings_load_nothing_heavy() -> None:
    heavy = [*TENSORFLOW, *BEAM, "pydantic", "librosa", "pandas", "sklearn", "scipy", "numpy"]
    program = (
        "import importlib, sys\n"
        f"for name in {LIGHT!r}: importlib.import_module(name)\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
