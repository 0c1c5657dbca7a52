"""Memory of the test processes: it is freed between tests, and peaks are reported.

Every run ends with the peak of its largest process. With GENREFLOW_TEST_MEMORY=FILE in the
environment, each process also appends a line of JSON to FILE after each test file, so that the
files that need or leave most can be found.
"""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Generator, MutableMapping
from typing import Any

import pytest

from components.common import resources

REPORT_VARIABLE = "GENREFLOW_TEST_MEMORY"
# Growth during a file, and by a file, after which memory is freed. That takes a second in a process
# that has imported TFX, so it is not done after every test.
MAX_TEST_GROWTH_BYTES = 200_000_000
MAX_FILE_GROWTH_BYTES = 50_000_000
_OUTPUT_KEY = "genreflow_peak_bytes"


class MemoryMonitor:
    """Frees memory between tests, records it, and collects the peaks of xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.peak_bytes = 0
        self.path = os.environ.get(REPORT_VARIABLE)
        self._test_floor_bytes, _ = memory_bytes()
        self._file_floor_bytes = self._test_floor_bytes
        self._processor_seconds = time.process_time()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        result = yield
        resident, peak = memory_bytes()
        self.peak_bytes = max(self.peak_bytes, peak)
        if nextitem is None or nextitem.path != item.path:
            self.end_file(item.nodeid.partition("::")[0], resident)
        elif resident > self._test_floor_bytes + MAX_TEST_GROWTH_BYTES:
            self._test_floor_bytes = free()
        return result

    def end_file(self, name: str, resident: int) -> None:
        """Free the memory that a test file left, and report it if a report is wanted."""
        if resident > self._file_floor_bytes + MAX_FILE_GROWTH_BYTES:
            resident = free()
        self._test_floor_bytes = self._file_floor_bytes = resident
        if self.path:
            _, peak = memory_bytes()
            now = time.process_time()
            line = {
                "worker": os.environ.get("PYTEST_XDIST_WORKER", "main"),
                "file": name,
                "peak_mb": peak >> 20,
                "resident_mb": resident >> 20,
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


def free() -> int:
    """Release memory as a run does between its nodes, and return what remains resident."""
    resources.release_memory()
    resident, _ = memory_bytes()
    return resident


def memory_bytes() -> tuple[int, int]:
    """Return this process's resident memory and its peak since the last reset, in bytes."""
    fields = dict(
        line.split(":", 1)
        for line in pathlib.Path("/proc/self/status").read_text("ascii").splitlines()
    )
    resident, peak = (int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    return resident, peak


def reset_peak() -> None:
    """Restart the kernel's record of this process's peak."""
    pathlib.Path("/proc/self/clear_refs").write_text("5", "ascii")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(MemoryMonitor(config), "genreflow-memory")
