"""Whole pipeline on this machine, for the command line and for Python."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.datasets.corpus import Corpus
    from pipeline.config.schema import Config
    from pipeline.places import Places
    from pipeline.results.schema import Results
    from pipeline.work_dir import WorkDir

OnEvent = Callable[[Mapping[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Start:
    """Facts that are known when a run starts.

    Attributes:
      config: the run's, with `dataset.data_dir` set.
      corpus: its tracks and rejects.
      work: the work folder.
      places: where artifacts and models go.
    """

    config: Config
    corpus: Corpus
    work: WorkDir
    places: Places


def run_pipeline(
    config: Config, work_dir: str = "./genreflow-work", *, verbose: bool = True
) -> Results:
    """Run the whole pipeline, from audio to a pushed model, as `genreflow run` does.

    The nodes run in a process of their own, so this one needs neither TensorFlow nor TFX. What an
    earlier run in the work folder has computed from the same input is not computed again.

    Args:
      config: of `load_config`, e.g. `load_config("demo")` for a synthetic corpus.
      work_dir: folder for all output and caches.
      verbose: show progress on stderr.

    Raises:
      GenreflowError: the configuration or the data cannot be used, the work folder belongs to
        another run, or the run failed; the message says what to do.
      KeyboardInterrupt: raised after the run's processes have ended.
    """
    if not verbose:
        return run_with_events(config, work_dir, lambda event: None, lambda start: None)
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay

    with RunDisplay(PlainConsole(stderr=True)) as display:
        return run_with_events(config, work_dir, display, lambda start: None)


def run_with_events(
    config: Config, work_dir: str, on_event: OnEvent, on_start: Callable[[Start], None]
) -> Results:
    """Run the whole pipeline and tell what happens; see `run_pipeline` for arguments and errors.

    Args:
      config, work_dir: as in `run_pipeline`.
      on_event: called with every event, and with `{"event": "tick"}` in between.
      on_start: called once, when all checks have passed.
    """
    from pipeline.config.load import with_data_dir
    from pipeline.local import runner
    from pipeline.places import Places, claim
    from pipeline.prepare import clip_counts, disk_space, preflight, runner_checks, survey
    from pipeline.prepare.preflight import checked_facts, load_checked_corpus
    from pipeline.work_dir import WorkDir

    preflight.check_engine(config)
    runner_checks.check_runner(config.beam)
    work = WorkDir.at(work_dir)
    places = Places.of(config.storage, work)
    synthesize = config.dataset.kind == "synthetic" and not config.dataset.data_dir
    corpus = None
    if not synthesize:
        corpus = load_checked_corpus(config)
    runner_checks.check_places(
        config.beam,
        artifacts=places.pipeline_root,
        copies=str(work.copies),
        audio=corpus.uris if corpus else [str(work.corpus)],
    )
    # A rerun decodes only what has changed, and fetches no other object of a store.
    if corpus and work.is_fresh():
        survey.check_some(corpus, config.dataset, config.audio)
    preflight.check_weights(config)
    is_new = not os.path.lexists(work.root)
    work.create()
    with work.locked(), _left_only_if_begun(work, places, on_event, is_new) as on_event:
        work.check_metadata()
        if synthesize:
            from components.synthesis import TRACKS

            clips = TRACKS * config.audio.clips_per_track
            work.check_space(disk_space.run_bytes(clips, config.audio, config.models))
            config = with_data_dir(config, str(work.corpus))
            _make_corpus(work, on_event)
        if corpus is None:
            corpus = load_checked_corpus(config)
        claim(places, work)
        on_start(Start(config, corpus, work, places))
        facts = checked_facts(config, corpus)
        clips = clip_counts.corpus_clips(corpus, config.audio, config.dataset.decode_limits)
        work.check_space(disk_space.run_bytes(clips, config.audio, config.models))
        return runner.run(config, facts, work, on_event)


@contextlib.contextmanager
def _left_only_if_begun(
    work: WorkDir, places: Places, on_event: OnEvent, is_new: bool
) -> Iterator[OnEvent]:
    """Remove the work folder, which is locked, if its first run ends before the first stage.

    Its claim on the pipeline root goes, too. A folder that was there before the run stays, and so
    does one whose log says why the run ended.

    Args:
      work, places: of the run.
      on_event: receiver of the run's events.
      is_new: whether this run has made the work folder.

    Yields:
      The receiver of events, which notes whether a stage has begun.
    """
    from pipeline.places import release

    begun = False

    def noting(event: Mapping[str, Any]) -> None:
        nonlocal begun
        begun = begun or event["event"] == "node_started"
        on_event(event)

    try:
        yield noting
    except BaseException as error:
        if is_new and not begun and getattr(error, "log", None) is None:
            release(places, work)
            work.remove()
        raise


def _make_corpus(work: WorkDir, on_event: OnEvent) -> None:
    from components.synthesis import write_corpus

    # Left by a run that was killed while writing; the work folder is locked.
    for partial in work.root.glob(f".{work.corpus.name}.partial-*"):
        shutil.rmtree(partial, ignore_errors=True)

    on_event({"event": "node_started", "node": "Synthetic corpus", "index": 0, "total": 1})
    begun = time.monotonic()

    def progress(done: int, total: int) -> None:
        on_event({"event": "progress", "stage": "corpus", "done": done, "total": total})

    write_corpus(str(work.corpus), progress=progress)
    on_event(
        {
            "event": "node_finished",
            "node": "Synthetic corpus",
            "outcome": "done",
            "seconds": time.monotonic() - begun,
        }
    )
