"""Memory of the test processes, by test file.

Every run ends with the largest process's peak. With the environment variable
GENREFLOW_TEST_MEMORY=FILE each test process also appends a line of JSON to FILE after every test
file, so that the file that adds most can be found.
"""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Generator, MutableMapping
from typing import Any

import pytest

REPORT_VARIABLE = "GENREFLOW_TEST_MEMORY"
_OUTPUT_KEY = "genreflow_peak_bytes"


class MemoryMonitor:
    """Records the memory of this process, and collects the peaks of xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.peak_bytes = 0
        self.path = os.environ.get(REPORT_VARIABLE)
        self._processor_seconds = time.process_time()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        result = yield
        if nextitem is None or nextitem.path != item.path:
            self.end_file(item.nodeid.partition("::")[0])
        return result

    def end_file(self, name: str) -> None:
        """Record one test file that this process has finished."""
        resident, peak = memory_bytes()
        self.peak_bytes = max(self.peak_bytes, peak)
        if self.path:
            now = time.process_time()
            line = {
                "worker": os.environ.get("PYTEST_XDIST_WORKER", "main"),
                "file": name,
                "resident_mb": resident >> 20,
                "peak_mb": peak >> 20,
                "processor_seconds": round(now - self._processor_seconds, 1),
            }
            self._processor_seconds = now
            with open(self.path, "a", encoding="utf-8") as report:
                report.write(json.dumps(line) + "\n")
            reset_peak()

    def pytest_sessionfinish(self) -> None:
        output: MutableMapping[str, Any] | None = getattr(self.config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT_KEY] = self.peak_bytes

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", None) or {}
        self.peak_bytes = max(self.peak_bytes, output.get(_OUTPUT_KEY, 0))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.peak_bytes:
            terminalreporter.write_line(
                f"peak memory of a test process: {self.peak_bytes / 1e9:.1f} GB"
            )


def memory_bytes() -> tuple[int, int]:
    """Return the resident memory of this process and its peak since the last reset, in bytes."""
    fields = dict(
        line.split(":", 1)
        for line in pathlib.Path("/proc/self/status").read_text("ascii").splitlines()
    )
    resident, peak = (int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    return resident, peak


def reset_peak() -> None:
    """Let the kernel count the peak of this process anew."""
    pathlib.Path("/proc/self/clear_refs").write_text("5", "ascii")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(MemoryMonitor(config), "genreflow-memory")
