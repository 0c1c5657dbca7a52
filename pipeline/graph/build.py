"""Graph of the pipeline: a pure function from a configuration to a TFX pipeline.

Only this module knows which node feeds which, and only the runners know paths. Importing it
imports TFX, which takes tens of seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx.components.evaluator.component import Evaluator
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.dsl.compiler import compiler
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.proto import trainer_pb2
from tfx.types import Channel
from tfx.types.standard_artifacts import PushedModel

from components.artifacts.code_digest import code_digest
from components.baselines.component import BaselineTrainer
from components.data_check.component import DataCheck
from components.ensemble.component import Ensembler
from components.gate.component import GenreGate
from components.models import architectures
from components.report.component import Report
from components.serving_check.component import ServingCheck
from components.spectrogram_gen.component import SpectrogramGen
from components.trainer.task import TrainingTask
from components.tuner.component import Tuner
from components.tuner.settings import TuningSettings
from components.versions.component import Pusher
from components.versions.serving_model import ServingModelStrategy
from pipeline.config.beam import IN_MEMORY, Stage, stage_args
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.graph.evaluation import evaluation_config
from pipeline.graph.inputs import DataFacts, GraphPlaces, weights_digest
from pipeline.places import PIPELINE_NAME

# A name, as importing the module would import TensorFlow, and only the trainers run it.
TRAINER_MODULE = "components.trainer.run_fn"


def create_pipeline(
    config: Config, facts: DataFacts, places: GraphPlaces, *, resolves_serving: bool = True
) -> tfx_pipeline.Pipeline:
    """Return the whole graph, with a Trainer node for each network of the configuration.

    pipeline.graph.nodes lists the ids of its nodes.

    Args:
      config: the whole configuration.
      facts: facts of its data.
      places: where the nodes put their output.
      resolves_serving: whether the runner supports resolver strategies of ours. Without them
        there is no node ServingModel, and the gate compares with no serving model.
    """
    genres = facts.genres

    def beam_args(stage: Stage) -> list[str]:
        return stage_args(config.beam, stage, tracks=facts.tracks)

    spectrograms = SpectrogramGen(
        dataset=config.dataset,
        split=config.split,
        audio=config.audio,
        manifest_digest=facts.manifest_digest,
        shard_tracks=config.beam.shard_tracks,
        store=places.clip_store,
    ).with_beam_pipeline_args(beam_args("audio"))
    examples = spectrograms.outputs["examples"]
    schemas = ImportSchemaGen(schema_file=places.schema_file)
    statistics = StatisticsGen(
        examples=examples, schema=schemas.outputs["schema"]
    ).with_beam_pipeline_args(beam_args("statistics"))
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=schemas.outputs["schema"],
    )
    serving = [_serving_model()] if resolves_serving else []
    check = DataCheck(
        examples=examples,
        anomalies=validator.outputs["anomalies"],
        audio=config.audio,
        genres=genres,
        leaky=facts.leaky,
        artists_apart=config.split.policy == "by_artist",
        settings=config.data_check,
        serving_model=serving[0].outputs["pushed_model"] if serving else None,
    )
    baselines = _baselines(config, genres, examples)
    tasks = {name: _training_task(config, name, genres) for name in config.models}
    tuners = {name: _tuner(tasks[name], config.tuning, examples) for name in config.tuned_networks}
    trainers = {name: _trainer(task, examples, tuners.get(name)) for name, task in tasks.items()}
    for node in (*baselines, *tuners.values(), *trainers.values()):
        node.add_upstream_node(check)
    classical = baselines[0].outputs if baselines else {}
    runs = {name: node.outputs["model_run"] for name, node in trainers.items()}
    ensembler = Ensembler(
        examples=examples,
        models={name: node.outputs["model"] for name, node in trainers.items()},
        runs=runs,
        baselines=classical.get("baselines"),
        baseline_predictions=classical.get("predictions"),
        settings=config.ensemble,
        genres=genres,
        audio_hash=config.audio.digest(),
        synthetic=config.dataset.is_synthetic,
    )
    candidate, predictions = ensembler.outputs["model"], ensembler.outputs["predictions"]
    evaluator = Evaluator(
        examples=examples,
        model=candidate,
        example_splits=["test"],
        eval_config=evaluation_config(genres),
    ).with_beam_pipeline_args(beam_args("evaluator"))
    gate = GenreGate(
        model=candidate,
        predictions=predictions,
        evaluation=evaluator.outputs["evaluation"],
        examples=examples,
        baselines=classical.get("baselines"),
        serving_model=serving[0].outputs["pushed_model"] if serving else None,
        settings=config.gate,
        genres=genres,
        store=places.window_store,
        decode_limits=config.dataset.decode_limits,
    )
    served = _serving_check(config, candidate, gate.outputs["blessing"], examples, predictions)
    pusher = Pusher(
        model=candidate,
        model_blessing=gate.outputs["blessing"],
        infra_blessing=served[0].outputs["infra_blessing"] if served else None,
        predictions=predictions,
        data_check=check.outputs["result"],
        models=places.models,
        keep_versions=config.serving.keep_versions,
    )
    report = Report(
        predictions=predictions,
        runs=runs,
        rejects=spectrograms.outputs["rejects"],
        data_check=check.outputs["result"],
        blessing=gate.outputs["blessing"],
        examples=examples,
        model=candidate,
        baselines=classical.get("baselines"),
        genres=genres,
        audio=config.audio,
        data=_data_settings(config),
    )
    return tfx_pipeline.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=places.pipeline_root,
        components=[
            spectrograms,
            schemas,
            statistics,
            validator,
            *serving,
            check,
            *baselines,
            *tuners.values(),
            *trainers.values(),
            ensembler,
            evaluator,
            gate,
            *served,
            pusher,
            report,
        ],
        enable_cache=True,
        beam_pipeline_args=list(IN_MEMORY),
    )


def _baselines(config: Config, genres: Sequence[str], examples: Any) -> list[BaselineTrainer]:
    """Return the node of all classical models, or no node."""
    if not config.baselines.models:
        return []
    return [
        BaselineTrainer(
            examples=examples, settings=config.baselines, audio=config.audio, genres=genres
        )
    ]


def _training_task(config: Config, name: str, genres: Sequence[str]) -> TrainingTask:
    """Return the training of one network, which its Trainer and its Tuner get."""
    return TrainingTask(
        architecture=name,
        model=config.models[name],
        training=config.training,
        audio=config.audio,
        genres=tuple(genres),
        code_digest=code_digest(TRAINER_MODULE, architectures.code_of(name)),
        weights_digest=weights_digest(name, config.models[name].weights),
        synthetic=config.dataset.is_synthetic,
        data=_data_settings(config),
    )


def _tuner(task: TrainingTask, tuning: TuningSettings, examples: Any) -> Tuner:
    tuner = Tuner(examples=examples, training=task, tuning=tuning)
    return tuner.with_id(nodes.tuner(task.architecture))


def _trainer(task: TrainingTask, examples: Any, tuner: Tuner | None) -> Trainer:
    return Trainer(
        run_fn=f"{TRAINER_MODULE}.run_fn",
        examples=examples,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["validation"]),
        hyperparameters=tuner.outputs["hyperparameters"] if tuner else None,
        custom_config=task.to_json(),
    ).with_id(nodes.trainer(task.architecture))


def _serving_model() -> Resolver:
    """Return the node that finds the pushed model that serves."""
    return Resolver(
        strategy_class=ServingModelStrategy,
        pushed_model=Channel(type=PushedModel),
    ).with_id(nodes.SERVING_MODEL)


def _serving_check(
    config: Config, candidate: Any, blessing: Any, examples: Any, predictions: Any
) -> list[ServingCheck]:
    """Return the node that test-serves the candidate before it is pushed, or no node."""
    if not config.serving.check:
        return []
    return [
        ServingCheck(
            model=candidate,
            blessing=blessing,
            examples=examples,
            predictions=predictions,
            settings=config.serving,
        )
    ]


def _data_settings(config: Config) -> dict[str, Any]:
    """Return the settings that decide which clips a network learns from, for its model card.

    They change only together with the examples, and contain no paths.
    """
    keys = ("kind", "fma_subset", "max_tracks", "strict", "clip_seed")
    dataset = {key: getattr(config.dataset, key) for key in keys}
    if config.dataset.is_synthetic:  # also if a manifest lists it
        dataset["kind"] = "synthetic"
    return {
        "dataset": dataset,
        "split": dataclasses.asdict(config.split),
    }


def compile_ir(pipeline: tfx_pipeline.Pipeline) -> Any:
    """Return the pipeline as TFX's intermediate representation, ready for the launcher."""
    ir = compiler.Compiler().compile(pipeline)
    for node in ir.nodes:
        if node.pipeline_node.node_info.id in nodes.NEVER_CACHED:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    return ir
