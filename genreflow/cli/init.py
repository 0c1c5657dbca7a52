"""`genreflow init`: a configuration for a folder of music."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.errors import DatasetError, UsageError
from components.common.escape import printable
from components.storage.uri import checked_place, is_remote
from genreflow.cli.exit import command
from genreflow.cli.help import DATA, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import JsonOption
from genreflow.cli.quiet import quiet_stderr

if TYPE_CHECKING:
    from components.datasets.corpus import Listing
    from components.datasets.detection import Detected
    from genreflow.proposal.artists import Artists
    from genreflow.proposal.proposal import Proposal
    from pipeline.config.schema import Config
    from pipeline.display.progress import RunDisplay
    from pipeline.prepare.cost import Cost

# Files that are opened to see whether they are music, and how long one takes.
_TRIED_FILES = 24


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
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay

    if is_remote(output):
        raise UsageError(f"--output {output}: write it to a local file, and copy it")
    target = pathlib.Path(output)
    _check_target(target, force=force)
    with quiet_stderr() as console, RunDisplay(console) as display:
        found = _look(data_dir, target, pretrained=pretrained, display=display)
    found.write(target)
    if json_output:
        print_json(found.as_json(target))
        return 0
    out = PlainConsole()
    for line in found.lines(target):
        out.say(line)
    return 0


@dataclasses.dataclass(frozen=True)
class _Found:
    """Proposal with what it costs, and the text of its files."""

    proposal: Proposal
    cost: Cost
    text: str
    manifest: tuple[pathlib.Path, str] | None

    def write(self, target: pathlib.Path) -> None:
        from components.artifacts.files import write_text

        if self.manifest:
            write_text(str(self.manifest[0]), self.manifest[1])
        write_text(str(target), self.text)

    def commands(self, target: pathlib.Path) -> list[str]:
        config = ["--config", str(target)]
        return [shlex.join(["genreflow", name, *config]) for name in ("check-data", "run")]

    def as_json(self, target: pathlib.Path) -> dict[str, Any]:
        proposal = self.proposal
        return {
            "config": str(target),
            "manifest": str(self.manifest[0]) if self.manifest else None,
            "data_dir": proposal.dataset.data_dir,
            "kind": proposal.dataset.kind,
            "genres": {name: proposal.counts[name] for name in proposal.corpus.genres},
            "genres_left_out": {name: proposal.counts[name] for name in proposal.unused},
            "split": proposal.split.policy,
            "networks": list(proposal.choice.models),
            "notes": list(proposal.notes),
            "cost": dataclasses.asdict(self.cost),
            "next": self.commands(target),
        }

    def lines(self, target: pathlib.Path) -> list[str]:
        from pipeline.prepare.cost import sentences

        proposal = self.proposal
        songs = sum(proposal.counts.values())
        check, run = self.commands(target)
        return [
            f"{proposal.dataset.data_dir}: {songs} songs of {len(proposal.counts)} genres (kind "
            f'"{proposal.dataset.kind}", as {proposal.detected.why})',
            *(f"left out: {name}, {proposal.counts[name]} songs" for name in proposal.unused[:5]),
            f"split: {proposal.split.policy}",
            *(f"  {note}" for note in proposal.notes),
            f"networks: {', '.join(proposal.choice.models)}: {proposal.choice.why}",
            *sentences(self.cost),
            *([f"written    {self.manifest[0]}"] if self.manifest else []),
            f"written    {target}",
            f"next       {check}",
            f"then       {run}",
        ]


def _check_target(target: pathlib.Path, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"--output {target}: this is a folder; name a file, such as my.toml")
    if target.exists() and not force:
        raise UsageError(
            f"{target} exists; name another file with --output, or replace it with --force"
        )
    folder = target.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"--output {target}: there is no folder {folder}; create it first")


def _look(data_dir: str, target: pathlib.Path, *, pretrained: bool, display: RunDisplay) -> _Found:
    """Look at the data and the machine, and return a proposal."""
    from components.common.resources import limit_bytes, usable_cores
    from components.datasets.corpus import list_tracks
    from components.datasets.detection import detect
    from components.datasets.files.open import open_files
    from genreflow.proposal.networks import Machine, choose_networks
    from genreflow.proposal.proposal import manifest_rows, propose
    from pipeline.process import cuda

    folder, name = _folder_and_manifest(data_dir)
    _check_text(folder)
    files = open_files(folder)
    _start(display, "Listing songs")
    detected = detect(files, name)
    listing = list_tracks(detected.settings)
    machine = Machine(usable_cores(), limit_bytes(), tuple(one.name for one in cuda.cards()))
    choice = choose_networks(machine, pretrained=pretrained)
    artists = _artists(detected, listing, display)
    manifest = None
    with tempfile.TemporaryDirectory(prefix="genreflow-init-") as scratch:
        if artists:
            place = target.absolute().with_name(f"{target.stem}-songs.csv")
            manifest = (place, _csv_text(manifest_rows(listing, artists, files.relative)))
            # Read as the run will read it, from where it is not yet.
            draft = pathlib.Path(scratch, place.name)
            draft.write_text(manifest[1], "utf-8")
            settings = dataclasses.replace(detected.settings, kind="manifest", manifest=str(draft))
            detected = dataclasses.replace(detected, settings=settings)
            listing = list_tracks(settings)
        from genreflow.proposal.artists import has_tag_reader

        proposal = propose(detected, listing, artists, choice, tags=has_tag_reader())
        if manifest:
            dataset = dataclasses.replace(proposal.dataset, manifest=str(manifest[0]))
            proposal = dataclasses.replace(proposal, dataset=dataset)
    header = [f"Written by `genreflow init` for {folder}, on a machine with {machine}."]
    config = _loaded(_text(header, proposal))
    cost = _cost(config, proposal, display)
    return _Found(proposal, cost, _text(_header(header, target, cost), proposal), manifest)


def _folder_and_manifest(data_dir: str) -> tuple[str, str]:
    """Return the data folder, and the name of a CSV in it if that is what was named."""
    place = checked_place(data_dir, "DATA_DIR")
    if not is_remote(place):
        place = str(pathlib.Path(place).expanduser().absolute())
    if place.lower().endswith(".csv") and (is_remote(place) or os.path.isfile(place)):
        folder, _, name = place.rpartition("/")
        return folder, name
    return place, ""


def _check_text(folder: str) -> None:
    from pipeline.config.toml_text import toml_string

    try:
        toml_string(folder)
    except ValueError as error:
        raise UsageError(
            f"{printable(folder)}: its name is not UTF-8, so no configuration can hold it; rename "
            "the folder, or make a link to it"
        ) from error


def _artists(detected: Detected, listing: Listing, display: RunDisplay) -> Artists | None:
    """Return the artists of songs in local genre folders, if they are named somewhere."""
    from genreflow.labelling.tag_formats import read_artist
    from genreflow.proposal.artists import find_artists, has_tag_reader

    root = detected.settings.data_dir
    if detected.settings.kind != "folder" or is_remote(root):
        return None
    _start(display, "Looking for artists")

    def advance(done: int, total: int) -> None:
        display({"event": "progress", "stage": "audio", "done": done, "total": total})

    return find_artists(listing.tracks, root, read_artist if has_tag_reader() else None, advance)


def _cost(config: Config, proposal: Proposal, display: RunDisplay) -> Cost:
    """Open some songs, and return the estimated cost of a run.

    Raises:
      DatasetError: none of them is music.
    """
    from pipeline.prepare import clip_counts, cost, survey

    tracks, limits = proposal.corpus.tracks, config.dataset.decode_limits
    tried = tracks[:: max(1, len(tracks) // _TRIED_FILES)][:_TRIED_FILES]
    _start(display, "Trying some songs")
    display({"event": "progress", "stage": "audio", "done": 0, "total": len(tried)})
    found = survey.survey_files(
        tried,
        config.audio,
        full=False,
        clip_seed=config.dataset.clip_seed,
        limits=limits,
        advance=lambda: display({"event": "progress", "stage": "audio", "add": 1}),
    )
    if len(found.unusable) == len(tried):
        first = found.rejects[0]
        raise DatasetError(
            f"{config.dataset.data_dir}: none of {len(tried)} files that were tried is music that "
            f"can be read; {first.uri}: {first.detail or first.reason}"
        )
    return cost.estimate(
        config,
        clips=clip_counts.corpus_clips(proposal.corpus, config.audio, limits),
        usable=len(tracks),
        listed=len(tracks),
        seconds_per_track=found.seconds_per_track,
    )


def _text(header: Sequence[str], proposal: Proposal) -> str:
    from genreflow.proposal.file_text import file_text

    tables, comments = proposal.tables()
    return file_text(header, tables, comments)


def _header(header: Sequence[str], target: pathlib.Path, cost: Cost) -> list[str]:
    from pipeline.prepare.cost import sentences

    return [
        *header,
        "",
        f"genreflow check-data --config {shlex.quote(str(target))}",
        f"genreflow run --config {shlex.quote(str(target))}",
        "",
        *(f"Estimated {sentence}." for sentence in sentences(cost)),
    ]


def _loaded(text: str) -> Config:
    """Return the configuration that a text is, by the loader of all configurations."""
    from pipeline.config.load import load

    with tempfile.TemporaryDirectory(prefix="genreflow-init-") as folder:
        path = pathlib.Path(folder, "genreflow.toml")
        path.write_text(text, "utf-8")
        return load(path)


def _csv_text(rows: Sequence[Sequence[str]]) -> str:
    import csv
    import io

    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _start(display: Callable[[dict[str, Any]], None], label: str) -> None:
    display({"event": "node_started", "node": label, "index": 0, "total": 1})
