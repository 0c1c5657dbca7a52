"""Comparison of a run's training songs with those of the serving model, by TFDV's comparators.

Genre shares are compared by the largest difference of a share (L-infinity), levels by the
Jensen-Shannon divergence of their histograms. Few songs differ by chance alone, so each threshold
is the setting or what chance exceeds in one of a hundred comparable runs, whichever is larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from components.common.escape import printable
from components.data_check import statistics
from components.data_check.outcome import DriftResult, Measurement
from components.data_check.settings import DataCheckSettings

# Share of runs on unchanged data that may be taken for drift, over all measurements together.
FALSE_ALARMS = 0.01
# TFDV aligns two histograms of BUCKETS buckets at the boundaries of both, and spreads each
# bucket's songs evenly over its parts, which adds to the divergence of two samples of the same
# songs. benchmarks/drift.py measures it.
_ALIGNMENT = 1.5
_MAX_NAMED = 3


def compare(
    present: Any,
    before: Any,
    settings: DataCheckSettings,
    *,
    version: str,
    same_audio: bool = True,
) -> DriftResult:
    """Compare statistics of songs with earlier ones.

    Args:
      present: the run's training songs, a DatasetFeatureStatisticsList.
      before: those of the serving model.
      settings: the [data_check] table.
      version: the serving model's version, for the text.
      same_audio: whether both have the same audio parameters; levels are compared only then.
    """
    songs, songs_before = statistics.songs_in(present), statistics.songs_in(before)
    if not songs or not songs_before:
        return DriftResult("unknown", "one of the two has no songs to compare", version)
    found = _measure(present, before, settings, same_audio)
    drifted = [one for one in found if one.drifted]
    text = f"{songs} training songs against the {songs_before} of version {printable(version)}"
    if drifted:
        worst = sorted(drifted, key=lambda one: one.threshold - one.value)[:_MAX_NAMED]
        named = "; ".join(map(describe, worst))
        more = len(drifted) - len(worst)
        text = f"{named}{f' and {more} more' if more else ''} ({text})"
    else:
        text = f"no drift: {text}"
    if not same_audio:
        text += "; levels are not compared, as the audio parameters differ"
    return DriftResult(
        "drifted" if drifted else "same", text, version, songs, songs_before, tuple(found)
    )


def describe(found: Measurement) -> str:
    """Return a measurement in words."""
    if found.feature == statistics.GENRE:
        return f"a genre's share differs by {found.value:.1%} (limit {found.threshold:.1%})"
    return (
        f"{found.feature.replace('_', ' ').removesuffix(' db')} differs by {found.value:.3f} bits "
        f"(limit {found.threshold:.3f})"
    )


def divergence_by_chance(songs: int, songs_before: int) -> float:
    """Return the divergence in bits that two samples of the same songs exceed by chance.

    For two samples of sizes n and m in k buckets, 8 ln 2 / (1/n + 1/m) times the divergence in
    bits follows a chi-squared distribution with k - 1 degrees of freedom (Menendez et al. 1997, The
    Jensen-Shannon divergence).
    """
    from scipy import stats

    chance = stats.chi2.ppf(1 - _per_measurement(), statistics.BUCKETS - 1)
    return float(min(1.0, _ALIGNMENT * chance * (1 / songs + 1 / songs_before) / (8 * math.log(2))))


def share_by_chance(
    counts: Mapping[str, float], before: Mapping[str, float], songs: int, songs_before: int
) -> float:
    """Return the difference of a genre's share that two samples exceed by chance.

    A share's difference is about normal; its variance is largest for the commonest genre.
    """
    from scipy import stats

    genres = {*counts, *before}
    pooled = [
        (counts.get(one, 0) + before.get(one, 0)) / (songs + songs_before) for one in genres
    ] or [0.5]
    variance = max(share * (1 - share) for share in pooled) * (1 / songs + 1 / songs_before)
    z = stats.norm.ppf(1 - _per_measurement() / (2 * max(1, len(genres))))
    return float(min(1.0, z * math.sqrt(variance)))


def _per_measurement() -> float:
    return FALSE_ALARMS / (1 + len(statistics.NUMBERS))


def _measure(
    present: Any, before: Any, settings: DataCheckSettings, same_audio: bool
) -> list[Measurement]:
    from tensorflow_data_validation.api import validation_api
    from tensorflow_metadata.proto.v0 import schema_pb2

    songs, songs_before = statistics.songs_in(present), statistics.songs_in(before)
    share = max(
        settings.drift_share,
        share_by_chance(
            statistics.genre_counts(present), statistics.genre_counts(before), songs, songs_before
        ),
    )
    divergence = max(settings.drift_divergence, divergence_by_chance(songs, songs_before))
    schema = schema_pb2.Schema()
    genre = schema.feature.add(name=statistics.GENRE, type=schema_pb2.BYTES)
    genre.drift_comparator.infinity_norm.threshold = share
    for name in statistics.NUMBERS if same_audio else ():
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.drift_comparator.jensen_shannon_divergence.threshold = divergence
    anomalies = validation_api.validate_statistics(present, schema, previous_statistics=before)
    values = {
        info.path.step[0]: info.drift_measurements[0].value
        for info in anomalies.drift_skew_info
        if info.drift_measurements
    }
    limits = {statistics.GENRE: share, **dict.fromkeys(statistics.NUMBERS, divergence)}
    return [
        Measurement(name, round(values[name], 6), round(limit, 6), values[name] > limit)
        for name, limit in limits.items()
        if name in values
    ]
