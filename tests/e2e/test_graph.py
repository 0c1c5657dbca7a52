"""The compiled graph, and TFDV's findings by the schema that is written for it."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from components.audio.params import AudioParams
from components.examples import schema
from components.examples.writer import Clip, serialize
from pipeline.config.beam import BeamSettings
from pipeline.config.load import load, shipped_config
from pipeline.config.schema import Config

pytestmark = pytest.mark.e2e

CONFIGS = (
    "demo", "folder", "gtzan", "fma_small", "fma_medium", "study",
    "pretrained", "gtzan_pretrained", "fma_small_pretrained",
)  # fmt: skip
PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5
)
GENRES = ("Folk", "Rock")


def _compiled(config: Config, tmp_path: pathlib.Path, *, digest: str = "d1"):  # type: ignore[no-untyped-def]
    from pipeline.graph import build as graph
    from pipeline.graph import inputs

    facts = inputs.DataFacts(genres=GENRES, manifest_digest=digest, tracks=10, leaky=False)
    places = inputs.GraphPlaces(
        pipeline_root=str(tmp_path / "root"),
        models=str(tmp_path / "serving"),
        clip_store=str(tmp_path / "cache"),
        window_store=str(tmp_path / "cache"),
        schema_file=inputs.write_schema(config, facts.genres, str(tmp_path / "schemas")),
    )
    return graph.compile_ir(graph.create_pipeline(config, facts, places))


def test_the_test_knows_every_shipped_configuration() -> None:
    shipped = {path.stem for path in shipped_config("demo").parent.glob("*.toml")}
    assert shipped == set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_shipped_configuration_compiles_to_a_trainer_for_each_network(
    name: str, tmp_path: pathlib.Path
) -> None:
    config = load(shipped_config(name))
    nodes = {node.pipeline_node.node_info.id: node for node in _compiled(config, tmp_path).nodes}
    assert {n for n in nodes if n.startswith("Trainer.")} == {f"Trainer.{m}" for m in config.models}
    order = list(nodes)
    for trainer in (n for n in nodes if n.startswith("Trainer.")):
        # Nothing trains before the data is checked.
        assert order.index("DataCheck") < order.index(trainer) < order.index("Ensembler")
        assert "DataCheck" in nodes[trainer].pipeline_node.upstream_nodes
    caching = {
        n: node.pipeline_node.execution_options.caching_options.enable_cache
        for n, node in nodes.items()
    }
    assert [n for n, cached in caching.items() if not cached] == ["ServingCheck", "Pusher"]


def _pusher_inputs(*overrides: str, tmp_path: pathlib.Path) -> dict[str, str]:
    """Return the Pusher's inputs, and the node that each comes from."""
    config = load(shipped_config("demo"), overrides)
    nodes = {node.pipeline_node.node_info.id: node for node in _compiled(config, tmp_path).nodes}
    inputs = nodes["Pusher"].pipeline_node.inputs.inputs
    return {name: of.channels[0].producer_node_query.id for name, of in inputs.items()}


def test_the_pusher_needs_the_blessing_of_the_gate_and_that_of_a_server(
    tmp_path: pathlib.Path,
) -> None:
    facts = {"model": "Ensembler", "predictions": "Ensembler", "data_check": "DataCheck"}
    both = {"model_blessing": "GenreGate", "infra_blessing": "ServingCheck"}
    assert _pusher_inputs(tmp_path=tmp_path) == {**facts, **both}
    without = _pusher_inputs("serving.check=false", tmp_path=tmp_path)
    assert without == {**facts, "model_blessing": "GenreGate"}


def test_compiling_is_deterministic_and_sees_a_change_of_the_data(tmp_path: pathlib.Path) -> None:
    from google.protobuf import json_format

    config = load(shipped_config("demo"))
    first = json_format.MessageToDict(_compiled(config, tmp_path))
    assert json_format.MessageToDict(_compiled(config, tmp_path)) == first
    assert json_format.MessageToDict(_compiled(config, tmp_path, digest="d2")) != first


TUNED = (
    "tuning.networks=[cnn_small]",
    "tuning.trials=3",
    "tuning.learning_rate=[0.001,0.01]",
)


def test_a_network_is_tuned_before_it_is_trained_and_no_other_is(tmp_path: pathlib.Path) -> None:
    config = load(shipped_config("demo"), TUNED)
    nodes = {node.pipeline_node.node_info.id: node for node in _compiled(config, tmp_path).nodes}
    assert [node for node in nodes if node.startswith("Tuner.")] == ["Tuner.cnn_small"]
    tuner = nodes["Tuner.cnn_small"].pipeline_node
    assert "DataCheck" in tuner.upstream_nodes
    tuned, untuned = (nodes[f"Trainer.{n}"].pipeline_node for n in ("cnn_small", "ffnn"))
    (channel,) = tuned.inputs.inputs["hyperparameters"].channels
    assert channel.producer_node_query.id == "Tuner.cnn_small"
    assert "hyperparameters" not in untuned.inputs.inputs
    order = list(nodes)
    assert order.index("Tuner.cnn_small") < order.index("Trainer.cnn_small")
    assert tuner.execution_options.caching_options.enable_cache


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("tuning.trials=4", {"Tuner.cnn_small"}),
        ("tuning.dropout=[0.1,0.2]", {"Tuner.cnn_small"}),
        # The search of another network does not matter, nor do settings that trials do not use.
        ("tuning.networks=[cnn_small,ffnn]", {"Tuner.ffnn", "Trainer.ffnn"}),
        ("models.cnn_small.epochs=3", {"Trainer.cnn_small"}),
        (
            "training.clip_norm=2.0",
            {"Tuner.cnn_small", "Trainer.cnn_small", "Trainer.ffnn", "Trainer.vgg16"},
        ),
        ("training.epochs=3", {"Trainer.cnn_small", "Trainer.ffnn", "Trainer.vgg16"}),
        ("tuning.trials=0", {"Tuner.cnn_small", "Trainer.cnn_small"}),
    ],
)
def test_a_change_to_the_search_changes_its_node_and_no_other(
    override: str, changed: set[str], tmp_path: pathlib.Path
) -> None:
    """Compare parameters and inputs, as TFX's cache does.

    A Trainer's input also changes when its Tuner runs again, which cannot be seen here.
    """

    def cache_keys(*overrides: str) -> dict[str, tuple[str, str]]:
        config = load(shipped_config("demo"), [*TUNED, *overrides])
        return {
            node.pipeline_node.node_info.id: (
                str(node.pipeline_node.parameters),
                str(node.pipeline_node.inputs.inputs.get("hyperparameters")),
            )
            for node in _compiled(config, tmp_path).nodes
        }

    before, after = cache_keys(), cache_keys(override)
    assert {n for n in before | after if before.get(n) != after.get(n)} == changed


