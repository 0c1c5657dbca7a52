"""`genreflow check-data`: tracks that a run would read or reject, and its cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.errors import GenreflowError, UsageError
from components.storage.uri import is_remote
from genreflow.cli.exit import command
from genreflow.cli.help import DATA, shown
from genreflow.cli.messages import print_json
from genreflow.cli.options import ConfigOption, DataDirOption, JsonOption, SetOption
from genreflow.cli.places import check_file
from genreflow.cli.quiet import quiet_stderr

if TYPE_CHECKING:
    from components.datasets.corpus import Corpus


@shown(
    DATA,
    "genreflow check-data --config folder --data-dir ~/music",
    "genreflow check-data -c folder -d ~/music --full --rejects left_out.csv",
    "genreflow check-data -c folder -d s3://bucket/music --json",
)
@command
def check_data(
    config_name: ConfigOption,
    data_dir: DataDirOption = "",
    overrides: SetOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="Decode every file; by default only headers are read.")
    ] = False,
    rejects_csv: Annotated[
        str,
        typer.Option(
            "--rejects", metavar="FILE", help="Also write the tracks left out to this CSV file."
        ),
    ] = "",
    json_output: JsonOption = False,
) -> int:
    """Count what a run would read, and estimate its cost."""
    from components.common.errors import SplitError
    from components.datasets.corpus import list_tracks, split_listing
    from components.spectrogram_gen.rejects import check_fraction, write_csv
    from genreflow.cli.data_screen import DataReport
    from genreflow.suggested import Typed, line_of
    from pipeline.config.load import load_config, with_data_dir
    from pipeline.display.console import PlainConsole
    from pipeline.display.progress import RunDisplay
    from pipeline.prepare import clip_counts, cost, preflight, runner_checks, survey

    config = with_data_dir(load_config(config_name, overrides or []), data_dir)
    if rejects_csv and not is_remote(rejects_csv):
        check_file(rejects_csv, "--rejects", "rejects.csv")
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
    with quiet_stderr() as console, RunDisplay(console) as display:
        display.begin("Reading files")
        total = len(tracks)
        display.count("audio", 0, total)
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
    clips = usable * config.audio.clips_per_track
    if corpus:
        limits = config.dataset.decode_limits
        clips = clip_counts.corpus_clips(corpus, config.audio, limits, bad)
    costs = cost.estimate(
        config,
        clips=clips,
        usable=usable,
        listed=total,
        seconds_per_track=found.seconds_per_track,
    )
    report = DataReport(config.dataset, listing, corpus, bad, rejects, costs, full)
    if not json_output:
        report.show(PlainConsole())
    if rejects_csv:
        write_csv(rejects_csv, rejects)
        if not json_output:
            PlainConsole().say(f"the list of tracks left out is in {rejects_csv}")
    stop = ""
    typed = Typed(config_name, data_dir, overrides or [])
    try:
        if problem:
            raise problem
        check_fraction(rejects, len(rejects) + usable, config.dataset.max_reject_fraction)
        _check_left(corpus, listing.genres, bad)
        if corpus:
            preflight.check_batches(config, corpus, bad)
        preflight.check_weights(config)
        runner_checks.check_runner(config.beam)
    except GenreflowError as error:
        stop = str(typed.complete(error))
    next_lines = [] if stop else [typed.line("run")]
    notes = [
        f"the weights of {name} are not here yet: a run downloads them first; to do it now: "
        f"{line_of('download', 'weights', name)}"
        for name in preflight.weights_to_download(config)
    ]
    if json_output:
        print_json({**report.as_json(stop), "notes": notes, "next": next_lines})
    else:
        out = PlainConsole()
        for note in notes:
            out.say(f"note: {note}")
        for line in next_lines:
            out.say(f"next       {line}")
    if stop:
        raise UsageError(f"a run would stop here: {stop}")
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
