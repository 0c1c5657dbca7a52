"""SpectrogramGen's executor: reads and splits the dataset, and writes the shards with Beam."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils

from components.artifacts import files
from components.artifacts.base_executor import Artifacts, ExecutorMixin, Parameters
from components.artifacts.beam_jobs import run_job
from components.artifacts.code_digest import code_digest
from components.artifacts.worker_reports import WorkerReport
from components.audio.clips import ClipChoice
from components.audio.decoding.isolation import make_decoder
from components.audio.duplicates import find_duplicates
from components.audio.params import AudioParams
from components.common import progress
from components.common.errors import DataError, GenreflowError
from components.datasets.corpus import Corpus, load_corpus
from components.datasets.files.fetching import fetching
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import REJECT_REASONS, SPLITS, Reject
from components.examples.sources import Source, write_sources
from components.spectrogram_gen import extract, wav_export
from components.spectrogram_gen.rejects import check_fraction, duplicate_rejects, write_rejects
from components.spectrogram_gen.shards import (
    WINDOWS_SHARD_DIVISOR,
    Shard,
    ShardResult,
    WriteOptions,
    plan_shards,
    unfinished_folder,
    without,
    write_shard,
)
from components.spectrogram_gen.summary import DataSummary, SplitCounts
from components.storage.errors import ObjectMissing

PROBLEM_FILE = "problem.txt"


class WriteShard(beam.DoFn):  # type: ignore[misc]
    """DoFn that writes each shard it gets, and its result as a file. One decoder per worker."""

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

    def setup(self) -> None:
        self._decoder = make_decoder(self._options.limits)

    def teardown(self) -> None:
        self._decoder.close()

    def process(self, shard: Shard) -> None:
        # Errors for the user are results. Beam's multi-processing runner hangs if an exception
        # is raised before all workers have started, and passes on only its text.
        problem = _read_problem(self._options)
        if not problem:
            try:
                report = WorkerReport(self._reports, _name(shard))
                result = write_shard(shard, self._options, self._decoder, report.add)
                report.write()
            except GenreflowError as error:
                problem = str(error)
                _write_problem(self._options, problem)
        if problem:
            result = ShardResult.failed(shard, problem)
        _write_result(self._results, result)
        if problem:
            return
        count = beam.metrics.Metrics.counter
        count("genreflow/spectrogram_gen", "tracks_read").inc(len(result.written))
        count("genreflow/spectrogram_gen", "tracks_decoded").inc(result.tracks_decoded)
        count("genreflow/spectrogram_gen", "tracks_from_store").inc(
            len(result.written) - result.tracks_decoded
        )
        count("genreflow/spectrogram_gen", "clips_written").inc(sum(result.clips.values()))
        for reason, number in result.clips_left_out.items():
            count("genreflow/spectrogram_gen", f"clips_left_out_{reason}").inc(number)
        for reject in result.rejects:
            count("genreflow/spectrogram_gen", f"rejected_{reject.reason}").inc()


class Executor(ExecutorMixin, BaseBeamExecutor):  # type: ignore[misc]
    """Executor that writes the examples, the names of their splits, and the rejects."""

    works_on_uris = True  # Beam's workers may be on other machines

    def execute(self, inputs: Artifacts, outputs: Artifacts, parameters: Parameters) -> None:
        examples = outputs.single("examples")
        rejects_uri = outputs.uri("rejects")
        params = parameters.parse("audio", AudioParams)
        dataset = parameters.parse("dataset", DatasetSettings)
        split = parameters.parse("split", SplitSettings)
        corpus = load_corpus(dataset, split)
        if corpus.digest != parameters["manifest_digest"]:
            raise DataError(
                f"{dataset.data_dir}: the data changed while the run was starting; run again when "
                "the data is stable"
            )
        options = WriteOptions(
            params=params,
            genres=corpus.genres,
            clip_seed=dataset.clip_seed,
            directory=examples.uri,
            export_wav=dataset.export_wav,
            strict=dataset.strict,
            store=parameters["store"],
            code=code_digest(extract.__name__),
            limits=dataset.decode_limits,
        )
        shards = _plan(corpus, params, parameters["shard_tracks"])
        if options.scratch:
            shutil.rmtree(options.scratch, ignore_errors=True)
        results_folder = os.path.join(rejects_uri, ".results")
        results = self._write(shards, options, results_folder)
        tracks_decoded = sum(res.tracks_decoded for res in results)
        # The few candidates are read again, one after the other.
        with (
            make_decoder(dataset.decode_limits) as decoder,
            fetching(decoder, corpus.tracks, ahead=0, scratch=options.scratch) as reader,
        ):
            duplicates = find_duplicates(
                (entry for res in results for entry in res.written), reader
            )
        affected = [
            without(shard, duplicates)
            for shard in shards
            if any(track.track_id in duplicates for track, _ in shard.tracks)
        ]
        if affected:
            for track in corpus.tracks:
                if track.track_id in duplicates:
                    wav_export.remove(options.wav_directory, track, options.export_wav)
            rewritten_results = {
                (res.splits, res.index): res
                for res in self._write(affected, options, results_folder)
            }
            results = [rewritten_results.get((res.splits, res.index), res) for res in results]
        all_rejects = sorted(
            [
                *corpus.rejects,
                *(reject for res in results for reject in res.rejects),
                *duplicate_rejects(corpus.tracks, duplicates),
            ]
        )
        check_fraction(all_rejects, corpus.tracks_listed, dataset.max_reject_fraction)
        summary = _summarize(results, all_rejects, corpus, tracks_decoded)
        write_rejects(rejects_uri, all_rejects, summary)
        sources = (source for res in results for source in res.test_sources)
        write_sources(examples.uri, sources, strict=dataset.strict)
        self._finish_examples(examples, summary, params)

    def _write(
        self, shards: list[Shard], options: WriteOptions, results_folder: str
    ) -> list[ShardResult]:
        """Write shards with Beam and return their results, sorted by split and index."""
        files.remove_folder(results_folder)
        report = functools.partial(progress.report, "progress", stage="audio")
        report(done=0, total=sum(len(shard.tracks) for shard in shards))
        reports = os.path.join(results_folder, "reports")
        pipeline = self._make_beam_pipeline()
        (
            pipeline
            | "List shards" >> beam.Create(shards, reshuffle=True)
            | "Decode and write spectrograms"
            >> beam.ParDo(WriteShard(options, results_folder, reports))
        )
        run_job(pipeline, reports, lambda done: report(done=done))
        results = _read_results(results_folder, shards)
        files.remove_folder(results_folder)
        for result in results:
            if result.problem:
                # Its type is lost: it may also be a store's that does not respond.
                raise GenreflowError(result.problem)
        return results

    @staticmethod
    def _finish_examples(examples: Any, summary: DataSummary, params: AudioParams) -> None:
        empty = [split for split in SPLITS if not getattr(summary.clips, split)]
        if empty:
            reasons = ", ".join(f"{n} {reason}" for reason, n in summary.rejects.items())
            raise DataError(
                f"no clip is left in split {' and '.join(empty)} (rejected: {reasons or 'none'}). "
                "List every track and its reason: `genreflow check-data --full`"
            )
        if "://" not in examples.uri:
            # Killed attempts leave their files there; one that still writes comes too late.
            shutil.rmtree(unfinished_folder(examples.uri), ignore_errors=True)
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        examples.set_string_custom_property("audio_hash", params.digest())


def _plan(corpus: Corpus, params: AudioParams, shard_tracks: int) -> list[Shard]:
    """Return the corpus's shards."""
    windows = ClipChoice.of(params, evaluates=True)
    clips = dict.fromkeys((track.track_id for track in corpus.tracks), params.clips_per_track)
    clips.update((track.track_id, windows.clips) for track in corpus.evaluation_tracks)
    clip_splits = {
        track_id: tuple(corpus.split_of_clip(track_id, index) for index in range(count))
        for track_id, count in clips.items()
    }
    divisor = WINDOWS_SHARD_DIVISOR if windows.windows else 1
    return plan_shards(
        corpus.tracks,
        clip_splits,
        shard_tracks,
        evaluation_shard_tracks=max(1, shard_tracks // divisor),
    )


def _read_problem(options: WriteOptions) -> str:
    """Return the problem of another shard on this machine, or ""."""
    if not options.scratch:
        return ""
    try:
        return pathlib.Path(options.scratch, PROBLEM_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _write_problem(options: WriteOptions, problem: str) -> None:
    """Publish a problem, so that other shards abort instead of waiting for the same store."""
    if options.scratch:
        files.write_text(os.path.join(options.scratch, PROBLEM_FILE), problem)


def _name(shard: Shard | ShardResult) -> str:
    return f"{'-'.join(shard.splits)}-{shard.index}"


def _result_path(folder: str, shard: Shard | ShardResult) -> str:
    return os.path.join(folder, f"{_name(shard)}.json")


def _write_result(folder: str, result: ShardResult) -> None:
    # By the storage layer, which needs none of Beam's own settings for object stores: these do
    # not reach the workers of every runner. Several attempts at a shard have the same result.
    files.write_text(_result_path(folder, result), json.dumps(dataclasses.asdict(result)))


def _read_results(folder: str, shards: Iterable[Shard]) -> list[ShardResult]:
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


def _summarize(
    results: Iterable[ShardResult],
    rejects: Iterable[Reject],
    corpus: Corpus,
    tracks_decoded: int,
) -> DataSummary:
    """Return the summary of the data: counts and genres, but no names of tracks."""
    clips: collections.Counter[str] = collections.Counter(dict.fromkeys(SPLITS, 0))
    tracks: collections.Counter[str] = collections.Counter(dict.fromkeys(SPLITS, 0))
    left_out: collections.Counter[str] = collections.Counter()
    for result in results:
        clips.update(result.clips)
        left_out.update(result.clips_left_out)
        tracks.update(result.tracks_read)
    reasons = collections.Counter(reject.reason for reject in rejects)
    return DataSummary(
        tracks_listed=corpus.tracks_listed,
        tracks_read=corpus.tracks_listed - sum(reasons.values()),
        tracks_decoded=tracks_decoded,
        tracks=SplitCounts(**tracks),
        clips=SplitCounts(**clips),
        rejects=_in_order(reasons),
        clips_left_out=_in_order(left_out),
        genres=tuple(corpus.genres),
        leaky=corpus.leaky,
    )


def _in_order(counts: collections.Counter[str]) -> dict[str, int]:
    return {reason: counts[reason] for reason in REJECT_REASONS if counts[reason]}
