"""Checks of a run's parameters before anything is sent.

The run's first step makes the same checks, but only later, in the cluster. In addition, parameters
must not contradict the values that are compiled into the pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.common.errors import UsageError
from components.storage.uri import is_remote
from kubeflow.client.package import Package
from kubeflow.compile.checks import place_problems
from pipeline.config.messages import ConfigError
from pipeline.config.schema import Config
from pipeline.graph.nodes import node_ids

_OVERRIDES = "-p overrides"


def check(package: Package, given: Mapping[str, str]) -> None:
    """Check the parameters of a run.

    If this version does not know the configuration in the file, nothing is checked here: that is
    left to the version in the image.

    Args:
      package: the compiled pipeline.
      given: the parameters as typed, from kubeflow.client.package.parameters.

    Raises:
      UsageError: one line for each problem, which names the parameter.
    """
    compiled = _compiled(package)
    if compiled is None:
        return
    values, base = compiled
    config, problems = _changed(values, base, json.loads(given.get("overrides", "{}")))
    settings = base.kubeflow
    for name in ("data_dir", "push_destination", "pipeline_root"):
        text = given.get(name, "")
        # An empty value keeps the configuration's, which knows no pipeline root.
        if text or (name in given and name == "pipeline_root"):
            problems += place_problems(f"-p {name}", text, settings)
    data = given.get("data_dir", package.defaults.get("data_dir")) or config.dataset.data_dir
    root = given.get("pipeline_root", package.defaults.get("pipeline_root", ""))
    if not data and config.dataset.kind != "synthetic":
        problems.append(
            f"{package.path}: no data folder is compiled in; give it with -p data_dir=..., such as "
            "s3://bucket/fma"
        )
    elif not data and is_remote(root):
        problems.append(
            f"-p pipeline_root = {root}: synthetic songs are made on the volume, so the root must "
            "be on the volume too"
        )
    if problems:
        raise UsageError("\n".join(problems))


def _compiled(package: Package) -> tuple[dict[str, Any], Config] | None:
    """Return the configuration as values and parsed; None if this version cannot read it."""
    from pipeline.config.load import from_values

    try:
        values = json.loads(package.config)
        return (values, from_values(values, {})) if isinstance(values, dict) else None
    except (ValueError, RecursionError):  # not JSON, or of another version
        return None


def _changed(
    values: dict[str, Any], base: Config, overrides: Mapping[str, Any]
) -> tuple[Config, list[str]]:
    """Return the run's configuration, and the problems of its overrides."""
    from pipeline.config.load import from_values

    try:
        config = from_values(values, overrides, _OVERRIDES)
    except ConfigError as error:
        return base, str(error).splitlines()
    problems = []
    for key, name, changed in (
        ("dataset.data_dir", "data_dir", config.dataset.data_dir != base.dataset.data_dir),
        ("storage", "push_destination", config.storage != base.storage),
    ):
        if changed:  # the parameter's default would overrule it
            problems.append(f"{_OVERRIDES}: {key} has its own parameter; give -p {name}=...")
    if config.kubeflow != base.kubeflow:
        problems.append(f"{_OVERRIDES}: [kubeflow] is compiled in; compile again to change it")
    steps = set(node_ids(config)) ^ set(node_ids(base))
    if steps:
        problems.append(
            f"{_OVERRIDES}: these steps would be added or removed, but steps are compiled in: "
            f"{', '.join(sorted(steps))}; compile again"
        )
    return config, problems
