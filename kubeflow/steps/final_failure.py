"""Failures of nodes that another attempt would not mend, recorded in the run's folder.

Kubeflow retries a failed step whatever the reason: a retry policy in its intermediate
representation has a number and waits, no condition (api/v2alpha1/pipeline_spec.proto, 2.17.0). So
a node that fails for a mistake of the user's leaves a record, and its next attempt ends at once
with the same words. The waits between the attempts remain. The last step removes the records, so
that a run that is retried from Kubeflow's page tries again, once: on such a retry Argo keeps the
last step, which had succeeded, and does not run it again (`GenerateRetryExecution` in
backend/src/common/util/workflow.go, 2.14.0 to 2.17.0).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator

from components.artifacts import files as artifact_files
from components.common.errors import DataError, GenreflowError, UsageError
from components.storage.errors import ObjectMissing, StorageError
from components.storage.uri import join
from kubeflow.steps.step_log import exit_status, say
from pipeline.process import failures

FOLDER = "mistakes"


@dataclasses.dataclass(frozen=True)
class FinalFailure:
    """Failure of a node for good.

    Attributes:
      text: the error's text.
      status: the step's exit status.
    """

    text: str
    status: int


def final_failure(error: Exception) -> FinalFailure | None:
    """Return an error as a failure for good; None if another attempt may succeed.

    A mistake in the configuration or the data stays the same. Errors of stores, files and the
    network may pass, and so may anything that follows from one.
    """
    cause = failures.find_user_error(error)
    if not isinstance(cause, (UsageError, DataError)):
        return None
    passing: BaseException | None = error
    while passing is not None:
        if isinstance(passing, (StorageError, OSError)):
            return None
        passing = passing.__cause__ or passing.__context__
    return FinalFailure(str(cause), exit_status(error))


@contextlib.contextmanager
def recorded(run_folder: str, node_id: str) -> Iterator[None]:
    """Record a failure for good of the node that runs meanwhile. All errors are passed on."""
    try:
        yield
    except Exception as error:
        if found := final_failure(error):
            text = json.dumps(dataclasses.asdict(found))
            try:
                artifact_files.write_text(_path(run_folder, node_id), text)
            except (GenreflowError, OSError) as problem:  # then the node is simply tried again
                say(f"this failure was not recorded: {problem}", node_id=node_id, file=sys.stderr)
        raise


def read(run_folder: str, node_id: str) -> FinalFailure | None:
    """Return the failure for good of an earlier attempt of a node; None if there was none."""
    try:
        return FinalFailure(**json.loads(artifact_files.read_text(_path(run_folder, node_id))))
    except (FileNotFoundError, ObjectMissing):
        return None
    except (ValueError, TypeError):  # a damaged record is as good as none
        return None


def read_all(run_folder: str) -> dict[str, FinalFailure]:
    """Return all recorded failures of a run by node."""
    found = {}
    for path in artifact_files.matching(join(run_folder, FOLDER), "*.json"):
        node_id = path.rpartition("/")[2].removesuffix(".json")
        if failure := read(run_folder, node_id):
            found[node_id] = failure
    return found


def remove_all(run_folder: str) -> None:
    """Remove the records of a run."""
    for path in artifact_files.matching(join(run_folder, FOLDER), "*.json"):
        artifact_files.remove(path)


def _path(run_folder: str, node_id: str) -> str:
    return join(run_folder, FOLDER, f"{node_id}.json")
