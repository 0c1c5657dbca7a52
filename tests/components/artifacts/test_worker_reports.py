"""Reports of workers, on a disk and in an object store."""

from __future__ import annotations

import pathlib

import pytest

from components.artifacts import worker_reports
from components.artifacts.worker_reports import WorkerReport, read_reports


def test_the_sum_of_the_reports_is_what_is_done(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "reports")
    assert read_reports(folder) == {}
    first, second = WorkerReport(folder, "train-0"), WorkerReport(folder, "train-1")
    assert read_reports(folder) == {"train-0": 0, "train-1": 0}
    for report, count in ((first, 3), (second, 5)):
        report.add(count)
        report.write()
    assert read_reports(folder) == {"train-0": 3, "train-1": 5}


def test_counting_writes_only_every_few_seconds(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, now = str(tmp_path), 100.0
    monkeypatch.setattr(worker_reports.time, "monotonic", lambda: now)
    report = WorkerReport(folder, "a")
    report.add(7)
    assert read_reports(folder) == {"a": 0}
    now += worker_reports.seconds_between(folder)
    report.add()
    assert read_reports(folder) == {"a": 8}


def test_a_second_attempt_starts_its_report_again(tmp_path: pathlib.Path) -> None:
    report = WorkerReport(str(tmp_path), "a")
    report.add(4)
    report.write()
    WorkerReport(str(tmp_path), "a")
    assert read_reports(str(tmp_path)) == {"a": 0}


def test_a_file_that_is_being_written_is_no_report(tmp_path: pathlib.Path) -> None:
    WorkerReport(str(tmp_path), "a")
    (tmp_path / ".b.0123456789abcdef.tmp").write_text("..")
    assert read_reports(str(tmp_path)) == {"a": 0}


def test_reports_in_an_object_store(bucket: str) -> None:
    folder = f"s3://{bucket}/run/reports"
    assert read_reports(folder) == {}
    report = WorkerReport(folder, "train-0")
    WorkerReport(f"{folder}-of-another", "train-1")
    assert read_reports(folder) == {"train-0": 0}
    report.add(2)
    report.write()
    assert read_reports(folder) == {"train-0": 2}
