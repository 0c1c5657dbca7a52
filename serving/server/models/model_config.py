"""Whether a list of models can be taken, before anything of it is read or loaded."""

from __future__ import annotations

from collections.abc import Sequence

from serving.server.config.errors import invalid
from serving.server.config.settings import MODEL_NAME_PATTERN, ModelConfig

# Far more than two cores can serve.
MAX_MODELS = 256
_VERSIONS = range(2**63)


def validate(configs: Sequence[ModelConfig]) -> None:
    """Names and labels.

    Raises:
      ServingError: INVALID_ARGUMENT, which names the model.
    """
    if len(configs) > MAX_MODELS:
        raise invalid(f"{len(configs)} models in the list; at most {MAX_MODELS} are taken")
    seen: set[str] = set()
    for config in configs:
        if not MODEL_NAME_PATTERN.fullmatch(config.name):
            raise invalid(
                f"{config.name[:130]!r} is no name of a model: letters, digits, '_', '-' and '.' "
                "are, and the first is a letter or a digit"
            )
        if config.name in seen:
            raise invalid(f"Illegal to list model {config.name} multiple times in config list")
        seen.add(config.name)
        for label, version in config.labels.items():
            if not label or version not in _VERSIONS:
                raise invalid(f"model {config.name}: the label {label!r} cannot name {version}")
