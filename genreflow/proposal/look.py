"""Look at a data folder and at this machine, for a draft of a configuration."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import pathlib
import shlex
import tempfile
from collections.abc import Sequence

from components.common.errors import UsageError
from components.common.resources import limit_bytes, usable_cores
from components.datasets.corpus import Listing, list_tracks
from components.datasets.detection import Detected, detect
from components.datasets.files.base import DataFiles
from components.storage.uri import is_remote
from genreflow.labelling.tag_formats import read_artist
from genreflow.proposal.artists import Artists, find_artists, has_tag_reader
from genreflow.proposal.draft import Draft
from genreflow.proposal.file_text import file_text
from genreflow.proposal.networks import Machine, choose_networks
from genreflow.proposal.proposal import Proposal, manifest_rows, propose
from pipeline.config.load import load
from pipeline.config.schema import Config
from pipeline.display.progress import RunDisplay
from pipeline.prepare import clip_counts, cost, survey
from pipeline.prepare.cost import Cost, sentences
from pipeline.process import cuda


def look(
    files: DataFiles,
    name: str,
    target: pathlib.Path,
    *,
    pretrained: bool,
    force: bool,
    display: RunDisplay,
) -> Draft:
    """Look at a data folder and at this machine, and return a draft of a configuration.

    Args:
      files: the data folder.
      name: name of the CSV of songs in it that the user named; "" for none.
      target: where the configuration will be.
      pretrained: whether to start from published weights.
      force: whether the CSV of songs beside the configuration may be replaced.
      display: shows the progress.

    Raises:
      UsageError: the folder holds nothing to train on; the message says why.
      StorageError: the object store cannot be read.
    """
    folder = files.root
    display.begin("Listing songs")
    # Of an earlier draft; the folder may have more songs by now.
    place = target.absolute().with_name(f"{target.stem}-songs.csv")
    own = [place.name] if str(place.parent) == folder and name != place.name else []
    detected = detect(files, name, ignored=own)
    listing = list_tracks(detected.settings)
    machine = Machine(usable_cores(), limit_bytes(), tuple(one.name for one in cuda.cards()))
    choice = choose_networks(machine, pretrained=pretrained)
    artists = _artists(detected, listing, display)
    manifest = None
    with tempfile.TemporaryDirectory(prefix="genreflow-init-") as scratch:
        if artists:
            if place.exists() and not force:
                raise UsageError(
                    f"{place} exists, and would list the songs with their artists; name another "
                    "configuration with --output, or replace both with --force"
                )
            manifest = (place, _csv_text(manifest_rows(listing, artists, files.relative)))
            # Read as the run will read it, from where it is not yet.
            draft = pathlib.Path(scratch, place.name)
            draft.write_text(manifest[1], "utf-8")
            settings = dataclasses.replace(detected.settings, kind="manifest", manifest=str(draft))
            why = f"{detected.why}, and {place.name} names the artists of the songs"
            detected = dataclasses.replace(detected, settings=settings, why=why)
            listing = list_tracks(settings)
        proposal = propose(detected, listing, artists, choice, tags=has_tag_reader())
        if manifest:
            dataset = dataclasses.replace(proposal.dataset, manifest=str(manifest[0]))
            proposal = dataclasses.replace(proposal, dataset=dataset)
    header = [f"Written by `genreflow init` for {folder}, on a machine with {machine}."]
    config = _loaded(_text(header, proposal))
    estimated = _cost(config, proposal, display)
    text = _text(_header(header, target, estimated), proposal)
    return Draft(proposal, estimated, text, manifest)


def _artists(detected: Detected, listing: Listing, display: RunDisplay) -> Artists | None:
    """Return the artists of songs in local genre folders, if they are named somewhere."""
    root = detected.settings.data_dir
    if detected.settings.kind != "folder" or is_remote(root):
        return None
    display.begin("Looking for artists")
    return find_artists(
        listing.tracks,
        root,
        read_artist if has_tag_reader() else None,
        functools.partial(display.count, "audio"),
    )


def _cost(config: Config, proposal: Proposal, display: RunDisplay) -> Cost:
    """Open some songs, and return the estimated cost of a run.

    Raises:
      DatasetError: none of them is music.
    """

    tracks, limits = proposal.corpus.tracks, config.dataset.decode_limits
    tried = survey.some_of(tracks)
    display.begin("Trying some songs")
    display.count("audio", 0, len(tried))
    found = survey.survey_files(
        tried,
        config.audio,
        full=False,
        clip_seed=config.dataset.clip_seed,
        limits=limits,
        advance=lambda: display({"event": "progress", "stage": "audio", "add": 1}),
    )
    if len(found.unusable) == len(tried):
        raise survey.nothing_usable(config.dataset.data_dir, len(tried), found.rejects[0])
    return cost.estimate(
        config,
        clips=clip_counts.corpus_clips(proposal.corpus, config.audio, limits),
        usable=len(tracks),
        listed=len(tracks),
        seconds_per_track=found.seconds_per_track,
    )


def _text(header: Sequence[str], proposal: Proposal) -> str:

    tables, comments = proposal.tables()
    return file_text(header, tables, comments)


def _header(header: Sequence[str], target: pathlib.Path, cost: Cost) -> list[str]:

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

    with tempfile.TemporaryDirectory(prefix="genreflow-init-") as folder:
        path = pathlib.Path(folder, "genreflow.toml")
        path.write_text(text, "utf-8")
        return load(path)


def _csv_text(rows: Sequence[Sequence[str]]) -> str:

    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
