"""SpectrogramGen's executor: reads and splits the dataset, and writes the shards with Beam."""

from __future__ import annotations

import collections
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils

from components.artifacts.base_executor import Artifacts, ExecutorMixin, Parameters
from components.artifacts.code_digest import code_digest
from components.audio.clips import ClipChoice
from components.audio.decoding.isolation import make_decoder
from components.audio.duplicates import find_duplicates
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.datasets.corpus import Corpus, load_corpus
from components.datasets.files.fetching import fetching
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import REJECT_REASONS, SPLITS, Reject
from components.examples.sources import write_sources
from components.examples.tracks import ExampleTrack, write_tracks
from components.spectrogram_gen import extract, wav_export
from components.spectrogram_gen.job import write_shards
from components.spectrogram_gen.reject_hint import LIST_REJECTS
from components.spectrogram_gen.rejects import check_fraction, duplicate_rejects, write_rejects
from components.spectrogram_gen.shards import (
    WINDOWS_SHARD_DIVISOR,
    Shard,
    ShardResult,
    WriteOptions,
    plan_shards,
    unfinished_folder,
    without,
)
from components.spectrogram_gen.summary import DataSummary, SplitCounts


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
            elsewhere=_runs_elsewhere(self._beam_pipeline_args),
        )
        shards = _plan(corpus, params, parameters["shard_tracks"])
        if options.scratch:
            shutil.rmtree(options.scratch, ignore_errors=True)
        workers_folder = os.path.join(rejects_uri, ".results")
        results = write_shards(self._make_beam_pipeline(), shards, options, workers_folder)
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
                for res in write_shards(
                    self._make_beam_pipeline(), affected, options, workers_folder
                )
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
        write_tracks(examples.uri, _used_tracks(corpus, results))
        self._finish_examples(examples, summary, params)

    @staticmethod
    def _finish_examples(examples: Any, summary: DataSummary, params: AudioParams) -> None:
        empty = [split for split in SPLITS if not getattr(summary.clips, split)]
        if empty:
            reasons = ", ".join(f"{n} {reason}" for reason, n in summary.rejects.items())
            raise DataError(
                f"no clip is left in split {' and '.join(empty)} (rejected: {reasons or 'none'}). "
                f"List every track and its reason: {LIST_REJECTS}"
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


def _used_tracks(corpus: Corpus, results: Iterable[ShardResult]) -> Iterator[ExampleTrack]:
    """Yield the tracks with examples."""
    uris = {track_id: uri for result in results for track_id, uri, _ in result.written}
    for track in corpus.tracks:
        if track.track_id in uris:
            yield ExampleTrack(
                track_id=track.track_id,
                uri=uris[track.track_id],
                genre=track.genre,
                artist_id=track.artist_id or "",
                split="" if corpus.leaky else corpus.split_of_clip(track.track_id, 0),
            )


def _runs_elsewhere(beam_args: Sequence[str] | None) -> bool:
    """Return whether Beam's workers may be on other machines: with any runner but the local one."""
    runner = PipelineOptions(list(beam_args or ())).view_as(StandardOptions).runner
    return bool(runner) and runner.rpartition(".")[2] not in ("LocalRunner", "DirectRunner")


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
