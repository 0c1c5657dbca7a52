"""HTML pages of nodes, which Kubeflow's own interface shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.artifacts import files as artifact_files
from components.artifacts import typed_json
from components.artifacts.names import (
    DECISION_JSON,
    REPORT_HTML,
    SERVING_CHECK_JSON,
)
from components.common.escape import printable
from components.gate.outcome import RecordedDecision
from components.predictions.selection import read_selection
from components.serving_check.outcome import ServingCheckResult
from pipeline.graph import nodes

# Rendered with autoescape, because names of genres and models are outside text.
_TEMPLATE = """<!doctype html>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 14px sans-serif; margin: 1.5em; }
td, th { padding: 2px 12px 2px 0; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
<h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}<table>
<tr>{% for name in header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
"""


def write(node_id: str, outputs: Mapping[str, Any], path: str) -> None:
    """Write a node's page to a local path.

    Args:
      node_id: a node for which has_page() is true.
      outputs: the node's output artifacts by key, from RunRecord.outputs.
      path: path from which Kubeflow's launcher uploads the page.
    """
    html = _PAGES[node_id](outputs)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    artifact_files.write_text(path, html)


def write_text(path: str, title: str, lines: Sequence[str]) -> None:
    """Write a page with a title and some lines."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    artifact_files.write_text(path, _table(title, [], [], *map(printable, lines)))


def has_page(node_id: str) -> bool:
    """Return whether a node has a page."""
    return node_id in _PAGES


def _report(outputs: Mapping[str, Any]) -> str:
    return artifact_files.read_text(os.path.join(outputs["report"].uri, REPORT_HTML))


def _decision(outputs: Mapping[str, Any]) -> str:
    decision = typed_json.read(RecordedDecision, outputs["blessing"].uri, DECISION_JSON)
    return _table(
        f"{decision.candidate}: {'blessed' if decision.blessed else 'not blessed'}",
        ["rule", "outcome", "why"],
        [[rule.id, rule.outcome, rule.text] for rule in decision.rules],
    )


def _selection(outputs: Mapping[str, Any]) -> str:
    selection = read_selection(outputs["predictions"].uri)
    accuracy = selection.validation_track_accuracy
    rows = [
        [name, selection.kinds[name], f"{accuracy[name]:.1%}"]
        for name in sorted(accuracy, key=lambda name: (-accuracy[name], name))
    ]
    return _table(
        f"Candidate: {selection.candidate}",
        ["model", "kind", "validation track accuracy"],
        rows,
        "Chosen on the validation split; the gate measures it on the test split.",
    )


def _served(outputs: Mapping[str, Any]) -> str:
    result = typed_json.read(ServingCheckResult, outputs["infra_blessing"].uri, SERVING_CHECK_JSON)
    return _table(
        f"On a server: {result.outcome}",
        ["signature", "requests", "outcome", "result"],
        [
            [check.signature, str(check.requests), check.outcome, check.text]
            for check in result.checks
        ],
        printable(result.text),
    )


def _table(title: str, header: list[str], rows: list[list[str]], *lines: str) -> str:
    import jinja2

    template = jinja2.Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(
        title=printable(title),
        header=header,
        rows=[[printable(str(cell)) for cell in row] for row in rows],
        lines=lines,
    )


_PAGES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    nodes.ENSEMBLER: _selection,
    nodes.GENRE_GATE: _decision,
    nodes.REPORT: _report,
    nodes.SERVING_CHECK: _served,
}
