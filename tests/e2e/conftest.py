"""Fixtures that run whole pipelines on tiny data, in the test process, so that TFX loads once."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from pipeline.config.load import load, shipped_config, with_data_dir
from pipeline.graph.inputs import DataFacts
from pipeline.local import worker
from pipeline.results.json_schema import SCHEMA_FILE
from pipeline.work_dir import WorkDir

RunPipeline = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a folder of 16 synthetic tracks of 3 s in FMA's layout."""
    from components.synthesis import write_corpus

    directory = tmp_path_factory.mktemp("fma") / "corpus"
    write_corpus(str(directory), tracks=16, track_seconds=3.0, workers=1)
    return directory


@pytest.fixture(scope="session")
def run_pipeline() -> RunPipeline:
    """Return a function that runs a configuration as the worker does, and returns results.json."""
    counter = iter(range(10_000))

    def run(
        work_dir: pathlib.Path,
        data_dir: pathlib.Path,
        *overrides: str,
        config: str = "fma_small",
        genres: tuple[str, ...] = (),
        networks: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Run a configuration.

        Args:
          work_dir: the work folder.
          data_dir: the data folder.
          overrides: settings, as for --set.
          config: name of a shipped configuration.
          genres: to use instead of the data's.
          networks: a part of the configuration's networks; all by default.
        """
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
        results = worker.run(
            worker.Request(
                work_dir=str(work.root),
                run_id=f"run-{next(counter):04d}",
                config=settings.to_json(),
                facts=facts.to_json(),
            )
        )
        written: dict[str, Any] = json.loads((work.root / "results.json").read_text())
        assert written == results.to_json()
        schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
        jsonschema.validate(written, schema)
        return written

    return run
