"""The Beam stage: one element is one part of the table. Imports Beam.

A DoFn with a model made once a process predicts the windows of one file in one call, exactly as
`genreflow predict` does. RunInference, which batches the windows of several files, takes 1.32 times
the processor time for cnn_small (76.2 against 57.6 ms a track, benchmarks.label ways): the windows
become elements, 176 kB each, that are shuffled to find those of one file again. Its numbers would
depend on the batches in their last digits, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import apache_beam as beam

from components.artifacts import files
from components.artifacts.beam_jobs import run_job
from components.artifacts.code_digest import code_digest, other_code
from components.artifacts.worker_reports import WorkerReport
from components.common import progress
from components.common.errors import GenreflowError
from components.storage.errors import ObjectMissing
from genreflow.labelling.labeller import Labeller
from genreflow.labelling.model import ModelFacts
from genreflow.labelling.stage import Job, PartResult, write_part, write_result
from genreflow.labelling.table import TableFolder

NAMESPACE = "genreflow/label"

# The labellers of this process: threads of a worker share the model.
_labellers: dict[tuple[ModelFacts, int], tuple[Labeller, int]] = {}
_lock = threading.Lock()


class LabelPart(beam.DoFn):  # type: ignore[misc]
    """DoFn that brings each part that it gets up to date, and writes the result as a file."""

    def __init__(self, job: Job) -> None:
        """Initialize the DoFn with the run's job."""
        self._job = job
        self._code = code_digest(__name__)

    def setup(self) -> None:
        key = self._job.model, self._job.jobs
        with _lock:
            labeller, users = _labellers.get(key) or (Labeller(*key), 0)
            _labellers[key] = labeller, users + 1
        self._labeller = labeller
        self._problem = other_code(__name__, self._code)

    def teardown(self) -> None:
        key = self._job.model, self._job.jobs
        with _lock:
            labeller, users = _labellers.pop(key)
            if users > 1:
                _labellers[key] = labeller, users - 1
                return
        labeller.close()

    def process(self, index: int) -> None:
        # Errors for the user are results. Beam's multi-processing runner hangs if an exception
        # is raised before all workers have started, and passes on only its text.
        job, folder = self._job, TableFolder(self._job.root)
        told = folder.problem(job.token)
        problem, result = self._problem or _read_problem(told), PartResult()
        if not problem:
            try:
                report = WorkerReport(folder.reports(job.token), f"{index:05d}")
                result = write_part(index, job, self._labeller, report.add)
                report.write()
            except GenreflowError as error:
                problem = str(error)
            except OSError as error:
                problem = f"{error.filename or folder.root}: {error.strerror or error}"
            if problem:
                _write(problem, lambda: files.write_text(told, problem))
        if problem:
            result = PartResult(problem=problem)
        _write(problem, lambda: write_result(job, index, result))
        count = beam.metrics.Metrics.counter
        count(NAMESPACE, "files_labelled").inc(result.labelled)
        count(NAMESPACE, "rows_kept").inc(result.kept)
        for reason, number in result.rejects.items():
            count(NAMESPACE, f"rejected_{reason}").inc(number)


def run(job: Job, beam_args: Sequence[str]) -> None:
    """Bring all parts of a table up to date; their results are files in the table's folder.

    Args:
      job: the run's job.
      beam_args: Beam's flags.

    Raises:
      BeamJobError: the job failed, or its workers are silent.
    """
    pipeline = beam.Pipeline(argv=list(beam_args))
    (
        pipeline
        | "List parts" >> beam.Create(range(job.parts), reshuffle=True)
        | "Label parts" >> beam.ParDo(LabelPart(job))
    )
    run_job(
        pipeline,
        TableFolder(job.root).reports(job.token),
        lambda done: progress.report("progress", stage="label", done=done),
    )


def _read_problem(path: str) -> str:
    """Return the problem of another part, or ""."""
    try:
        return files.read_text(path)
    except (FileNotFoundError, ObjectMissing):
        return ""


def _write(problem: str, write: Callable[[], None]) -> None:
    """Write what the run is told. Raise the problem itself if the disk takes not even that."""
    try:
        write()
    except OSError as error:
        raise GenreflowError(problem or f"{error.filename}: {error.strerror or error}") from error
