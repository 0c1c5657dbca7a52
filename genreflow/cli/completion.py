"""Values that shells complete: configurations, settings, networks, runners. Stays instant.

Each function takes what is typed so far and returns the values that begin with it. What is not
completed here, such as paths, the shell completes itself.
"""

from __future__ import annotations

import glob
import re

# typer's scripts pass names through the shell, and zsh's evaluates them.
_SAFE_NAME = re.compile(r"[\w./+@%=,-]+")


def configurations(incomplete: str) -> list[str]:
    """Return the shipped configurations and the TOML files of the folder."""
    from pipeline.config.load import shipped_names

    names = [] if "/" in incomplete else shipped_names()
    files = glob.glob(f"{glob.escape(incomplete)}*.toml")
    return _beginning(incomplete, [*names, *sorted(filter(_SAFE_NAME.fullmatch, files))])


def settings(incomplete: str) -> list[str]:
    """Return the keys of settings with "=", or the values of a key with a closed list of them.

    Free names in keys are those of the networks: models.cnn_small.dropout.
    """
    from pipeline.config.messages import choices, keys

    key, equals, _ = incomplete.partition("=")
    if equals:
        return _beginning(incomplete, [f"{key}={value}" for value in choices(key)])
    return _beginning(incomplete, [f"{name}=" for name in keys()])


def networks(incomplete: str) -> list[str]:
    """Return the names of the networks."""
    from components.models.architectures import NETWORKS

    return _beginning(incomplete, list(NETWORKS))


def downloads(incomplete: str) -> list[str]:
    """Return the names of public data sets, "weights", and the networks with published weights."""
    from components.datasets.downloads.archives import ARCHIVES
    from components.models.architectures import NETWORKS

    published = [name for name, network in NETWORKS.items() if network.published]
    return _beginning(incomplete, [*ARCHIVES, "weights", *published])


def runners(incomplete: str) -> list[str]:
    """Return the values of beam.runner."""
    from pipeline.config.messages import choices

    return _beginning(incomplete, choices("beam.runner"))


def _beginning(incomplete: str, values: list[str]) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]
