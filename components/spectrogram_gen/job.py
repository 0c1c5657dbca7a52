"""The Beam job that writes shards, and the files by which its workers tell their results."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import secrets
from collections.abc import Iterable

import apache_beam as beam

from components.artifacts import files
from components.artifacts.beam_jobs import run_job
from components.artifacts.code_digest import code_digest, other_code
from components.artifacts.worker_reports import WorkerReport
from components.audio.decoding.isolation import make_decoder
from components.common import progress
from components.common.errors import GenreflowError
from components.datasets.track import Reject
from components.examples.sources import Source
from components.spectrogram_gen.plan_files import ShardPlace, read_shard, write_plan
from components.spectrogram_gen.shards import Shard, ShardResult, WriteOptions, write_shard
from components.storage.errors import ObjectMissing, StorageError

# Of a job: empty while it runs, a problem in words after one, and missing when it is over.
STATE_FILE = "state.txt"


class JobOver(GenreflowError):  # noqa: N818  an outcome
    """Error for a shard that nobody waits for any more; it was not written."""


def write_shards(
    pipeline: beam.Pipeline, shards: list[Shard], options: WriteOptions, folder: str
) -> list[ShardResult]:
    """Write shards with Beam and return their results, sorted by split and index.

    Args:
      pipeline: an empty pipeline.
      shards: the shards to write.
      options: options for writing them.
      folder: folder for files of the workers, which they see too; removed afterwards.

    Raises:
      GenreflowError: a shard could not be written, or has no result.
      BeamJobError: the job failed.
    """
    report = functools.partial(progress.report, "progress", stage="audio")
    report(done=0, total=sum(len(shard.tracks) for shard in shards))
    # Named anew, as workers of an earlier job, whom nobody reached, may still be at work.
    results_folder = begin(os.path.join(folder, secrets.token_hex(8)))
    reports = os.path.join(results_folder, "reports")
    places = write_plan(os.path.join(results_folder, "plan"), shards)
    (
        pipeline
        | "List shards" >> beam.Create(places, reshuffle=True)
        | "Decode and write spectrograms"
        >> beam.ParDo(WriteShard(options, results_folder, reports))
    )
    try:
        run_job(pipeline, reports, lambda done: report(done=done))
        results = read_results(results_folder, shards)
    finally:
        with contextlib.suppress(StorageError, OSError):
            files.remove_folder(folder)
    for result in results:
        if result.problem:
            # Its type is lost: it may also be a store's that does not respond.
            raise GenreflowError(result.problem)
    return results


def begin(folder: str) -> str:
    """Begin a job in an empty folder for its results, and return the folder."""
    files.write_text(os.path.join(folder, STATE_FILE), "")
    return folder


class WriteShard(beam.DoFn):  # type: ignore[misc]
    """DoFn that writes the shard of each place, and its result. One decoder per worker."""

    def __init__(self, options: WriteOptions, results: str, reports: str) -> None:
        """Initialize the DoFn.

        Args:
          options: options for writing shards.
          results: folder of the results' files.
          reports: folder of the workers' reports.
        """
        self._options = options
        self._results = results
        self._reports = reports
        self._code = code_digest(__name__)

    def setup(self) -> None:
        self._decoder = make_decoder(self._options.limits)
        self._problem = other_code(__name__, self._code)

    def teardown(self) -> None:
        self._decoder.close()

    def process(self, place: ShardPlace) -> None:
        try:
            result = self._result(place)
        except JobOver:
            return
        write_result(self._results, result)
        if not result.problem:
            _count(result)

    def _result(self, place: ShardPlace) -> ShardResult:
        """Write a shard and return its result.

        Errors for the user are results, too. Beam's multi-processing runner hangs if an exception
        is raised before all workers have started, and passes on only its text.

        Raises:
          JobOver: nobody waits for the shard any more.
        """
        problem = self._problem or self._check_job()
        if problem:
            return ShardResult.failed(place.index, place.splits, problem)
        try:
            shard = read_shard(place)
            report = WorkerReport(self._reports, _name(place))
            result = write_shard(shard, self._options, self._decoder, report.add, self._check_job)
            self._check_job()
            report.write()
            return result
        except JobOver:
            raise
        except GenreflowError as error:
            problem = self._problem = str(error)
        self._check_job()  # what was missing may be missing because the job is over
        # So that other shards abort instead of waiting for the same store, unless it is the
        # results' own that does not respond.
        with contextlib.suppress(StorageError):
            files.write_text(os.path.join(self._results, STATE_FILE), problem)
        return ShardResult.failed(place.index, place.splits, problem)

    def _check_job(self) -> str:
        """Return the problem of another shard, or "".

        Raises:
          JobOver: the submitter has given up, or has finished with another attempt.
        """
        try:
            return files.read_text(os.path.join(self._results, STATE_FILE))
        except (FileNotFoundError, ObjectMissing) as error:
            raise JobOver(f"{self._results}: the job is over") from error
        except StorageError:
            return ""


def _count(result: ShardResult) -> None:
    """Add a shard to Beam's counters."""

    def count(name: str, number: int) -> None:
        beam.metrics.Metrics.counter("genreflow/spectrogram_gen", name).inc(number)

    count("tracks_read", len(result.written))
    count("tracks_decoded", result.tracks_decoded)
    count("tracks_from_store", len(result.written) - result.tracks_decoded)
    count("clips_written", sum(result.clips.values()))
    for reason, number in result.clips_left_out.items():
        count(f"clips_left_out_{reason}", number)
    for reject in result.rejects:
        count(f"rejected_{reject.reason}", 1)


def _name(shard: Shard | ShardPlace | ShardResult) -> str:
    return f"{'-'.join(shard.splits)}-{shard.index}"


def _result_path(folder: str, shard: Shard | ShardResult) -> str:
    return os.path.join(folder, f"{_name(shard)}.json")


def write_result(folder: str, result: ShardResult) -> None:
    # By the storage layer, which needs none of Beam's own settings for object stores: these do
    # not reach the workers of every runner. Several attempts at a shard have the same result.
    files.write_text(_result_path(folder, result), json.dumps(dataclasses.asdict(result)))


def read_results(folder: str, shards: Iterable[Shard]) -> list[ShardResult]:
    """Return the shards' results, sorted by split and index.

    Raises:
      GenreflowError: shards have no result.
    """
    results, missing = [], 0
    for shard in shards:
        path = _result_path(folder, shard)
        try:
            values = json.loads(files.read_text(path))
        except (FileNotFoundError, ObjectMissing):
            missing += 1
            continue
        results.append(
            ShardResult(
                **{
                    **values,
                    "splits": tuple(values["splits"]),
                    "rejects": tuple(Reject(**reject) for reject in values["rejects"]),
                    "written": tuple(tuple(entry) for entry in values["written"]),
                    "test_sources": tuple(Source(**one) for one in values["test_sources"]),
                }
            )
        )
    if missing:
        raise GenreflowError(
            f"{missing} of {missing + len(results)} shards have no result in {folder}, although "
            "Beam's pipeline ended: its workers write to another disk. Choose a work directory "
            "that workers and this machine share, such as a mounted folder or s3://"
        )
    return sorted(results, key=lambda result: (result.splits, result.index))
