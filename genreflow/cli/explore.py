"""`genreflow explore`: a page with the songs of a finished run, to listen to and to mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.errors import UsageError
from components.common.escape import printable
from genreflow.cli.browser import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    AllowHostOption,
    HostOption,
    OpenOption,
    PortOption,
    open_page,
)
from genreflow.cli.exit import command
from genreflow.cli.help import TRAINING, shown
from genreflow.cli.options import DEFAULT_WORK_DIR, WorkDirOption

if TYPE_CHECKING:
    from pipeline.display.console import PlainConsole


@shown(
    TRAINING,
    "genreflow explore --work-dir genreflow-work",
    "genreflow explore --work-dir genreflow-work --output mended.csv",
)
@command
def explore(
    work_dir: WorkDirOption = DEFAULT_WORK_DIR,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="CSV for all songs with mended labels [default: explore/labels.csv in the work "
            "folder].",
        ),
    ] = "",
    host: HostOption = DEFAULT_HOST,
    port: PortOption = DEFAULT_PORT,
    allow_host: AllowHostOption = None,
    open_it: OpenOption = None,
) -> int:
    """Show the songs of the last run, find wrong labels by listening, and mend them."""
    from genreflow.exploring.explorer import Explorer
    from genreflow.exploring.marking import Marking, MendedPlaces, only_marker
    from genreflow.exploring.preparation import prepare
    from genreflow.exploring.run import explore as read
    from genreflow.suggested import program
    from genreflow.web import runner
    from genreflow.web.app import make_app
    from genreflow.web.explore.page import make_page
    from genreflow.web.explore.views import next_lines
    from pipeline.display.console import PlainConsole
    from pipeline.work_dir import WorkDir
    from serving.server.config.options import OptionError

    console = PlainConsole(stderr=True)
    run = read(str(WorkDir.at(work_dir).root))
    places = MendedPlaces.of(run.folder, output)
    with only_marker(run.folder):
        marking = Marking(run, places)
        try:
            listener = runner.listen(host, port)
        except OptionError as error:
            raise UsageError(str(error)) from error
        with listener:
            explorer = Explorer(run, prepare(run, _progress(console)), marking)
            app = make_app(
                [make_page(explorer, program())],
                host_names=allow_host or (),
                on_failure=lambda text: console.say(printable(text)),
            )
            for line in runner.warnings(host):
                console.say((line, "yellow"))
            url = runner.address(host, listener)
            console.say(
                f"genreflow: {len(run.songs)} songs; held-out predictions contradict the labels of "
                f"{len(explorer.issues)}"
            )
            typer.echo(f"{url}explore")
            console.say("genreflow: open this address in a browser; stop it: Ctrl-C")
            open_page(f"{url}explore", open_it)
            runner.serve(app, listener)
    lines = next_lines(explorer, program())
    if not lines:
        console.say("genreflow: stopped; no mark changes a label")
    else:
        changed = marking.changed()
        differ = "1 song differs" if changed == 1 else f"{changed} songs differ"
        console.say(f"labels     {places.labels}: {differ} from the run")
        console.say(f"changes    {places.changes}")
        for part in marking.empty_parts():
            console.say((f"warning: {printable(part.text)}", "yellow"))
        for line in lines:
            console.say(f"next       {line}")
    return 0


def _progress(console: PlainConsole) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that shows the preparation's events, once for each stage."""
    words = {
        "reading": "reading the spectrograms of {total} songs",
        "judging": "judging every label by a classifier that has not seen it ({total} folds)",
    }
    shown: set[str] = set()

    def show(event: Mapping[str, Any]) -> None:
        stage = event.get("stage") if event["event"] == "preparing" else None
        if stage in words and stage not in shown:
            shown.add(stage)
            console.say(f"genreflow: {words[stage].format(total=event['total'])} ...")

    return show
