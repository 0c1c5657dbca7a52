"""Settings of Argo's workflow controller that change how a run behaves, read from its ConfigMap.

The controller merges `workflowDefaults` into each workflow, and its `templateDefaults` into each
step, key by key. Kubeflow Pipelines gives a step that has retries a limit and waits, but no policy
(`getTaskRetryStrategyFromInput` in backend/src/v2/compiler/argocompiler/container.go, 2.17.0), so
the default's policy holds.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shlex
from collections.abc import Mapping
from typing import Any

from components.common.errors import DataError

NAME = "workflow-controller-configmap"
_DEFAULTS = "workflowDefaults"
# Before separate keys, Argo had a single one with the whole YAML; it still reads it (config/ of
# argoproj/argo-workflows).
_SINGLE_KEY = "config"
# Policies that retry a step that exits with another status than 0. Without any it is OnFailure, or
# Always beside an expression (`RetryPolicyActual` in workflow_types.go of argo-workflows).
_RETRIES_FAILURES = ("", "Always", "OnFailure")
_TTL_KEYS = ("secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure")


@dataclasses.dataclass(frozen=True)
class ControllerConfig:
    """Defaults of all workflows.

    Attributes:
      retry_policy: policy of all steps' retries; "" for none.
      retry_expression: condition of all steps' retries; "" for none.
      kept_seconds: time from a workflow's end until it is deleted with its pods; None for no limit.
      pod_gc: when pods are deleted before their workflow, such as OnPodCompletion; "" for never.
      data: the ConfigMap's data.
      key: the key of `data` that has the defaults; "" for none.
      values: the YAML value of that key.
    """

    retry_policy: str = ""
    retry_expression: str = ""
    kept_seconds: int | None = None
    pod_gc: str = ""
    data: Mapping[str, str] = dataclasses.field(default_factory=dict)
    key: str = ""
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def retries_failures(self) -> bool:
        """Return whether a step that fails is retried as it asks for."""
        return self.retry_policy in _RETRIES_FAILURES


def parse(data: Mapping[str, str] | None) -> ControllerConfig:
    """Return the settings in a ConfigMap's data.

    Raises:
      DataError: the data is not what Argo reads.
    """
    data = data or {}
    key = next((one for one in (_SINGLE_KEY, _DEFAULTS) if one in data), "")
    if not key:
        return ControllerConfig(data=data)
    values = _yaml(data[key], key)
    defaults = values.get(_DEFAULTS) if key == _SINGLE_KEY else values
    spec = _mapping(_mapping(defaults, _DEFAULTS).get("spec"), "spec")
    template = _mapping(spec.get("templateDefaults"), "templateDefaults")
    retry = _mapping(template.get("retryStrategy"), "retryStrategy")
    ttl = _mapping(spec.get("ttlStrategy"), "ttlStrategy")
    pod_gc = _mapping(spec.get("podGC"), "podGC")
    seconds = [ttl[name] for name in _TTL_KEYS if isinstance(ttl.get(name), int)]
    return ControllerConfig(
        str(retry.get("retryPolicy") or ""),
        str(retry.get("expression") or ""),
        min(seconds, default=None),
        str(pod_gc.get("strategy") or ""),
        data,
        key,
        values,
    )


def patch_command(config: ControllerConfig, namespace: str) -> str:
    """Return the command that removes the default retry strategy and keeps all other settings.

    Args:
      config: settings with a retry policy.
      namespace: the ConfigMap's namespace.
    """
    import yaml

    values = copy.deepcopy(dict(config.values))
    spec = (values[_DEFAULTS] if config.key == _SINGLE_KEY else values)["spec"]
    del spec["templateDefaults"]["retryStrategy"]
    if not spec["templateDefaults"]:
        del spec["templateDefaults"]
    text = yaml.safe_dump(values, sort_keys=False)
    patch = json.dumps({"data": {config.key: text}})
    return shlex.join(
        ["kubectl", "patch", "configmap", NAME, "-n", namespace, "--type", "merge", "-p", patch]
    )


def read_command(namespace: str) -> str:
    """Return the command with which an administrator reads the ConfigMap."""
    return shlex.join(["kubectl", "get", "configmap", NAME, "-n", namespace, "-o", "yaml"])


def _yaml(text: str, key: str) -> Mapping[str, Any]:
    import yaml

    try:
        return _mapping(yaml.safe_load(text), key)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{NAME}: {key} is not YAML ({line[:200]})") from error


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(f"{NAME}: {name} is not a mapping, which Argo expects")
    return value