def test_beam_options_reach_the_audio_stage(tmp_path: pathlib.Path) -> None:
    config = load(shipped_config("demo"), ["beam.runner=direct", "beam.workers=3"])
    assert config.beam == BeamSettings(runner="direct", workers=3)
    assert _nodes_with("--direct_num_workers=3", config, tmp_path) == {"SpectrogramGen"}


def test_statistics_and_evaluator_get_beams_options_by_setting(tmp_path: pathlib.Path) -> None:
    stages = 'beam.stages=["statistics", "evaluator"]'
    overrides = ["beam.runner=portable", "beam.portable.endpoint=localhost:8099", stages]
    config = load(shipped_config("demo"), overrides)
    chosen = _nodes_with("--job_endpoint=localhost:8099", config, tmp_path)
    assert chosen == {"StatisticsGen", "Evaluator"}
    assert "SpectrogramGen" in _nodes_with("--direct_running_mode=in_memory", config, tmp_path)


def _nodes_with(flag: str, config: Config, folder: pathlib.Path) -> set[str]:
    """Return the ids of the nodes whose executor gets a flag of Beam."""
    from tfx.orchestration.local import runner_utils
    from tfx.proto.orchestration import executable_spec_pb2

    ir = _compiled(config, folder)
    deployment = runner_utils.extract_local_deployment_config(ir)
    found = set()
    for node in ir.nodes:
        node_id = node.pipeline_node.node_info.id
        if node_id in deployment.executor_specs:
            spec = runner_utils.extract_executor_spec(deployment, node_id)
            if isinstance(spec, executable_spec_pb2.BeamExecutableSpec) and flag in str(spec):
                found.add(node_id)
    return found


@pytest.mark.parametrize("policy", ["by_artist", "by_track", "by_clip", "official"])
def test_the_data_check_gets_the_guarantee_of_the_split(
    policy: str, tmp_path: pathlib.Path
) -> None:
    config = load(shipped_config("fma_small"), [f'split.policy="{policy}"'])
    nodes = {node.pipeline_node.node_info.id: node for node in _compiled(config, tmp_path).nodes}
    apart = nodes["DataCheck"].pipeline_node.parameters.parameters["artists_apart"]
    assert apart.field_value.int_value == (policy == "by_artist")


def _findings(records: list[bytes]) -> dict[str, str]:
    """Return TFDV's findings by feature, with the schema of the configuration."""
    import tensorflow_data_validation as tfdv
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.coders import example_coder

    table = example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(records)
    written = text_format.Parse(schema.tfmd_schema_text(GENRES, PARAMS), schema_pb2.Schema())
    statistics = tfdv.generate_statistics_from_dataframe(
        table.to_pandas().apply(lambda column: column.str[0]),
        stats_options=tfdv.StatsOptions(schema=written),
    )
    anomalies = tfdv.validate_statistics(statistics, written)
    return {name: str(info.description) for name, info in anomalies.anomaly_info.items()}


def _record(genre: str = "Folk", label: int = 0, *, index: int = 0) -> bytes:
    mel_db = np.zeros((PARAMS.n_mels, PARAMS.frames), np.uint16)
    return serialize(Clip("t", "a", genre, label, index, 0.0, mel_db), PARAMS)


def _without(record: bytes, name: str) -> bytes:
    import tensorflow as tf

    example = tf.train.Example.FromString(record)
    del example.features.feature[name]
    return example.SerializeToString()


def test_good_examples_have_no_anomaly() -> None:
    assert _findings([_record(), _record("Rock", 1)]) == {}


@pytest.mark.parametrize(
    ("bad", "feature"),
    [
        (_record("Jazz", 0), "genre"),
        (_record("Rock", 2), "label"),
        (_record(index=4), "clip_index"),
        (_without(_record(), "mel_db"), "mel_db"),
        (_without(_record(), "track_id"), "track_id"),
    ],
)
def test_tfdv_finds_what_the_schema_forbids(bad: bytes, feature: str) -> None:
    assert set(_findings([_record(), bad])) == {feature}


def test_a_synthetic_corpus_behind_a_manifest_is_marked_in_cards_and_results(
    tmp_path: pathlib.Path,
) -> None:
    config = load(shipped_config("demo"))
    dataset = dataclasses.replace(config.dataset, kind="manifest", synthetic=True)
    nodes = _compiled(dataclasses.replace(config, dataset=dataset), tmp_path).nodes
    [trainer] = [n.pipeline_node for n in nodes if "cnn_small" in n.pipeline_node.node_info.id]
    values = trainer.parameters.parameters["custom_config"].field_value.string_value
    assert json.loads(values)["synthetic"] is True
    assert json.loads(values)["data"]["dataset"]["kind"] == "synthetic"
