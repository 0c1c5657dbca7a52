"""Configuration of TFMA's Evaluator."""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2 as tfma

from components.common import model_contract as contract
from components.examples import schema


def evaluation_config(genres: Sequence[str]) -> tfma.EvalConfig:
    """Return the metrics that TFMA computes on the test split.

    These are clip metrics, overall and per genre, and the confusion matrix. They have no
    thresholds, as the gate decides and TFMA's blessing is not used.
    """
    per_class = tfma.BinarizationOptions(class_ids={"values": list(range(len(genres)))})
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name=contract.SERVING_EXAMPLES,
                label_key=schema.LABEL,
                prediction_key=contract.PROBABILITIES,
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[schema.GENRE])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(class_name="SparseCategoricalAccuracy"),
                    tfma.MetricConfig(class_name="SparseCategoricalCrossentropy"),
                    tfma.MetricConfig(class_name="MultiClassConfusionMatrixPlot"),
                ]
            ),
            tfma.MetricsSpec(
                binarize=per_class,
                metrics=[
                    tfma.MetricConfig(class_name="Precision"),
                    tfma.MetricConfig(class_name="Recall"),
                ],
            ),
        ],
    )
