"""Swapped labels in a finished run's songs: how many `genreflow explore` lists.

    python -m benchmarks.explore_run WORK_DIR [--swapped 6] [--draws 20]

Takes the stored spectrograms of a finished run, gives some songs another genre, drawn at random,
and judges all labels by the cross-validated classifier alone, as for songs of the training split;
the run's networks were trained on the unswapped labels, so they have no say. Prints for each draw,
and as the mean with its standard error: the length of the list; the number of swapped songs in it,
among its first n and its first 2n places, where n is the number swapped; and the number for which
the suggested genre is the original one. The last line is the list without any swap.
"""

from __future__ import annotations

import numpy as np

from benchmarks.explore import swap
from benchmarks.shared import command
from components.storage.uri import is_remote

COLUMNS = ("listed", "swapped in it", "in first n", "in first 2n", "genre right")


def main() -> None:
    parser = command.parser(__file__, __doc__)
    parser.add_argument("work_dir", help="work folder of a finished run")
    parser.add_argument("--swapped", type=int, default=6)
    parser.add_argument("--draws", type=int, default=20)
    arguments = parser.parse_args()

    from genreflow.exploring import examples_pass
    from genreflow.exploring.label_check.confident import label_issues
    from genreflow.exploring.label_check.held_out import groups_of, out_of_fold
    from genreflow.exploring.run import explore

    run = explore(arguments.work_dir)
    if is_remote(run.examples):
        parser.error("the run's examples must be on this machine")
    features = examples_pass.read(run.examples, run.index, run.config.audio).features
    groups = groups_of(
        [song.track_id for song in run.songs], [song.artist_id for song in run.songs]
    )
    genres, n = len(run.genres), arguments.swapped
    print(f"{len(run.songs)} songs of {genres} genres, {n} labels swapped")
    print(f"| draw | {' | '.join(COLUMNS)} |")
    print("|---|" + "---|" * len(COLUMNS))
    rows = []
    for seed in range(arguments.draws):
        labels, chosen = swap(run.labels, n, genres, seed)
        issues = label_issues(out_of_fold(features, labels, groups, genres), labels)
        hits = np.isin([issue.track for issue in issues], chosen)
        right = sum(
            hit and issue.suggested == run.labels[issue.track]
            for hit, issue in zip(hits, issues, strict=True)
        )
        rows.append([len(issues), hits.sum(), hits[:n].sum(), hits[: 2 * n].sum(), right])
        print(f"| {seed} | {' | '.join(map(str, rows[-1]))} |", flush=True)
    mean = np.mean(rows, axis=0)
    error = np.std(rows, axis=0) / np.sqrt(len(rows))
    cells = [f"{one:.2f} ± {other:.2f}" for one, other in zip(mean, error, strict=True)]
    print(f"| mean | {' | '.join(cells)} |")
    untouched = label_issues(out_of_fold(features, run.labels, groups, genres), run.labels)
    print(f"{len(untouched)} listed without a swap")


if __name__ == "__main__":
    main()
