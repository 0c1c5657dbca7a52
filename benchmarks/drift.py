"""False alarms of the comparison with earlier data, and the changes that it finds.

    python -m benchmarks.drift [--rounds 200]

Each round draws two sets of songs from the same population, or one from a changed population, makes
TFDV's statistics of them, and compares them as DataCheck does. docs/operations/drift.md has the
tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.data_check import drift, statistics
from components.data_check.settings import DataCheckSettings

GENRES = 8
SIZES = ((50, 50), (100, 100), (200, 200), (500, 500), (2000, 2000), (2000, 100))
Numbers = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Numbers]


def gaussian(rng: np.random.Generator, songs: int) -> Numbers:
    """Return levels around -40 dB, as loud genres' are."""
    return rng.normal(-40, 6, (songs, len(statistics.NUMBERS)))


def skewed(rng: np.random.Generator, songs: int) -> Numbers:
    """Return levels with a long tail of quiet songs."""
    return -30 - rng.gamma(2.0, 5.0, (songs, len(statistics.NUMBERS)))


def two_groups(rng: np.random.Generator, songs: int) -> Numbers:
    """Return levels of two kinds of music."""
    kind = rng.random((songs, 1)) < 0.3
    return np.where(kind, -60, -35) + rng.normal(0, 4, (songs, len(statistics.NUMBERS)))


CHANGES: dict[str, Callable[[Numbers], Numbers]] = {
    "3 dB lower": lambda numbers: numbers - 3,
    "6 dB lower": lambda numbers: numbers - 6,
    "half as far spread": lambda numbers: numbers.mean(axis=0) + (numbers - numbers.mean(0)) / 2,
}


def drifts(
    rng: np.random.Generator,
    draw: Draw,
    sizes: tuple[int, int],
    settings: DataCheckSettings,
    change: Callable[[Numbers], Numbers] = lambda numbers: numbers,
    shares: npt.NDArray[np.float64] | None = None,
) -> bool:
    """Return whether two sets of songs are taken for drift."""
    made = []
    for index, songs in enumerate(sizes):
        numbers = draw(rng, songs)
        weights = shares if index else None
        genres = [f"genre {label}" for label in rng.choice(GENRES, songs, p=weights)]
        made.append(statistics.statistics_of(genres, change(numbers) if index else numbers))
    return drift.compare(made[1], made[0], settings, version="1").outcome == "drifted"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(1)
    settings = DataCheckSettings()
    print("| songs before, now | limit of a level | false alarms |", "|---|---|---|", sep="\n")
    for sizes in SIZES:
        shown = []
        for draw in (gaussian, skewed, two_groups):
            found = sum(drifts(rng, draw, sizes, settings) for _ in range(rounds))
            shown.append(f"{draw.__name__} {found / rounds:.1%}")
        limit = max(settings.drift_divergence, drift.divergence_by_chance(sizes[1], sizes[0]))
        print(f"| {sizes[0]}, {sizes[1]} | {limit:.3f} | {', '.join(shown)} |", flush=True)
    print("| change | found with 100 songs each | with 500 |", "|---|---|---|", sep="\n")
    few = max(1, rounds // 4)
    for name, change in CHANGES.items():
        shown = [
            f"{sum(drifts(rng, gaussian, (n, n), settings, change) for _ in range(few)) / few:.0%}"
            for n in (100, 500)
        ]
        print(f"| {name} | {' | '.join(shown)} |", flush=True)
    doubled = np.array([2.0, *[1.0] * (GENRES - 1)])
    shown = [
        f"{sum(drifts(rng, gaussian, (n, n), settings, shares=doubled / doubled.sum()) for _ in range(few)) / few:.0%}"  # noqa: E501
        for n in (100, 500)
    ]
    print(f"| one genre of {GENRES} twice as common | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
