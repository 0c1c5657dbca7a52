"""Coverage, false blessings, power and time of the gate's statistics, on simulated test splits.

    python -m benchmarks.gate_power [--trials 2000] [--seed 0] [--tables time coverage ...]

A test split has eight genres, from 20 points above to 20 points below the mean accuracy. Models'
predictions are correlated, as some tracks are hard for all models, and so are the tracks of an
artist. Each model has a normal score for every track, of which a share (`likeness`) belongs
to the artist. The model is right if the score is below the quantile of its accuracy for the genre.
Both parts of the score are correlated between models (`CORRELATION`). The gate's own functions and
rules are called, with 1,000 resamples an interval.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmarks.shared import command
from components.gate import rules
from components.gate.comparison import Comparison, compare
from components.gate.settings import GateSettings
from components.predictions import resampling
from components.predictions.interval import Interval

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RESAMPLES = 1000
# Each genre's accuracy minus the mean.
OFFSETS = np.array([0.2, 0.15, 0.1, 0.05, -0.05, -0.1, -0.15, -0.2])
BASELINE_ACCURACY = 0.50
SIZES = (64, 200, 800)
GAINS = (0.0, 0.05, 0.10, 0.15)
MARGINS = (0.0, 0.02, 0.05)
MODELS = ("candidate", "baseline", "ensemble", "serving")
# Of the scores. The ensemble averages all models and so contains the candidate. The serving model
# is similar to the candidate, from an earlier training.
CORRELATION = np.array(
    [
        [1.0, 0.5, 0.85, 0.7],
        [0.5, 1.0, 0.7, 0.5],
        [0.85, 0.7, 1.0, 0.75],
        [0.7, 0.5, 0.75, 1.0],
    ]
)


@dataclasses.dataclass(frozen=True)
class Design:
    """Design of a test split.

    Attributes:
      tracks: number of tracks.
      artist_tracks: tracks of each artist; 0: one to twenty, geometric with mean five.
      likeness: share of a track's score that its artist's tracks have in common.
    """

    tracks: int
    artist_tracks: int = 1
    likeness: float = 0.0

    def groups(self, rng: np.random.Generator) -> Integers:
        """Draw the artist of each track, `[tracks]`."""
        if self.artist_tracks:
            return np.arange(self.tracks) // self.artist_tracks
        sizes = np.minimum(rng.geometric(0.2, size=self.tracks), 20)
        return np.repeat(np.arange(self.tracks), sizes)[: self.tracks]

    def __str__(self) -> str:
        if self.artist_tracks == 1:
            return f"{self.tracks} tracks, no artists known"
        size = f"of {self.artist_tracks}" if self.artist_tracks else "of 1 to 20"
        return f"{self.tracks} tracks, artists {size} tracks, likeness {self.likeness}"


def genre_accuracies(accuracy: float) -> Floats:
    """Return the accuracy for each genre, `[genres]`; clipped to 1, which can lower the mean."""
    return np.clip(accuracy + OFFSETS, 0, 1)


def simulate(
    design: Design, accuracy: Mapping[str, float], groups: Integers, rng: np.random.Generator
) -> tuple[dict[str, Floats], Integers]:
    """Return for each model 1 where it is right, `[tracks]`, and each track's genre."""
    names = list(accuracy)
    places = [MODELS.index(name) for name in names]
    factor = np.linalg.cholesky(CORRELATION[np.ix_(places, places)])
    artists = int(groups.max()) + 1
    own = factor @ rng.standard_normal((len(names), design.tracks))
    common = (factor @ rng.standard_normal((len(names), artists)))[:, groups]
    score = np.sqrt(1 - design.likeness) * own + np.sqrt(design.likeness) * common
    genre = rng.permutation(np.arange(design.tracks) % len(OFFSETS))
    right = {
        name: (row < special.ndtri(genre_accuracies(accuracy[name])[genre])).astype(float)
        for name, row in zip(names, score, strict=True)
    }
    return right, genre


