"""Names and ids of the nodes of an Argo workflow, recovered from the API's response.

The API of Kubeflow Pipelines 2 gives each node's display name and the ids of its children, but not
its own id (backend/src/apiserver/server/api_converter.go, 2.14.0 to 2.17.0). Several nodes are
called "executor(0)". But Argo derives an id from the node's full name, such as
"genreflow-x7k2p.root.exit-handler-1.pusher.executor(0)" (`NodeID` in workflow_types.go of
argoproj/argo-workflows), and a full name is its parent's with a display name. So the names are
found by trying: a name exists if some node has the name's id as a child.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_FNV_BASIS, _FNV_PRIME = 0x811C9DC5, 0x01000193  # FNV-1a, 32 bits
_ON_EXIT = ".onExit"
_ATTEMPT = re.compile(r"\(\d+\)$", re.ASCII)
# Ends the search in a response that no pipeline of Genreflow has.
_MAX_TRIES = 200_000


def node_ids(nodes: Iterable[Any]) -> dict[str, str]:
    """Return the ids of a workflow's nodes by their full names, parents first.

    Args:
      nodes: the `task_details` of a run.

    Returns:
      All nodes that are the children of others; the workflow's own is not among them.
    """
    ids = {str(child.pod_name) for node in nodes for child in node.child_tasks or ()}
    workflow = min(ids, default="").rpartition("-")[0]
    suffixes = sorted({"." + _ATTEMPT.sub("", str(node.display_name or "")) for node in nodes})
    found: dict[str, str] = {}
    parents = [(workflow, _fnv1a(workflow))]
    tries = 0
    while parents and len(found) < len(ids) and tries < _MAX_TRIES:
        name, state = parents.pop(0)
        attempts = (f"({number})" for number in range(len(ids)))
        for children in (attempts, iter([_ON_EXIT, *suffixes])):
            for suffix in children:
                tries += 1
                child = _fnv1a(suffix, state)
                if (child_id := f"{workflow}-{child}") in ids:
                    found[name + suffix] = child_id
                    parents.append((name + suffix, child))
                elif suffix[0] == "(":
                    break  # attempts are counted without a gap
    return found


def step_pods(step: str, ids: dict[str, str]) -> list[str]:
    """Return the ids of a step's pods, one for each attempt, in order.

    Args:
      step: name of its task, such as "trainer-vgg16".
      ids: the ids from `node_ids`.
    """
    return _pods(rf"{re.escape(step)}(\(\d+\))?\.executor", ids)


def driver_pods(step: str, ids: dict[str, str]) -> list[str]:
    """Return the ids of the pods that prepared a step, in order; see `step_pods`."""
    return _pods(rf"{re.escape(step)}-driver", ids)


def _pods(name: str, ids: dict[str, str]) -> list[str]:
    pattern = re.compile(rf"\.{name}(\(\d+\))?$", re.ASCII)
    # A node with attempts is not a pod itself.
    return [ids[found] for found in ids if pattern.search(found) and f"{found}(0)" not in ids]


def _fnv1a(text: str, state: int = _FNV_BASIS) -> int:
    """Return the FNV-1a hash of a text, continued from that of the text before it."""
    for byte in text.encode():
        state = (state ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return state
