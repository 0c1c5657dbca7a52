"""`genreflow run` and `genreflow demo`: the whole pipeline, and a table of its results."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from components.storage.uri import is_remote, join
from genreflow.cli.exit import EXIT_NOT_BLESSED, command
from genreflow.cli.options import (
    DEFAULT_WORK_DIR,
    ConfigOption,
    DataDirOption,
    SetOption,
    WorkDirOption,
)

if TYPE_CHECKING:
    from components.datasets.corpus import Corpus
    from genreflow.whole_run import Start
    from pipeline.display.console import PlainConsole
    from pipeline.results.schema import Results
    from pipeline.work_dir import WorkDir

RequireBlessingOption = Annotated[
    bool,
    typer.Option("--require-blessing", help="Exit with status 3 if the candidate is refused."),
]


@command
def run(
    config: ConfigOption,
    data_dir: DataDirOption = "",
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    overrides: SetOption = None,
    require_blessing: RequireBlessingOption = False,
) -> int:
    """Run the whole pipeline, from audio to a pushed model."""
    return _run(config, data_dir, work_dir, overrides or [], require_blessing)


@command
def demo(
    work_dir: WorkDirOption = "./genreflow-demo",
    overrides: SetOption = None,
) -> int:
    """Run everything on a synthetic corpus: no data, a few minutes."""
    return _run("demo", "", work_dir, overrides or [], require_blessing=False)


def _run(
    name: str, data_dir: str, work_dir: str, overrides: Sequence[str], require_blessing: bool
) -> int:
    """Run the pipeline, print its results, and return the exit status.

    Raises:
      GenreflowError: the run cannot start, or failed.
    """
    from genreflow.whole_run import run_with_events
    from pipeline.config.load import load_config, with_data_dir
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay
    from pipeline.display.results import LEGEND, PRETRAINED_LEGEND, caveats, results_tables
    from pipeline.display.tuning import TUNING_LEGEND, tuning_tables

    console, out = PlainConsole(stderr=True), PlainConsole()
    begun = time.monotonic()
    config = with_data_dir(load_config(name, overrides), data_dir)
    started: list[Start] = []

    def on_start(start: Start) -> None:
        started.append(start)
        _announce(console, name, start)

    with RunDisplay(console) as display:
        results = run_with_events(config, work_dir, display, on_start)
    [start] = started
    for table in results_tables(results):
        out.print(table)
    out.print(LEGEND, style="dim")
    if any(model.pretrained for model in results.models.values()):
        out.print(PRETRAINED_LEGEND, style="dim")
    if config.tuned_networks:
        for table in tuning_tables(results, start.work):
            out.print(table)
        out.print(TUNING_LEGEND, style="dim")
    for sentence in caveats(results):
        out.say((sentence, "yellow"))
    _conclude(out, results, start, time.monotonic() - begun)
    return EXIT_NOT_BLESSED if require_blessing and not results.pushable else 0


def _announce(console: PlainConsole, name: str, start: Start) -> None:
    corpus, work, places = start.corpus, start.work, start.places
    elsewhere = places.pipeline_root != str(work.pipeline_root)
    console.say(
        f"genreflow: {name}: {len(corpus.tracks)} tracks of {len(corpus.genres)} genres"
        + (f", {len(corpus.rejects)} left out before decoding" if corpus.rejects else "")
        + (
            f"; artifacts go to {places.pipeline_root}, all other output"
            if elsewhere
            else "; all output goes"
        )
        + f" to {work.root}"
    )
    for warning in corpus.warnings:
        console.say(("warning:", "yellow"), f" {warning}")


def _conclude(out: PlainConsole, results: Results, start: Start, seconds: float) -> None:
    """Print the gate's verdict, where the outputs are, and what to do next."""
    from components.artifacts.names import REPORT_HTML
    from pipeline.display.results import verdict
    from pipeline.places import complete_versions
    from pipeline.results.results_file import FILE_NAME

    corpus, work, places, version = start.corpus, start.work, start.places, results.pushed_version
    for line in verdict(results):
        out.say(line)
    if results.test_split_uses > 1:
        luck = (
            f"  {results.test_split_uses} candidates of this work folder were evaluated on these "
            "test tracks: choose models by validation, as the best of many on the test tracks may "
            "only be the luckiest"
        )
        out.say((luck, "dim"))
    serves = complete_versions(places.models)
    if version:
        out.say(f"pushed     {join(places.models, version)}")
    elif serves:
        out.say(f"pushed     nothing; {join(places.models, serves[-1])} stays")
    else:
        out.say("pushed     nothing, and no model was pushed before")
    out.say(f"report     {work.report / REPORT_HTML}")
    out.say(f"results    {work.root / FILE_NAME}")
    if work.tuning.is_dir():
        out.say(f"tuning     {work.tuning}: tables and plots of all trials")
    out.say(f"left out   {work.rejects}")
    watch = shlex.join([_program("tensorboard"), "--logdir", str(work.curves)])
    out.say(f"curves     {work.curves}, or {watch}")
    out.say(f"logs       {work.logs}")
    out.say(f"took       {seconds / 60:.1f} minutes")
    if results.gate.blessed and not results.pushable:
        out.say(
            "next       the model is good enough, but its files or its server failed: see the "
            "reason above and the log, fix it, and run again"
        )
    elif serves:
        command = [_program(), "predict", _song(corpus, work), "--model-dir", places.models]
        out.say(f"next       {shlex.join(command)}")
        if not is_remote(places.models):
            serve = [_program(), "serve", "--model-dir", places.models]
            out.say(f"or         {shlex.join(serve)}")
    else:
        out.say(
            "next       see in the report which genres are rare or hard, train longer "
            "(--set training.epochs=...), or relax [gate] if this model is good enough"
        )


def _song(corpus: Corpus, work: WorkDir) -> str:
    """Return the path of a track to try the model on, of the test split if there is one."""
    with work.rejects.open(encoding="utf-8", newline="") as file:
        rejected = {row["track_id"] for row in csv.DictReader(file)}
    usable = [track for track in corpus.tracks if track.track_id not in rejected]
    tests = [
        t for t in usable if not corpus.leaky and corpus.split_of_clip(t.track_id, 0) == "test"
    ]
    return min(tests or usable).uri


def _program(name: str = "genreflow") -> str:
    """Return the shortest command that starts a program of this environment."""
    if shutil.which(name):
        return name
    return sys.argv[0] if name == "genreflow" else os.path.join(os.path.dirname(sys.argv[0]), name)