def trials(
    count: int, design: Design, accuracy: Mapping[str, float], seed: int
) -> Iterator[tuple[dict[str, Floats], Integers, Integers]]:
    """Yield simulated splits: right or not for each model, genres, artists."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        groups = design.groups(rng)
        right, genre = simulate(design, accuracy, groups, rng)
        yield right, genre, groups


def plain_percentile(difference: Floats, groups: Integers) -> tuple[float, float]:
    """Return the plain percentile interval, without the corrections of resampling.py."""
    sums, sizes = np.bincount(groups, difference), np.bincount(groups)
    statistics = np.column_stack([sums, sizes])
    rng = np.random.default_rng(resampling.SEED)
    (totals,) = [w @ statistics for w in resampling.drawn_weights(len(sums), RESAMPLES, rng)]
    low, high = np.percentile(totals[:, 0] / totals[:, 1], [2.5, 97.5])
    return float(low), float(high)


def print_coverage(count: int, seed: int) -> None:
    """Print how often intervals cover the true difference, and how often equal models differ."""
    print("| test split | accuracies | coverage | plain percentile | equal models blessed |")
    print("|---|---|---|---|---|")
    designs = [
        (Design(64), 0.5),
        (Design(64, 4, 0.4), 0.5),
        (Design(64, 8, 0.4), 0.5),
        (Design(64, 0, 0.4), 0.5),
        (Design(200), 0.5),
        (Design(200, 0, 0.4), 0.5),
        (Design(800), 0.5),
        (Design(800, 0, 0.4), 0.5),
        (Design(64), 0.75),
        (Design(64, 4, 0.4), 0.75),
        (Design(64), 0.95),
        (Design(64, 4, 0.4), 0.95),
        (Design(200, 0, 0.4), 0.95),
        (Design(64, 8, 0.8), 0.5),
        (Design(64, 4, 0.8), 0.9),
    ]
    for design, base in designs:
        accuracy = {"candidate": base + 0.05, "baseline": base}
        ours, theirs = (float(genre_accuracies(share).mean()) for share in accuracy.values())
        gain = ours - theirs
        covered = plain = 0
        for right, _, groups in trials(count, design, accuracy, seed):
            a, b = right["candidate"], right["baseline"]
            found = resampling.paired_difference(a, b, groups, resamples=RESAMPLES)
            covered += found.low - 1e-9 <= gain <= found.high + 1e-9
            low, high = plain_percentile(a - b, groups)
            plain += low - 1e-9 <= gain <= high + 1e-9
        equal = {"candidate": base, "baseline": base}
        blessed = sum(
            beats(right, groups, 0.0) for right, _, groups in trials(count, design, equal, seed + 1)
        )
        print(
            f"| {design} | {ours:.2f}, {theirs:.2f} | {covered / count:.1%} | "
            f"{plain / count:.1%} | {blessed / count:.1%} |",
            flush=True,
        )


def beats(right: Mapping[str, Floats], groups: Integers, margin: float) -> bool:
    """Return whether the rule beats_baseline passes."""
    found = compare_candidate(right, "baseline", groups, RESAMPLES)
    return rules.beats_baseline(GateSettings(baseline_margin=margin), found).outcome == "pass"


def compare_candidate(
    right: Mapping[str, Floats], other: str, groups: Integers, resamples: int
) -> Comparison:
    """Compare the candidate with another model. One resample will do if the interval is unused."""
    return compare(other, right["candidate"], right[other], groups, resamples=resamples)


def print_power(count: int, seed: int) -> None:
    """Print how often beats_baseline passes, by true gain, margin and test split."""
    head = " | ".join(f"{100 * gain:.0f} points" for gain in GAINS)
    print(f"| test split | margin | {head} |")
    print("|---|---|" + "---|" * len(GAINS))
    designs = [Design(size) for size in SIZES] + [Design(size, 0, 0.4) for size in SIZES]
    for design in designs:
        passed = np.zeros((len(MARGINS), len(GAINS)))
        for column, gain in enumerate(GAINS):
            accuracy = {"candidate": BASELINE_ACCURACY + gain, "baseline": BASELINE_ACCURACY}
            for right, _, groups in trials(count, design, accuracy, seed):
                found = compare_candidate(right, "baseline", groups, RESAMPLES)
                for row, margin in enumerate(MARGINS):
                    settings = GateSettings(baseline_margin=margin)
                    passed[row, column] += rules.beats_baseline(settings, found).outcome == "pass"
        for margin, row in zip(MARGINS, passed / count, strict=True):
            shares = " | ".join(f"{share:.0%}" for share in row)
            print(f"| {design} | {margin} | {shares} |", flush=True)


def print_all_rules(count: int, seed: int) -> None:
    """Print how often each rule passes, and all together, with the default settings."""
    ids = ("absolute_floor", "beats_baseline", "holds_ensemble", "holds_serving", "genre_recall")
    print(f"| test tracks | true gain | {' | '.join(ids)} | all |")
    print("|---|---|" + "---|" * (len(ids) + 1))
    settings = GateSettings()
    for size in SIZES:
        for gain in GAINS[1:]:
            ours = BASELINE_ACCURACY + gain
            accuracy = {
                "candidate": ours, "baseline": BASELINE_ACCURACY, "ensemble": ours, "serving": ours,
            }  # fmt: skip
            passed = np.zeros(len(ids) + 1)
            for right, genre, groups in trials(count, Design(size), accuracy, seed):
                outcomes = [
                    rules.absolute_floor(
                        settings,
                        _share(right["candidate"]),
                        len(OFFSETS),
                        tracks=size,
                        groups=size,
                    ),
                    rules.beats_baseline(
                        settings, compare_candidate(right, "baseline", groups, RESAMPLES)
                    ),
                    rules.holds_ensemble(settings, compare_candidate(right, "ensemble", groups, 1)),
                    rules.holds_serving(settings, compare_candidate(right, "serving", groups, 1)),
                    rules.genre_recall(
                        settings,
                        {
                            str(g): _share(right["candidate"][genre == g])
                            for g in range(len(OFFSETS))
                        },
                        {str(g): int((genre == g).sum()) for g in range(len(OFFSETS))},
                    ),
                ]
                assert tuple(rule.id for rule in outcomes) == ids
                each = [rule.outcome == "pass" for rule in outcomes]
                passed += [*each, all(each)]
            shares = " | ".join(f"{share:.0%}" for share in passed / count)
            print(f"| {size} | {100 * gain:.0f} points | {shares} |", flush=True)


def _share(right: Floats) -> Interval:
    """Return the share that is right, as an interval of no width."""
    share = float(right.mean())
    return Interval(share, share, share)


def print_tolerance(count: int, seed: int) -> None:
    """Print how often holds_serving passes by the estimate, as in the gate, and by the interval."""
    tolerance = GateSettings().serving_tolerance
    print("| test tracks | candidate | passes by the estimate | passes if proven by the interval |")
    print("|---|---|---|---|")
    for size in SIZES:
        for loss in (0.0, 0.02, 0.05, 0.10):
            accuracy = {"candidate": 0.6 - loss, "serving": 0.6}
            estimate = proven = 0
            for right, _, groups in trials(count, Design(size), accuracy, seed):
                found = compare_candidate(right, "serving", groups, RESAMPLES)
                estimate += rules.holds_serving(GateSettings(), found).outcome == "pass"
                proven += found.difference.low > -tolerance
            shown = f"{100 * loss:.0f} points worse" if loss else "equal"
            print(
                f"| {size} | {shown} | {estimate / count:.0%} | {proven / count:.0%} |", flush=True
            )


def print_times(repeats: int = 5) -> None:
    """Print the seconds of one comparison, and the process's peak memory."""
    print("| tracks | resamples | seconds (median) |")
    print("|---|---|---|")
    rng = np.random.default_rng(0)
    for tracks in (64, 200, 800, 8000):
        a, b = rng.random((2, tracks)) < 0.5
        seconds = []
        for _ in range(repeats):
            begun = time.monotonic()
            resampling.paired_difference(a, b, np.arange(tracks), resamples=10_000)
            seconds.append(time.monotonic() - begun)
        print(f"| {tracks} | 10,000 | {float(np.median(seconds)):.2f} |", flush=True)
    print(f"\nPeak memory of the process: {command.peak_bytes() / 2**20:.0f} MB.")


