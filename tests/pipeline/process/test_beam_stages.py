"""StatisticsGen and the Evaluator on portable runners, compared with one process."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.config.beam import IN_MEMORY, BeamSettings, stage_args
from pipeline.config.beam_runners import PortableSettings
from tests.support.serving_toys import GENRES, PARAMS, write_toy_model

pytestmark = pytest.mark.e2e

SPLITS = {"train": (30, 20), "validation": (12,), "test": (25, 15)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """Yield a folder with examples, their schema and a model, which isolated workers see."""
    from components.examples import schema
    from components.spectrogram_gen.shards import shard_path

    beside = tmp_path_factory.getbasetemp().parent
    with tempfile.TemporaryDirectory(prefix="genreflow-shared-", dir=beside) as made:
        folder = pathlib.Path(made)
        rng = np.random.default_rng(0)
        for split, shards in SPLITS.items():
            for index, records in enumerate(shards):
                path = shard_path(str(folder / "examples"), split, index, len(shards))
                _write_records(pathlib.Path(path), records, rng)
        (folder / "schema").mkdir()
        text = schema.tfmd_schema_text(GENRES, PARAMS)
        (folder / "schema" / "schema.pbtxt").write_text(text)
        write_toy_model(folder / "model" / "Format-Serving")
        yield folder


def _write_records(path: pathlib.Path, records: int, rng: np.random.Generator) -> None:
    import tensorflow as tf

    from components.examples.writer import Clip, serialize

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(records):
            label = int(rng.integers(len(GENRES)))
            mel_db = rng.integers(0, 40000, (PARAMS.n_mels, PARAMS.frames)).astype(np.uint16)
            track, start = f"{path.name}-{number}", float(rng.uniform(0, 25))
            clip = Clip(track, f"a{number % 7}", GENRES[label], label, number % 4, start, mel_db)
            writer.write(serialize(clip, PARAMS))


def _artifact(kind: str, uri: pathlib.Path) -> Any:
    from tfx.types import artifact_utils, standard_artifacts

    artifact = getattr(standard_artifacts, kind)()
    artifact.uri = str(uri)
    if kind == "Examples":
        artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    return artifact


def _statistics(inputs: pathlib.Path, output: pathlib.Path, flags: Sequence[str]) -> Any:
    """Run StatisticsGen's executor and return the statistics of each split, sorted."""
    from tensorflow_data_validation.utils.stats_util import load_stats_binary
    from tfx.components.statistics_gen.executor import Executor

    given = {
        "examples": [_artifact("Examples", inputs / "examples")],
        "schema": [_artifact("Schema", inputs / "schema")],
    }
    context = Executor.Context(list(flags), str(output / "tmp"), unique_id="1")
    made = {"statistics": [_artifact("ExampleStatistics", output)]}
    Executor(context).Do(given, made, {"exclude_splits": "[]"})
    return {s: load_stats_binary(str(output / f"Split-{s}" / "FeatureStats.pb")) for s in SPLITS}


def _metrics(inputs: pathlib.Path, output: pathlib.Path, flags: Sequence[str]) -> Any:
    """Run the Evaluator's executor and return the metrics of each slice."""
    import tensorflow_model_analysis as tfma
    from tfx.components.evaluator.component import Evaluator
    from tfx.components.evaluator.executor import Executor
    from tfx.types import channel_utils

    from pipeline.graph.evaluation import evaluation_config

    given = {
        "examples": [_artifact("Examples", inputs / "examples")],
        "model": [_artifact("Model", inputs / "model")],
    }
    node = Evaluator(
        examples=channel_utils.as_channel(given["examples"]),
        model=channel_utils.as_channel(given["model"]),
        example_splits=["test"],
        eval_config=evaluation_config(GENRES),
    )
    context = Executor.Context(list(flags), str(output / "tmp"), unique_id="1")
    made = {
        "evaluation": [_artifact("ModelEvaluation", output)],
        "blessing": [_artifact("ModelBlessing", output / "blessing")],
    }
    Executor(context).Do(given, made, dict(node.exec_properties))
    return tfma.load_eval_result(str(output))


def _leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path and the value of each number and text in nested values."""
    if isinstance(values, (dict, list)):
        entries = values.items() if isinstance(values, dict) else enumerate(values)
        for key, value in entries:
            yield from _leaves(value, (*path, key))
    else:
        yield path, values


def _sorted_statistics(statistics: Any) -> dict[tuple[Any, ...], Any]:
    """Return all values of a split's statistics; features and frequent values have no order."""
    from google.protobuf import json_format

    (dataset,) = json_format.MessageToDict(statistics)["datasets"]
    features = {feature["path"]["step"][0]: feature for feature in dataset.pop("features")}
    for feature in features.values():
        texts = feature.get("stringStats", {})
        for found in (texts.get("topValues"), texts.get("rankHistogram", {}).get("buckets")):
            if found:
                found.sort(
                    key=lambda one: (-one.get("frequency", one.get("sampleCount")), str(one))
                )
    return dict(_leaves({**dataset, **features}))


def _sorted_metrics(result: Any) -> dict[tuple[Any, ...], Any]:
    """Return all metrics and the confusion matrix of each slice."""
    return dict(_leaves({"metrics": dict(result.slicing_metrics), "plots": dict(result.plots)}))


def _assert_equal(found: Any, expected: Any, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        if isinstance(value, float):
            assert found[path] == pytest.approx(value, rel=tolerance, abs=tolerance), path
        else:
            assert found[path] == value, path


@pytest.fixture(scope="module")
def expected(
    inputs: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Any]:
    """Return the statistics and metrics of one process."""
    folder = tmp_path_factory.mktemp("here")
    statistics = _statistics(inputs, folder / "statistics", IN_MEMORY)
    metrics = _metrics(inputs, folder / "evaluation", IN_MEMORY)
    return {name: _sorted_statistics(one) for name, one in statistics.items()}, metrics


@pytest.mark.parametrize("environment", ["loopback", "external"])
def test_a_portable_runner_gives_the_same_statistics_and_metrics(
    environment: Any, prism: Any, inputs: pathlib.Path, expected: Any, request: Any
) -> None:
    address = ""
    if environment == "external":
        address = request.getfixturevalue("isolated_worker").endpoint
    table = PortableSettings(
        endpoint=prism.endpoint, environment=environment, worker_address=address
    )
    settings = BeamSettings(runner="portable", portable=table, stages=("statistics", "evaluator"))
    statistics, metrics = expected
    output, before = inputs / environment, len(prism.output())
    flags = stage_args(settings, "statistics", tracks=1)
    for split, found in _statistics(inputs, output / "statistics", flags).items():
        _assert_equal(_sorted_statistics(found), statistics[split], 1e-9)
    between = len(prism.output())
    flags = stage_args(settings, "evaluator", tracks=1)
    found = _metrics(inputs, output / "evaluation", flags)
    assert before < between < len(prism.output()), "Prism had no job"
    assert len(_sorted_metrics(found)) > 50
    _assert_equal(_sorted_metrics(found), _sorted_metrics(metrics), 1e-6)
