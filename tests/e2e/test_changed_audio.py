"""Runs in one work folder with other audio parameters each: the gate compares what serves."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RunPipeline = Callable[..., dict[str, Any]]

QUICK = (
    "training.epochs=1",
    "baselines.models=[]",
    "serving.check=false",
    "gate.floor=0.0",
    "gate.beats_baseline=false",
    "gate.holds_ensemble=false",
    "gate.recall_floor=0.0",
    "gate.serving_tolerance=1.0",
)


def _serving_rule(results: dict[str, Any]) -> dict[str, Any]:
    (rule,) = [rule for rule in results["gate"]["rules"] if rule["id"] == "holds_serving"]
    return dict(rule)


def test_a_model_with_another_clip_length_and_then_another_front_end_takes_over(
    corpus: pathlib.Path, run_pipeline: RunPipeline, tmp_path: pathlib.Path
) -> None:
    work = tmp_path / "w"
    windows = work / "cache" / "windows"

    def run(*overrides: str) -> dict[str, Any]:
        return run_pipeline(work, corpus, *QUICK, *overrides, networks=("ffnn",))

    first = run()
    assert _serving_rule(first)["text"] == "no model serves yet"
    tested = first["counts"]["tracks"]["test"]

    second = run("audio.clip_seconds=1.5")
    rule = _serving_rule(second)
    assert rule["outcome"] == "pass"
    assert rule["value"] is not None
    assert f"of {tested} test tracks" in rule["text"]
    assert "heard the same seconds of each song in clips of 2 s at 22050 Hz" in rule["text"]
    assert second["pushed_version"] not in (None, first["pushed_version"])
    kept = sorted(windows.rglob("*.npz"))
    assert len(kept) == tested

    refused = run("audio.clip_seconds=1.5", "gate.floor=1.0", "training.seed=5")
    assert refused["pushed_version"] is None

    third = run('audio.front_end="musicnn"')
    assert "in clips of 1.5 s at 22050 Hz" in _serving_rule(third)["text"]
    assert third["pushed_version"] not in (None, second["pushed_version"])
    assert len(list(windows.rglob("*.npz"))) == 2 * tested
    versions = sorted(path.name for path in (work / "serving_models" / "genreflow").iterdir())
    assert versions == [one["pushed_version"] for one in (first, second, third)]
