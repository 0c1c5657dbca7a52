"""Coverage and properties of the intervals of accuracies and differences."""

from __future__ import annotations

import itertools
import math

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from components.predictions import resampling
from components.predictions.interval import Interval
from components.predictions.resampling import (
    groups_of,
    paired_difference,
    share,
    unpaired_difference,
)

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
FEW = 500  # resamples, where their number is not what a test is about


def simulated(
    artist: Integers,
    accuracies: tuple[float, float],
    agreement: float,
    likeness: float,
    rng: np.random.Generator,
) -> tuple[Bools, Bools]:
    """Draw the tracks that two models predict correctly.

    With probability `agreement` one draw decides for both models. With probability `likeness` a
    track has the result of its artist's common draw. Neither changes the accuracies.
    """

    def pairs(count: int) -> npt.NDArray[np.float64]:
        one, other = rng.random((2, count))
        return np.stack([one, np.where(rng.random(count) < agreement, one, other)])

    own, common = pairs(len(artist)), pairs(int(artist.max()) + 1)[:, artist]
    drawn = np.where(rng.random(len(artist)) < likeness, common, own)
    return drawn[0] < accuracies[0], drawn[1] < accuracies[1]


def of_size(tracks: int, size: int) -> Integers:
    return np.arange(tracks) // size


def of_geometric_sizes(tracks: int, rng: np.random.Generator) -> Integers:
    """Return artists of one to twenty tracks, most of them with few."""
    sizes = np.minimum(rng.geometric(0.2, size=tracks), 20)
    return np.repeat(np.arange(tracks), sizes)[:tracks]


def _rates(
    tracks: int,
    size: int | None,
    accuracies: tuple[float, float],
    likeness: float,
    pairs: int,
    agreement: float = 0.6,
) -> tuple[float, float]:
    """Return how often the interval of a - b covers the true difference, and is above 0."""
    rng = np.random.default_rng(7)
    true = accuracies[0] - accuracies[1]
    covered = above = 0
    for _ in range(pairs):
        artist = of_size(tracks, size) if size else of_geometric_sizes(tracks, rng)
        a, b = simulated(artist, accuracies, agreement, likeness, rng)
        found = paired_difference(a, b, artist, resamples=1000)
        covered += found.low - 1e-9 <= true <= found.high + 1e-9
        above += found.low > 0
    return covered / pairs, above / pairs


@pytest.mark.parametrize(
    ("tracks", "size", "accuracies", "likeness"),
    [
        pytest.param(64, 1, (0.55, 0.50), 0.0, id="64 tracks of nobody"),
        pytest.param(64, 1, (0.90, 0.85), 0.0, id="64 tracks, mostly right"),
        pytest.param(64, 4, (0.55, 0.50), 0.5, id="16 artists of 4"),
        pytest.param(64, 8, (0.55, 0.50), 0.5, id="8 artists of 8"),
        pytest.param(64, None, (0.60, 0.50), 0.5, id="64 tracks, artists of all sizes"),
        pytest.param(200, None, (0.60, 0.50), 0.5, id="200 tracks, artists of all sizes"),
    ],
)
def test_the_interval_of_a_difference_holds_it_as_often_as_it_says(
    tracks: int, size: int | None, accuracies: tuple[float, float], likeness: float
) -> None:
    covered, _ = _rates(tracks, size, accuracies, likeness, pairs=1500)
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("size", "likeness"), [(1, 0.0), (4, 0.5), (8, 0.5)])
def test_equal_models_are_rarely_told_apart(size: int, likeness: float) -> None:
    _, above = _rates(64, size, (0.5, 0.5), likeness, pairs=1000)
    assert above <= 0.05


def test_tracks_of_an_artist_taken_for_independent_would_mislead() -> None:
    """Without groups the simulated intervals are far too short."""
    rng = np.random.default_rng(3)
    artist = of_size(64, 8)
    covered = 0
    for _ in range(300):
        a, b = simulated(artist, (0.5, 0.5), 0.6, 0.9, rng)
        found = paired_difference(a, b, np.arange(64), resamples=FEW)
        covered += found.low <= 0 <= found.high
    assert covered / 300 < 0.85


def test_unpaired_intervals_hold_the_difference_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(1000):
        a, _ = simulated(of_size(64, 4), (0.6, 0.6), 1.0, 0.4, rng)
        b, _ = simulated(of_size(120, 1), (0.5, 0.5), 1.0, 0.0, rng)
        found = unpaired_difference(a, of_size(64, 4), b, np.arange(120), resamples=FEW)
        covered += found.low <= 0.1 <= found.high
    assert 0.93 <= covered / 1000 <= 0.97


@pytest.mark.parametrize(("size", "true", "likeness"), [(1, 0.9, 0.0), (4, 0.5, 0.5)])
def test_intervals_of_a_share_hold_it_as_often_as_they_say(
    size: int, true: float, likeness: float
) -> None:
    rng = np.random.default_rng(13)
    covered = 0
    for _ in range(1000):
        a, _ = simulated(of_size(64, size), (true, true), 1.0, likeness, rng)
        found = share(a, of_size(64, size), resamples=FEW)
        covered += found.low - 1e-9 <= true <= found.high + 1e-9
    assert 0.93 <= covered / 1000 <= 0.97


