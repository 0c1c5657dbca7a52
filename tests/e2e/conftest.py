"""Whole pipelines on tiny data. One process imports TFX once and runs them all."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config.load import load, shipped_config, with_data_dir
from pipeline.graph.inputs import DataFacts
from pipeline.local import worker
from pipeline.work_dir import WorkDir

RunPipeline = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """16 synthetic tracks of 3 s in FMA's layout."""
    from components.synthesis import write_corpus

    directory = tmp_path_factory.mktemp("fma") / "corpus"
    write_corpus(str(directory), tracks=16, track_seconds=3.0, workers=1)
    return directory


@pytest.fixture(scope="session")
def run_pipeline() -> RunPipeline:
    """Runs a configuration in this process, as the worker does; returns results.json."""
    counter = iter(range(10_000))

    def run(
        work_dir: pathlib.Path,
        data_dir: pathlib.Path,
        *overrides: str,
        config: str = "fma_small",
        genres: tuple[str, ...] = (),
        networks: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """`networks`: of those of the configuration; all by default."""
        from components.datasets.corpus import load_corpus

        settings = with_data_dir(load(shipped_config(config), overrides), str(data_dir))
        if networks:
            models = {name: settings.models[name] for name in networks}
            settings = dataclasses.replace(settings, models=models)
        work = WorkDir.at(work_dir)
        work.create()
        facts = DataFacts.of(load_corpus(settings.dataset, settings.split))
        if genres:
            facts = dataclasses.replace(facts, genres=genres)
        outcome = worker.run(
            worker.Request(
                work_dir=str(work.root),
                run_id=f"run-{next(counter):04d}",
                config=settings.to_json(),
                facts=facts.to_json(),
            )
        )
        assert json.loads((work.root / "results.json").read_text()) == outcome
        return outcome

    return run
