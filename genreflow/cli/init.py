"""`genreflow init`: a configuration for a folder of music."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from components.common.errors import UsageError
from components.storage.uri import is_remote
from genreflow.cli.exit import command
from genreflow.cli.help import DATA, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import JsonOption
from genreflow.cli.places import check_file
from genreflow.cli.quiet import quiet_stderr


@shown(
    DATA,
    "genreflow init ~/music",
    "genreflow init s3://bucket/music --output mine.toml",
    "genreflow init ~/music/songs.csv --pretrained --force",
)
@command
def init(
    data_dir: Annotated[
        str,
        typer.Argument(
            metavar="DATA_DIR",
            help="Folder of music (a path or s3://bucket/folder), or a CSV of songs in it.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="The configuration to write."),
    ] = "genreflow.toml",
    pretrained: Annotated[
        bool,
        typer.Option(
            "--pretrained", help="Start from musicnn's published weights, which are downloaded."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    json_output: JsonOption = False,
) -> int:
    """Look at a folder of music, and write a commented configuration for it.

    Finds out what kind of data set it is, its genres, how to split it, and which networks suit
    this machine. Opens a few of the songs, and changes none. If artists are known from tags or
    names, it also writes a CSV of the songs with their artists, beside the configuration.
    """
    from genreflow.proposal.look import look
    from genreflow.proposal.place import find_place
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay

    files, manifest = find_place(data_dir)
    if is_remote(output):
        raise UsageError(f"--output {output}: write it to a local file, and copy it")
    target = pathlib.Path(output)
    check_file(output, "--output", "my.toml")
    if target.exists() and not force:
        raise UsageError(
            f"{target} exists; name another file with --output, or replace it with --force"
        )
    with quiet_stderr() as console, RunDisplay(console) as display:
        draft = look(files, manifest, target, pretrained=pretrained, force=force, display=display)
    draft.write(target)
    if json_output:
        print_json(draft.as_json(target))
        return 0
    out = PlainConsole()
    for line in draft.lines(target):
        out.say(line)
    return 0
