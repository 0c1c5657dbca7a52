"""`genreflow check-data`: tracks that a run would read or reject, and its cost."""

from __future__ import annotations

import collections
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.errors import GenreflowError, UsageError
from genreflow.cli.exit import command
from genreflow.cli.options import ConfigOption, DataDirOption, SetOption
from genreflow.cli.quiet import quiet_stderr

if TYPE_CHECKING:
    from rich.table import Table

    from components.datasets.corpus import Corpus, Listing
    from components.datasets.track import Reject
    from pipeline.config.schema import Config
    from pipeline.display.console import PlainConsole
    from pipeline.prepare import survey

SHOWN_REJECTS = 5


@command
def check_data(
    config_name: ConfigOption,
    data_dir: DataDirOption = "",
    overrides: SetOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="Decode every file; by default only headers are read.")
    ] = False,
    rejects_csv: Annotated[
        str, typer.Option("--rejects", help="Also write the tracks left out to this CSV file.")
    ] = "",
) -> int:
    """Count what a run would read, and estimate its cost."""
    from components.common.errors import SplitError
    from components.datasets.corpus import list_tracks, split_listing
    from components.spectrogram_gen.rejects import check_fraction, write_csv
    from pipeline.config.load import load_config, with_data_dir
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay
    from pipeline.prepare import clip_counts, preflight, runner_checks, survey

    config = with_data_dir(load_config(config_name, overrides or []), data_dir)
    if config.dataset.kind == "synthetic" and not config.dataset.data_dir:
        raise UsageError(
            "a run makes the synthetic corpus itself, so there is no data to check yet; "
            "name an existing corpus with --data-dir"
        )
    listing = list_tracks(config.dataset)
    corpus, problem = None, None
    try:
        corpus = split_listing(listing, config.dataset, config.split)
    except SplitError as error:
        problem = error
    tracks = corpus.tracks if corpus else listing.tracks
    out = PlainConsole()
    with quiet_stderr() as console, RunDisplay(console) as display:
        display({"event": "node_started", "node": "Reading files", "index": 0, "total": 1})
        total = len(tracks)
        display({"event": "progress", "stage": "audio", "done": 0, "total": total})
        found = survey.survey_files(
            tracks,
            config.audio,
            full=full,
            clip_seed=config.dataset.clip_seed,
            limits=config.dataset.decode_limits,
            evaluated=corpus.evaluation_tracks if corpus else (),
            advance=lambda: display({"event": "progress", "stage": "audio", "add": 1}),
        )
    bad = found.unusable
    usable = sum(track.track_id not in bad for track in tracks)
    rejects = sorted([*(corpus or listing).rejects, *found.rejects])
    out.print(_genre_table(listing, corpus, bad))
    for warning in corpus.warnings if corpus else ():  # without one, the error has them
        out.say(("warning:", "yellow"), f" {warning}")
    _print_rejects(out, rejects, full=full)
    clips = usable * config.audio.clips_per_track
    if corpus:
        limits = config.dataset.decode_limits
        clips = clip_counts.corpus_clips(corpus, config.audio, limits, bad)
    _print_cost(out, config, found, usable, total, clips)
    if rejects_csv:
        write_csv(rejects_csv, rejects)
        out.say(f"the list of tracks left out is in {rejects_csv}")
    try:
        preflight.check_weights(config)
        runner_checks.check_runner(config.beam)
        if problem:
            raise problem
        check_fraction(rejects, len(rejects) + usable, config.dataset.max_reject_fraction)
        _check_left(corpus, listing.genres, bad)
        if corpus:
            preflight.check_batches(config, corpus, bad)
    except GenreflowError as error:
        raise UsageError(f"a run would stop here: {error}") from error
    return 0


