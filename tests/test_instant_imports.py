"""Modules that `genreflow --help` may load stay light. Who may import whom: pyproject.toml."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT

HEAVY = (
    "apache_beam", "boto3", "botocore", "grpc", "keras", "librosa", "matplotlib", "numpy",
    "pandas", "pydantic", "rich", "scipy", "sklearn", "tensorflow", "tfx", "urllib3",
)  # fmt: skip
SETTINGS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "components").rglob("*settings.py"))
]
LIGHT = [
    "components.common.errors",
    "components.datasets.registry",
    "components.models.registry",
    "components.storage.uri",
    "genreflow.cli.app",
    "pipeline.config.load",
    "pipeline.config.schema",
    "pipeline.graph.nodes",
    *SETTINGS,
]


def test_the_settings_are_found() -> None:
    assert "components.datasets.settings" in SETTINGS
    assert "components.trainer.settings" in SETTINGS


def test_the_command_line_the_configuration_and_the_settings_load_nothing_heavy() -> None:
    program = (
        "import importlib, sys\n"
        f"for name in {LIGHT!r}:\n"
        "    importlib.import_module(name)\n"
        f"    print(*(f'{{name}}: {{heavy}}' for heavy in set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
