"""Tests of the comparison with the songs of the serving model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import distance

from components.audio.spectrogram.stored import to_stored
from components.data_check import drift, statistics
from components.data_check.settings import DataCheckSettings
from components.data_check.statistics import NUMBERS

SETTINGS = DataCheckSettings()


def _songs(
    songs: int, seed: int = 0, *, shift_db: float = 0.0, weights: tuple[float, ...] = (1, 1, 1, 1)
) -> object:
    rng = np.random.default_rng(seed)
    shares = np.array(weights) / sum(weights)
    genres = rng.choice(["Folk", "Jazz", "Pop", "Rock"], songs, p=shares)
    numbers = rng.normal(-40, 6, (songs, len(NUMBERS)))
    numbers[:, NUMBERS.index("high_db")] += shift_db
    return statistics.statistics_of(list(genres), numbers)


def test_the_numbers_of_a_clip_are_means_of_all_bands_and_of_quarters() -> None:
    mel_db = np.repeat(np.linspace(-64, -1, 64)[:, None], 3, axis=1)
    found = statistics.clip_numbers(to_stored(mel_db))
    quarters = mel_db.reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(found, [mel_db.mean(), *quarters], atol=1 / 1024)


def test_a_song_counts_once_however_many_clips_it_has() -> None:
    songs = statistics.Songs()
    for level, count in ((-60.0, 4), (-20.0, 1)):
        for _ in range(count):
            mel_db = to_stored(np.full((8, 2), level))
            songs.add(f"song {level}", "Rock" if level < -30 else "Folk", mel_db)
    found = songs.statistics()
    assert statistics.songs_in(found) == 2
    assert statistics.genre_counts(found) == {"Rock": 1, "Folk": 1}
    (level,) = [f for f in found.datasets[0].features if f.path.step[0] == statistics.LEVEL]
    assert level.num_stats.mean == pytest.approx(-40)


def test_the_same_songs_have_not_drifted() -> None:
    songs = _songs(300)
    found = drift.compare(songs, songs, SETTINGS, version="17")
    assert found.outcome == "same"
    assert found.text == "no drift: 300 training songs against the 300 of version 17"
    assert [one.feature for one in found.measurements] == ["genre", *NUMBERS]
    assert all(one.value == 0 for one in found.measurements)


def test_other_songs_of_the_same_kind_have_not_drifted_though_they_are_few() -> None:
    for songs in (10, 50, 400):
        for seed in range(5):
            found = drift.compare(
                _songs(songs, seed), _songs(songs, seed + 100), SETTINGS, version="17"
            )
            assert found.outcome == "same", found.text


def test_a_level_that_moved_is_found_and_named() -> None:
    found = drift.compare(_songs(300, shift_db=-9), _songs(300, 1), SETTINGS, version="17")
    assert found.outcome == "drifted"
    assert [one.feature for one in found.measurements if one.drifted] == ["high_db"]
    assert found.text.startswith("high differs by 0.")
    assert "(limit 0.100) (300 training songs against the 300 of version 17)" in found.text


def test_a_genre_that_became_common_is_found() -> None:
    before, present = _songs(400), _songs(400, 1, weights=(1, 1, 1, 4))
    found = drift.compare(present, before, SETTINGS, version="17")
    assert [one.feature for one in found.measurements if one.drifted] == ["genre"]
    shares = [statistics.genre_counts(one) for one in (before, present)]
    expected = max(abs(shares[0][g] - shares[1][g]) / 400 for g in shares[0])
    assert found.measurements[0].value == pytest.approx(expected, abs=1e-5)
    assert "a genre's share differs by" in found.text


def test_levels_of_other_audio_parameters_are_not_compared() -> None:
    found = drift.compare(
        _songs(300, shift_db=-30), _songs(300), SETTINGS, version="17", same_audio=False
    )
    assert [one.feature for one in found.measurements] == ["genre"]
    assert (found.outcome, "levels are not compared" in found.text) == ("same", True)


def test_without_songs_nothing_is_compared() -> None:
    empty = statistics.Songs().statistics()
    for pair in ((empty, _songs(5)), (_songs(5), empty)):
        assert drift.compare(*pair, SETTINGS, version="17").outcome == "unknown"


def test_the_limit_of_chance_falls_with_the_number_of_songs() -> None:
    limits = [drift.divergence_by_chance(n, n) for n in (5, 50, 500, 5000)]
    assert limits[0] == 1.0
    assert limits == sorted(limits, reverse=True)
    # Histograms with common buckets stay below it in 99 of 100 draws.
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(200, [1 / statistics.BUCKETS] * statistics.BUCKETS, (500, 2)) / 200
    values = np.array([distance.jensenshannon(*pair, base=2) ** 2 for pair in drawn])
    assert (values > drift.divergence_by_chance(200, 200)).mean() <= 0.01
    share = drift.share_by_chance({"a": 100}, {"a": 60, "b": 40}, 100, 100)
    assert 0 < share < drift.share_by_chance({"a": 10}, {"a": 6, "b": 4}, 10, 10) <= 1
