"""Command lines of the benchmarks."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT

NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
PROGRAM = f"""
import contextlib, io, runpy, sys
for name in {NAMES!r}:
    sys.argv = [name, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_module(f"benchmarks.{{name}}", run_name="__main__")
    usage = f"usage: python -m benchmarks.{{name}} "
    assert out.getvalue().startswith(usage), (name, out.getvalue()[:200])
print(sorted({{"tensorflow", "keras", "tfx", "apache_beam", "torch"}} & set(sys.modules)))
"""


def test_every_benchmark_prints_its_help_without_loading_anything_heavy() -> None:
    assert len(NAMES) > 20
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
