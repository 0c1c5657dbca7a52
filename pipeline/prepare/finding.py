"""Finding of a check, of this machine or of a cluster, as `doctor` commands show it."""

from __future__ import annotations

import dataclasses

# Outcomes of a check. Only a problem keeps the pipeline from running.
OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "not checked"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Outcome of one check.

    Attributes:
      name: the checked thing.
      outcome: OK, WARNING, PROBLEM or UNKNOWN.
      text: the outcome in words.
      command: a command that mends it or finds out more; "" for none.
    """

    name: str
    outcome: str
    text: str
    command: str = ""