def print_correlations(seed: int) -> None:
    """Print how the scores' correlations translate to right and wrong predictions."""
    accuracy = dict.fromkeys(MODELS, 0.6)
    right, _ = simulate(Design(200_000), accuracy, np.arange(200_000), np.random.default_rng(seed))
    for name in MODELS[1:]:
        both = float(np.corrcoef(right["candidate"], right[name])[0, 1])
        apart = float((right["candidate"] != right[name]).mean())
        print(f"- candidate and {name}: correlation {both:.2f}; {apart:.0%} of tracks differ")


def keep_draws() -> None:
    """Cache the draws of each number of groups, which are the same in every trial.

    Results stay the same. print_times runs before, so that it measures the drawing too.
    """
    kept: dict[tuple[int, int], list[Floats]] = {}
    draw = resampling.drawn_weights

    def drawn(groups: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
        if (groups, resamples) not in kept:
            kept[groups, resamples] = list(draw(groups, resamples, generator))
        return iter(kept[groups, resamples])

    resampling.drawn_weights = drawn


TABLES = {
    "coverage": ("Coverage of the 95 % interval", print_coverage),
    "power": (
        f"Passes of beats_baseline by the true gain over a baseline of {BASELINE_ACCURACY}",
        print_power,
    ),
    "rules": ("Passes of each rule with the default settings", print_all_rules),
    "tolerance": ("Passes of holds_serving by the candidate's true loss", print_tolerance),
}


def main() -> None:
    """Print tables in Markdown."""
    parser = command.parser(__file__, __doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    names = ("time", *TABLES)
    parser.add_argument("--tables", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    if "time" in arguments.tables:
        print("Time of one comparison\n")
        print_times()
        print("\nCorrelation of right and wrong predictions at an accuracy of 0.6\n")
        print_correlations(arguments.seed)
    keep_draws()
    for name, (title, show) in TABLES.items():
        if name in arguments.tables:
            print(f"\n{title}\n")
            show(arguments.trials, arguments.seed)


if __name__ == "__main__":
    main()