def _check_left(corpus: Corpus | None, genres: Sequence[str], bad: Collection[str]) -> None:
    """Raise UsageError unless each split has a track, and train one of each genre."""
    from components.datasets.track import SPLITS

    if corpus is None or corpus.leaky:
        return
    left: dict[str, set[str]] = {split: set() for split in SPLITS}
    for track in corpus.tracks:
        if track.track_id not in bad:
            left[corpus.split_of_clip(track.track_id, 0)].add(track.genre)
    empty = [split for split in SPLITS if not left[split]]
    if empty:
        raise UsageError(f"no usable track is left in split {' and '.join(empty)}")
    missing = [genre for genre in genres if genre not in left["train"]]
    if missing:
        raise UsageError(f"no usable track is left in train of {', '.join(missing)}")


def _genre_table(listing: Listing, corpus: Corpus | None, bad: Collection[str]) -> Table:
    """Return the table of usable tracks by genre, and by split if tracks can be split."""
    from rich.table import Table

    from components.datasets.track import SPLITS

    whole = corpus is not None and not corpus.leaky
    columns = SPLITS if whole else ()
    counts: dict[str, collections.Counter[str]] = {
        genre: collections.Counter() for genre in listing.genres
    }
    for track in corpus.tracks if corpus else listing.tracks:
        if track.track_id not in bad:
            counts[track.genre]["all"] += 1
            if whole and corpus:
                counts[track.genre][corpus.split_of_clip(track.track_id, 0)] += 1
    table = Table(title="Tracks that would be read", title_justify="left", min_width=30)
    table.add_column("genre")
    for column in (*columns, "all"):
        table.add_column(column, justify="right")
    for genre in listing.genres:
        table.add_row(genre, *(str(counts[genre][c]) for c in (*columns, "all")))
    table.add_section()
    sums = [sum(counts[genre][c] for genre in listing.genres) for c in (*columns, "all")]
    table.add_row("all", *map(str, sums))
    return table


def _print_rejects(out: PlainConsole, rejects: Sequence[Reject], *, full: bool) -> None:
    from components.datasets.track import REJECT_REASONS

    by_reason: dict[str, list[Reject]] = collections.defaultdict(list)
    for reject in rejects:
        by_reason[reject.reason].append(reject)
    if not rejects:
        out.say("nothing would be left out")
    for reason, meaning in REJECT_REASONS.items():
        found = by_reason.get(reason, [])
        if not found:
            continue
        out.say(f"{len(found)} left out, {reason}: {meaning}")
        alike: dict[str, list[Reject]] = collections.defaultdict(list)
        for reject in found:
            alike[reject.detail].append(reject)
        # Some of each kind, so that many of one kind do not hide another.
        each = max(1, SHOWN_REJECTS // len(alike))
        shown = [reject for group in alike.values() for reject in group[:each]][:SHOWN_REJECTS]
        before = ""
        for reject in shown:
            detail = "likewise" if reject.detail == before else reject.detail
            out.say(f"    {reject.track_id}  {reject.uri}" + (f" ({detail})" if detail else ""))
            before = reject.detail
        if len(found) > len(shown):
            out.say(f"    ... and {len(found) - len(shown)} more")
    if not full:
        out.say(
            "only headers were read; --full decodes every file, and so finds damage inside "
            "files, silence, channels that cancel, and duplicate audio"
        )


def _print_cost(
    out: PlainConsole,
    config: Config,
    found: survey.Survey,
    tracks: int,
    listed: int,
    clips: int,
) -> None:
    from pipeline.config.beam import local_processes
    from pipeline.prepare import disk_space

    params = config.audio
    disk = disk_space.run_bytes(clips, params, config.models)
    out.say(
        f"disk: about {disk / 1e9:.1f} GB, of which "
        f"{disk_space.examples_bytes(clips, params) / 1e6:.0f} MB are examples ({clips} clips)"
    )
    if found.seconds_per_track is None:
        return
    workers = local_processes(config.beam, tracks=listed)
    minutes = tracks * found.seconds_per_track / workers / 60
    out.say(
        f"time: about {max(minutes, 0.1):.1f} minutes for the audio stage "
        f"({found.seconds_per_track * 1000:.0f} ms per track, as measured on a few, with "
        f"{workers} worker{'s' if workers > 1 else ''}); training time depends on the networks"
    )
