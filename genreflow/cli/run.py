"""`genreflow run` and `genreflow demo`: the whole pipeline, and a table of its results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from genreflow.cli.exit import EXIT_NOT_BLESSED, command
from genreflow.cli.help import TRAINING, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import (
    DEFAULT_WORK_DIR,
    ConfigOption,
    DataDirOption,
    JsonOption,
    SetOption,
    WorkDirOption,
)

if TYPE_CHECKING:
    from genreflow.whole_run import Start
    from pipeline.display.console import PlainConsole

RequireBlessingOption = Annotated[
    bool,
    typer.Option("--require-blessing", help="Exit with status 3 if the candidate is refused."),
]


@shown(
    TRAINING,
    "genreflow run --config fma_small --data-dir ~/music/fma",
    "genreflow run -c folder -d ~/music --set training.epochs=3 --work-dir first-try",
    "genreflow run -c mine.toml --require-blessing --json > result.json",
)
@command
def run(
    config: ConfigOption,
    data_dir: DataDirOption = "",
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    overrides: SetOption = None,
    require_blessing: RequireBlessingOption = False,
    json_output: JsonOption = False,
) -> int:
    """Run the whole pipeline, from audio to a pushed model."""
    return _run(config, data_dir, work_dir, overrides or [], require_blessing, json_output)


@shown(TRAINING, "genreflow demo", "genreflow demo --set training.epochs=3")
@command
def demo(
    work_dir: WorkDirOption = "./genreflow-demo",
    overrides: SetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Run everything on a synthetic corpus: no data, a few minutes."""
    return _run("demo", "", work_dir, overrides or [], False, json_output)


def _run(
    name: str,
    data_dir: str,
    work_dir: str,
    overrides: Sequence[str],
    require_blessing: bool,
    json_output: bool,
) -> int:
    """Run the pipeline, print its results, and return the exit status.

    Raises:
      GenreflowError: the run cannot start, or failed.
    """
    from components.common.errors import GenreflowError
    from genreflow.cli.conclusion import Conclusion
    from genreflow.suggested import Typed
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

    typed = Typed(name, data_dir, overrides)
    try:
        with RunDisplay(console) as display:
            results = run_with_events(config, work_dir, display, on_start)
    except GenreflowError as error:
        raise typed.complete(error) from error.__cause__
    [start] = started
    conclusion = Conclusion(
        results, start.work, start.places, start.corpus, time.monotonic() - begun
    )
    status = EXIT_NOT_BLESSED if require_blessing and not results.pushable else 0
    if json_output:
        print_json(conclusion.as_json())
        return status
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
    conclusion.show(out)
    return status


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
