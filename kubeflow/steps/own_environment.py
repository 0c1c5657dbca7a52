"""Environment variables that are a step's own, and not those of Kubeflow's launcher.

Kubeflow's launcher runs in the step's container and starts the step as its child. It uploads the
step's pages to Kubeflow's own artifact store, with the standard variables of the cloud's libraries
where it finds some. So the step's variables of these names are compiled under other names, and the
step takes them over when it starts.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

PREFIX = "GENREFLOW_STEP_"
# Variables of the clouds' libraries begin with these: keys, roles, endpoints, regions.
_SHARED = ("AWS_", "GOOGLE_", "AZURE_")


def compiled_name(name: str) -> str:
    """Return the name under which a variable of a step is compiled."""
    return PREFIX + name if name.startswith(_SHARED) else name


def take_over(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the step's own variables under their standard names, in this process and its children."""
    for name in [name for name in environment if name.startswith(PREFIX)]:
        environment[name.removeprefix(PREFIX)] = environment.pop(name)
