"""Tests of running nodes one after the other: memory between them."""

from __future__ import annotations

import pathlib
import types
from typing import Any

import pytest

from components.common import resources
from components.storage.copies import Copies


@pytest.mark.parametrize(("growth_mib", "released"), [(200, 2), (10, 0)])
def test_memory_is_released_after_nodes_that_leave_much(
    growth_mib: int, released: int, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    from pipeline.process import node_runner

    resident, releases = [1 << 30], []

    def run_node(*_: Any) -> str:
        resident[0] += growth_mib << 20
        return "done"

    monkeypatch.setattr(node_runner, "run_node", run_node)
    monkeypatch.setattr(
        node_runner.runtime_parameter_utils, "substitute_runtime_parameter", lambda *_: None
    )
    monkeypatch.setattr(node_runner.runner_utils, "extract_local_deployment_config", lambda _: None)
    monkeypatch.setattr(resources, "resident_bytes", lambda: resident[0])
    monkeypatch.setattr(resources, "release_memory", lambda: releases.append(resident[0]))

    def node(name: str) -> types.SimpleNamespace:
        info = types.SimpleNamespace(id=name)
        return types.SimpleNamespace(pipeline_node=types.SimpleNamespace(node_info=info))

    events = []
    node_runner.run_all(
        types.SimpleNamespace(nodes=[node("A"), node("B")]),
        None,
        "run-1",
        lambda event, **values: events.append((event, values["node"])),
        Copies(tmp_path),
    )
    assert events == [
        ("node_started", "A"), ("node_finished", "A"),
        ("node_started", "B"), ("node_finished", "B"),
    ]  # fmt: skip
    assert len(releases) == released