def test_the_bootstrap_is_the_exact_one_where_every_resample_can_be_counted() -> None:
    """Three artists: 3 + 2 groups can be drawn in 5^5 ways, all of which are gone through."""
    a = np.array([1, 1, 0, 1, 0, 1], bool)
    b = np.array([0, 1, 0, 0, 0, 1], bool)
    groups = np.array([0, 0, 1, 1, 2, 2])
    sums, sizes = [1.0, 1.0, 0.0, -0.5, 0.5], [2.0, 2.0, 2.0, 0.5, 0.5]
    exact = sorted(
        sum(sums[i] for i in drawn) / sum(sizes[i] for i in drawn)
        for drawn in itertools.product(range(5), repeat=5)
    )
    # Student's t of 3 groups has 2 degrees of freedom: quantile sqrt(2) t^2 / (1 - t^2) form.
    p = 0.95
    student = math.sqrt(2 * p * p / (1 - p * p))
    tail = 0.5 * math.erfc(student * math.sqrt(3 / 2) / math.sqrt(2))
    assert tail < 1 / len(exact)
    found = paired_difference(a, b, groups, resamples=20_000)
    assert found.value == pytest.approx(2 / 6)
    assert found.low == pytest.approx(exact[0])
    assert found.high == pytest.approx(exact[-1])


def test_many_tracks_have_the_interval_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(5)
    a, b = simulated(np.arange(2000), (0.6, 0.5), 0.5, 0.0, rng)
    d = a.astype(float) - b
    half = 1.96 * d.std() / math.sqrt(len(d))
    found = paired_difference(a, b, np.arange(2000))
    assert found.value == pytest.approx(d.mean())
    assert found.low == pytest.approx(d.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(d.mean() + half, abs=0.05 * half)


def test_models_that_agree_everywhere_have_an_interval_that_narrows_with_tracks() -> None:
    widths = []
    for tracks in (20, 200, 2000):
        right = np.arange(tracks) % 2 == 0
        found = paired_difference(right, right, np.arange(tracks), resamples=2000)
        assert found.value == 0
        assert found.low == -found.high < 0
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


def test_one_artist_says_nothing_of_how_much_artists_differ() -> None:
    right = np.array([True, True, False])
    assert paired_difference(right, ~right, [4, 4, 4]) == Interval(pytest.approx(1 / 3), -1, 1)
    assert share(right, [4, 4, 4]) == Interval(pytest.approx(2 / 3), 0, 1)
    assert share([1.0], [0]) == Interval(1, 0, 1)


def test_one_artist_with_nearly_all_tracks_says_hardly_more() -> None:
    """Kish's effective number: (60 + 1 + 1)^2 / (60^2 + 1 + 1) = 1.07 artists."""
    groups = np.array([0] * 60 + [1, 2])
    right = np.arange(62) % 3 > 0
    found = paired_difference(right, ~right, groups, resamples=FEW)
    assert (found.low, found.high) == (-1, 1)
    even = paired_difference(right, ~right, np.arange(62) % 6, resamples=FEW)
    assert even.high - even.low < 2


def test_runs_that_came_out_alike_on_other_tracks_are_still_two_samples() -> None:
    """The two intervals' widths add as independent errors do, in squares."""
    right = np.arange(200) % 2 == 0
    one = share(right, np.arange(200), resamples=4000)
    both = unpaired_difference(right, np.arange(200), right, np.arange(200), resamples=4000)
    assert both.value == 0
    assert both.high - both.low == pytest.approx(math.sqrt(2) * (one.high - one.low), rel=0.08)


def test_parts_of_a_track_count() -> None:
    found = paired_difference([0.5, 1, 0, 1 / 3] * 10, [0.0] * 40, np.arange(40), resamples=FEW)
    assert found.value == pytest.approx((0.5 + 1 + 1 / 3) / 4)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("a", "b", "groups"),
    [
        ([], [], []),
        ([1, 0], [1], [0, 1]),
        ([1, 0], [1, 0], [0]),
        ([math.nan, 0], [1, 0], [0, 1]),
        ([1, 0], [2, 0], [0, 1]),
        ([-0.1, 0], [1, 0], [0, 1]),
        ([[1, 0]], [[1, 0]], [[0, 1]]),
    ],
)
def test_what_cannot_be_compared_is_an_error(a: object, b: object, groups: object) -> None:
    with pytest.raises(ValueError, match=r"groups of shape|from 0 to 1"):
        paired_difference(a, b, groups)  # type: ignore[arg-type]


PAIRS = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 12)), min_size=2, max_size=60
)


def _columns(rows: list[tuple[bool, bool, int]]) -> tuple[Bools, Bools, Integers]:
    a, b, groups = zip(*rows, strict=True)
    return np.array(a), np.array(b), np.array(groups)


