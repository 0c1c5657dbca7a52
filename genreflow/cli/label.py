"""`genreflow label`: the genres of a whole catalogue, as a table."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.common.escape import printable
from genreflow.cli import completion
from genreflow.cli.exit import command
from genreflow.cli.help import USE, shown
from genreflow.cli.messages import complain, print_json
from genreflow.cli.options import JsonOption, SetOption

if TYPE_CHECKING:
    from genreflow.labelling.run import Summary
    from pipeline.display.console import PlainConsole

_TAGS, _BEAM = "Tags of the files", "Beam"


@shown(
    USE,
    "genreflow label -m genreflow-work/serving_models/genreflow -d ~/music",
    "genreflow label -m s3://bucket/models/genreflow -d catalogue.csv -o labels.parquet",
    "genreflow label -m models -d ~/music --write-tags --no-dry-run",
)
@command
def label(
    model_dir: Annotated[
        str,
        typer.Option(
            "--model-dir",
            "-m",
            metavar="FOLDER",
            help="Model: a folder of versions, or one version; a path or an s3:// URI.",
        ),
    ],
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            "-d",
            metavar="FOLDER|FILE.csv",
            help="Catalogue: a folder, s3://bucket/folder, or a CSV file with a column uri.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Table of labels: a folder of Parquet files, a path or an s3:// URI.",
        ),
    ] = "labels.parquet",
    write_csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV files, too, into its folder _csv.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Finish an interrupted run with its listing. Without it, files are listed again.",
        ),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Label everything anew in a table of other genres or of another catalogue.",
        ),
    ] = False,
    write_tags: Annotated[
        bool,
        typer.Option(
            "--write-tags", help="Write the genres into the files' tags.", rich_help_panel=_TAGS
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run/--no-dry-run",
            help="With --write-tags, only count what would be written.",
            rich_help_panel=_TAGS,
        ),
    ] = True,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            metavar="SHARE",
            min=0,
            max=1,
            help="With --write-tags, leave out less probable genres.",
            rich_help_panel=_TAGS,
        ),
    ] = 0.5,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="With --write-tags, replace genres of the files.",
            rich_help_panel=_TAGS,
        ),
    ] = False,
    runner: Annotated[
        str,
        typer.Option(
            "--runner",
            metavar="NAME",
            help="Beam's runner; as --set beam.runner=NAME.",
            autocompletion=completion.runners,
            rich_help_panel=_BEAM,
        ),
    ] = "",
    config_name: Annotated[
        str,
        typer.Option(
            "--config",
            "-c",
            metavar="NAME|FILE",
            help="A TOML file whose table [beam] counts.",
            autocompletion=completion.configurations,
            rich_help_panel=_BEAM,
        ),
    ] = "demo",
    overrides: SetOption = None,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            max=64,
            help="Files in progress at once in a worker [default: cores + 1].",
            rich_help_panel=_BEAM,
        ),
    ] = None,
    json_output: JsonOption = False,
) -> int:
    """Label a whole catalogue: a table with the genre of each file.

    Rerun it to label what is new or changed, or to finish an interrupted run. Exit status: 0 if
    the table is complete, files that cannot be read included; 1 if it is not; 2 if an option
    cannot be used.
    """
    from genreflow.cli.quiet import quiet_stderr
    from genreflow.labelling import catalogue_labels
    from genreflow.labelling.run import Options
    from genreflow.labelling.tags import TagOptions
    from pipeline.config.load import load_beam
    from pipeline.display.console import PlainConsole

    chosen = [*(overrides or []), *([f"beam.runner={json.dumps(runner)}"] if runner else [])]
    beam = load_beam(config_name, chosen)
    options = Options(
        model_dir=model_dir,
        data=data_dir,
        output=output,
        csv=write_csv,
        resume=resume,
        replace=replace,
        jobs=jobs or 0,
        tags=TagOptions(min_probability, overwrite, dry_run) if write_tags else None,
    )
    with quiet_stderr() as console, catalogue_labels.screen(console) as on_event:
        summary = catalogue_labels.label_by(options, beam, on_event)
    if json_output:
        print_json(dataclasses.asdict(summary))
    else:
        _show(PlainConsole(), summary, options)
    return 0


def _show(out: PlainConsole, summary: Summary, options: Any) -> None:
    from components.datasets.track import REJECT_REASONS
    from pipeline.display.tables import bare

    with_genre = sum(summary.genres.values())
    out.say(
        (f"{summary.files} files", "bold"),
        f": {with_genre} with a label, {sum(summary.rejects.values())} without; "
        f"{summary.labelled} were read now, {summary.kept} rows kept from before",
        f"; {summary.gone} rows of files that are gone were removed" if summary.gone else "",
    )
    if with_genre:
        table = bare("left", "right", "right")
        for genre, number in sorted(summary.genres.items(), key=lambda item: -item[1]):
            table.add_row(genre, str(number), f"{number / with_genre:.1%}")
        out.print(table)
    for reason, meaning in REJECT_REASONS.items():
        if summary.rejects.get(reason):
            said = _MEANINGS.get(reason, meaning)
            out.say(f"{summary.rejects[reason]} without a label, {reason}: {said}")
    if options.tags:
        _show_tags(out, summary, options)
    out.say("the table: ", (summary.output, "bold"))
    out.say(f"read it with pandas.read_parquet({summary.output!r}), Spark or DuckDB")


# Where a reject reason means another thing than in a run.
_MEANINGS = {"duplicate": "the catalogue lists it more than once"}
_OUTCOMES = {
    "written": "genre written",
    "would_write": "genre would be written",
    "same": "this genre already",
    "has_genre": "another genre, which --overwrite would replace",
    "improbable": "genre below --min-probability, not written",
    "no_tags": "not written in this format or place",
    "changed": "not written, as the file changed since it was listed",
    "failed": "could not be written",
}


def _show_tags(out: PlainConsole, summary: Summary, options: Any) -> None:
    report = summary.tags
    for outcome, text in _OUTCOMES.items():
        if report.outcomes.get(outcome):
            out.say(f"tags of {report.outcomes[outcome]} files: {text}")
    for uri, genre in report.examples:
        out.say(f"    {uri}: {genre}")
    for uri, why in report.problems:
        complain(printable(f"{uri}: {why}"))
    if options.tags.dry_run:
        out.say(("nothing was written into the files: this was a dry run (--no-dry-run)", "yellow"))
