"""A run's parameters, checked before anything is sent as its first step would check them an hour
later in the cluster, and against what is compiled in."""

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
    """Refuses what cannot run; a file without a configuration that this version knows is left to
    the version in its image.

    Args:
      package: the compiled file.
      given: the parameters that were typed, as kubeflow.client.package.parameters gives them.

    Raises:
      UsageError: one line for every problem, each naming its parameter.
    """
    compiled = _compiled(package)
    if compiled is None:
        return
    values, base = compiled
    config, problems = _changed(values, base, json.loads(given.get("overrides", "{}")))
    settings = base.kubeflow
    for name in ("data_dir", "push_destination", "pipeline_root"):
        text = given.get(name, "")
        # An empty one keeps what the configuration says; of the root nothing is said there.
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
            "lie there too"
        )
    if problems:
        raise UsageError("\n".join(problems))


def _compiled(package: Package) -> tuple[dict[str, Any], Config] | None:
    """The file's configuration as values, and whole; None where this version knows none."""
    from pipeline.config.load import from_values

    try:
        values = json.loads(package.config)
        return (values, from_values(values, {})) if isinstance(values, dict) else None
    except (ValueError, RecursionError):  # no JSON; or of another version
        return None


def _changed(
    values: dict[str, Any], base: Config, overrides: Mapping[str, Any]
) -> tuple[Config, list[str]]:
    """The run's configuration, and what is wrong with its changes."""
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
        if changed:  # the parameter's own default would come before it
            problems.append(f"{_OVERRIDES}: {key}: has its own parameter; give -p {name}=...")
    if config.kubeflow != base.kubeflow:
        problems.append(f"{_OVERRIDES}: kubeflow: is compiled in; compile again to change it")
    steps = set(node_ids(config)) ^ set(node_ids(base))
    if steps:
        problems.append(
            f"{_OVERRIDES}: would change which steps there are ({', '.join(sorted(steps))}), and "
            "they are compiled in; compile again"
        )
    return config, problems