@hypothesis.given(PAIRS)
def test_b_less_a_is_the_mirror_of_a_less_b(rows: list[tuple[bool, bool, int]]) -> None:
    a, b, groups = _columns(rows)
    there = paired_difference(a, b, groups, resamples=FEW)
    back = paired_difference(b, a, groups, resamples=FEW)
    assert (back.value, back.low, back.high) == (-there.value, -there.high, -there.low)
    assert -1 <= there.low <= there.value <= there.high <= 1


@hypothesis.given(PAIRS, PAIRS)
def test_unpaired_b_less_a_is_the_mirror_too(
    one: list[tuple[bool, bool, int]], other: list[tuple[bool, bool, int]]
) -> None:
    (a, _, groups_a), (b, _, groups_b) = _columns(one), _columns(other)
    there = unpaired_difference(a, groups_a, b, groups_b, resamples=FEW)
    back = unpaired_difference(b, groups_b, a, groups_a, resamples=FEW)
    assert back.value == -there.value
    same = sorted(zip(a, groups_a, strict=True)) == sorted(zip(b, groups_b, strict=True))
    if not same:  # equal samples still have draws of their own
        assert (back.low, back.high) == (-there.high, -there.low)


@hypothesis.given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_tracks_and_the_groups_numbers_do_not_matter(
    rows: list[tuple[bool, bool, int]], random: object
) -> None:
    a, b, groups = _columns(rows)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    c, d, others = _columns(shuffled)
    expected = paired_difference(a, b, groups, resamples=FEW)
    assert paired_difference(c, d, others * 10 + 3, resamples=FEW) == expected
    assert paired_difference(a, b, groups, resamples=FEW) == expected


@hypothesis.given(st.integers(0, 1000), st.integers(2, 5))
def test_more_tracks_of_the_same_artists_that_come_out_alike_are_no_more_evidence(
    seed: int, copies: int
) -> None:
    """Repeated tracks would narrow the interval as groups of their own, but not by artist."""
    rng = np.random.default_rng(seed)
    a, b = simulated(np.arange(40), (0.6, 0.4), 0.5, 0.0, rng)
    groups = np.arange(40)
    once = paired_difference(a, b, groups, resamples=2000)
    repeated = [np.repeat(column, copies) for column in (a, b)]
    grouped = paired_difference(*repeated, np.repeat(groups, copies), resamples=2000)
    apart = paired_difference(*repeated, np.arange(40 * copies), resamples=2000)
    assert grouped.value == apart.value == pytest.approx(once.value)
    assert apart.high - apart.low < 0.85 * (once.high - once.low)
    # The two half tracks weigh less beside more tracks; nothing else changes.
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)


def test_the_draws_depend_on_the_seed_and_their_number_alone() -> None:
    rng = np.random.default_rng(1)
    a, b = simulated(np.arange(90), (0.6, 0.5), 0.5, 0.0, rng)
    first = paired_difference(a, b, np.arange(90), resamples=3000, seed=4)
    assert paired_difference(a, b, np.arange(90), resamples=3000, seed=4) == first
    others = {paired_difference(a, b, np.arange(90), resamples=200, seed=s) for s in range(20)}
    assert len(others) > 1


def test_blocks_draw_what_one_piece_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by blocks; every resample draws as many groups as there are."""
    monkeypatch.setattr(resampling, "_BLOCK_DRAWS", 50)
    blocks = list(resampling.drawn_weights(20, 11, np.random.default_rng(0)))
    assert [block.shape for block in blocks] == [(2, 20)] * 5 + [(1, 20)]
    assert all((block.sum(axis=1) == 20).all() for block in blocks)
    # More groups than a block holds: one resample at a time.
    assert [b.shape for b in resampling.drawn_weights(60, 2, np.random.default_rng(0))] == [
        (1, 60),
        (1, 60),
    ]


def test_every_group_is_drawn_as_often_as_another() -> None:
    weights = np.concatenate(list(resampling.drawn_weights(7, 20_000, np.random.default_rng(2))))
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.03)
    # A multinomial count of 7 draws among 7: variance 7 * 1/7 * 6/7.
    assert weights.var(axis=0) == pytest.approx(np.full(7, 6 / 7), rel=0.05)


def test_groups_are_artists_and_tracks_without_one() -> None:
    artists = ["b", "", "a", "b", ""]
    tracks = ["1", "2", "3", "4", "5"]
    groups = groups_of(artists, tracks)
    assert groups[0] == groups[3]
    assert len(set(groups.tolist())) == 4
    assert groups_of(artists[::-1], tracks[::-1]).tolist() == groups[::-1].tolist()


def test_an_artist_that_is_named_like_a_track_is_another_group() -> None:
    assert len(set(groups_of(["7", ""], ["1", "7"]).tolist())) == 2
    assert len(set(groups_of(["x\0", "x"], ["1", "2"]).tolist())) == 2
