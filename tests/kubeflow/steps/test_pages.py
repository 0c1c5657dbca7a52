"""Pages of steps in Kubeflow's interface."""

from __future__ import annotations

import json
import pathlib
import types
from typing import Any

import pytest

from kubeflow.steps import pages


def artifact(folder: pathlib.Path, name: str, content: Any) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return types.SimpleNamespace(uri=str(folder))


HOSTILE = "<script>alert(1)</script>"


def test_the_gates_page_tells_each_rule(tmp_path: pathlib.Path) -> None:
    rule = {
        "id": "absolute_floor",
        "outcome": "fail",
        "value": 0.1,
        "interval": None,
        "text": f"{HOSTILE} is too low",
    }
    decision = {
        "candidate": "vgg16",
        "candidate_digest": "",
        "test_digest": "",
        "blessed": False,
        "rules": [rule],
    }
    found = artifact(tmp_path / "b", "decision.json", decision)
    pages.write("GenreGate", {"blessing": found}, str(tmp_path / "deep" / "page.html"))
    html = (tmp_path / "deep" / "page.html").read_text()
    assert "vgg16: not blessed" in html
    assert "absolute_floor" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_ensemblers_page_ranks_models_by_validation(tmp_path: pathlib.Path) -> None:
    models = ("crnn", "svm", "ffnn")
    selection = {
        "pretrained": {},
        "candidate": "crnn",
        "candidate_digest": "",
        "best_baseline": "svm",
        "parameters": dict.fromkeys(models),
        "train_seconds": dict.fromkeys(models),
        "members": {},
        "weights": {},
        "genres": ["Folk", "Pop"],
        "audio_hash": "",
        "kinds": {"crnn": "network", "svm": "baseline", "ffnn": "network"},
        "validation_track_accuracy": {"ffnn": 0.25, "svm": 0.5, "crnn": 0.75},
    }
    found = artifact(tmp_path / "p", "selection.json", selection)
    pages.write("Ensembler", {"predictions": found}, str(tmp_path / "page.html"))
    html = (tmp_path / "page.html").read_text()
    assert html.index("75.0%") < html.index("50.0%") < html.index("25.0%")
    assert "Candidate: crnn" in html


@pytest.mark.parametrize("engine", ["genreflow", None])
def test_the_servers_page_tells_each_signature(tmp_path: pathlib.Path, engine: str | None) -> None:
    check = {
        "signature": "serving_wav",
        "requests": 3,
        "largest_difference": 0.5,
        "outcome": "failed",
        "text": "too far off",
    }
    outcome = {
        "blessed": False,
        "outcome": "failed",
        "engine": engine,
        "text": "serving_wav: too far off",
        "checks": [check] if engine else [],
    }
    found = artifact(tmp_path / "i", "serving_check.json", outcome)
    pages.write("ServingCheck", {"infra_blessing": found}, str(tmp_path / "page.html"))
    html = (tmp_path / "page.html").read_text()
    assert "On a server: failed" in html
    assert ("<td>serving_wav</td>" in html) == (engine is not None)


def test_the_reports_page_is_the_report(tmp_path: pathlib.Path) -> None:
    (tmp_path / "index.html").write_text("<p>the report</p>")
    report = types.SimpleNamespace(uri=str(tmp_path))
    pages.write("Report", {"report": report}, str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").read_text() == "<p>the report</p>"


def test_other_nodes_have_none() -> None:
    assert not pages.has_page("StatisticsGen")
    assert pages.has_page("GenreGate")
