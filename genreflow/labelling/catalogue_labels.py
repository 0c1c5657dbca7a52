"""Labelling of a whole catalogue with Beam's settings, for the command line and for Python."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.common.resources import usable_cores
from genreflow.labelling import run
from genreflow.labelling.run import OnEvent, Options, Summary
from pipeline.config.beam import BeamSettings, local_processes, pipeline_args
from pipeline.prepare.runner_checks import check_runner, check_seen

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole


def label_catalogue(
    model_dir: str,
    data: str,
    output: str,
    *,
    csv: bool = False,
    resume: bool = False,
    replace: bool = False,
    jobs: int = 0,
    beam: BeamSettings | None = None,
    verbose: bool = True,
) -> Summary:
    """Label a whole catalogue as `genreflow label` does: a table with the genre of each file.

    A second call labels only what is new or changed. The work is done in a process of its own, so
    this one needs no TensorFlow.

    Args:
      model_dir: one version of a model or a folder of versions, local or s3://.
      data: the catalogue: a folder, an s3:// URI or a manifest (.csv).
      output: the table's folder, e.g. "labels.parquet".
      csv: write CSV files, too.
      resume: finish a run that was killed, with its listing.
      replace: label all files anew although the table is of other genres or of another catalogue.
      jobs: files in progress at once in each worker process; 0 for one more than cores.
      beam: where it runs, e.g. `load_beam("beam.toml")`; None for this machine.
      verbose: show progress on stderr.

    Raises:
      UsageError: an argument cannot be used, or another run writes the table.
      GenreflowError: the job ended before the table was complete, or an object store cannot be
        reached.
      KeyboardInterrupt: raised after the child process has ended.
    """
    options = Options(model_dir, data, output, csv=csv, resume=resume, replace=replace, jobs=jobs)
    beam = beam or BeamSettings()
    if not verbose:
        return label_by(options, beam, lambda event: None)
    from pipeline.display.console import PlainConsole

    with screen(PlainConsole(stderr=True)) as on_event:
        return label_by(options, beam, on_event)


def label_by(options: Options, beam: BeamSettings, on_event: OnEvent) -> Summary:
    """Label a catalogue with the runner of `beam`; see `run.label` for events and errors.

    Args:
      options: the options; jobs is 0 for one more than cores.
      beam: Beam's settings.
      on_event: called with every event.
    """
    check_runner(beam)
    check_seen(
        beam,
        {
            "--model-dir": options.model_dir,
            "--data-dir": options.data,
            "--output": options.output,
        },
    )
    # One process with several files in progress does as much as several, with one model in memory;
    # so "auto" is one. Several share this machine's cores.
    if beam.runner == "direct" and not options.jobs:
        share = max(1, usable_cores() // local_processes(beam, tracks=0))
        options = dataclasses.replace(options, jobs=share)
    return run.label(options, pipeline_args(beam, tracks=0), on_event)


@contextlib.contextmanager
def screen(console: PlainConsole) -> Iterator[OnEvent]:
    """Show a run on a console: the model, notes, and the bar."""
    from pipeline.display.progress import RunDisplay

    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "note":
            console.say((event["text"], "yellow"))
        elif event["event"] == "model":
            facts = event["facts"]
            console.say(
                f"model: {facts.uri}, {len(facts.genres)} genres",
                "; trained on synthetic data" if facts.synthetic else "",
            )
        else:
            display(event)

    with RunDisplay(console) as display:
        yield on_event
