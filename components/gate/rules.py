"""The gate's rules; each returns its outcome with the reason. Imports no TFX.

To add a rule, write its function here, add its line to RULES, and give it its settings in
settings.py. RULES are applied in their order, which is that of the report.

On the test split the gate may only refuse: the candidate was chosen on validation. An enabled
rule that cannot be checked fails: only the settings may disable a rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from components.common.escape import printable
from components.gate.comparison import Comparison, counted, points
from components.gate.outcome import Outcome, RuleOutcome
from components.gate.settings import GateSettings
from components.predictions.interval import Interval

# Accuracies are sums of fractions of tracks: a rounding error must not decide at a border.
ROUNDING = 1e-9
MAX_GENRES_NAMED = 5
# Said where no node can look up the last pushed model (a pipeline on Vertex AI).
UNKNOWN = "this pipeline cannot look up the serving model"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Measurements on the test split, from which the rules decide.

    Attributes:
      settings: the [gate] table.
      genres: the genres in label order.
      accuracy: the candidate's accuracy by track.
      groups: number of groups that its interval resamples (resampling.groups_of).
      recall: the candidate's recall on each genre's tracks; None for a genre without any.
      tracks: number of tracks of each genre.
      baseline: comparison with the baseline that is best on validation, or the reason why
        there is none.
      ensemble: comparison with the average of all models, or the reason why there is none.
      serving: comparison with the serving model on tracks that it has not seen, or the reason
        why they cannot be compared; None if no model serves.
      audio_hashes: hash of each artifact's audio parameters by the artifact's name.
      candidate_digest: the candidate's `model_digest`.
      serving_digest: that of the last pushed model; None if no model was pushed, "" if that
        model has no readable digest.
      serving_version: the last pushed version.
      serving_known: whether the pipeline can look up the last pushed model.
    """

    settings: GateSettings
    genres: Sequence[str]
    accuracy: Interval
    groups: int
    recall: Mapping[str, Interval | None]
    tracks: Mapping[str, int]
    baseline: Comparison | str
    ensemble: Comparison | str
    serving: Comparison | str | None
    audio_hashes: Mapping[str, str]
    candidate_digest: str
    serving_digest: str | None
    serving_version: str
    serving_known: bool = True


def absolute_floor(
    settings: GateSettings, track_accuracy: Interval, genres: int, *, tracks: int, groups: int
) -> RuleOutcome:
    """Check that the test track accuracy reaches `gate.floor` and is better than guessing.

    Args:
      settings: the [gate] table; a floor of 0 disables both checks.
      track_accuracy: the candidate's.
      genres: number of genres that a guess chooses from.
      tracks: number of test tracks.
      groups: number of groups that the interval resamples.
    """
    chance, value = 1 / genres, track_accuracy.value
    shown = f"{value:.1%} of {counted(tracks, groups)} are correct ({_ends(track_accuracy)})"
    floor = f"the floor is {settings.floor:.1%} (gate.floor)"
    outcome: Outcome
    if settings.floor == 0:
        outcome, text = "off", f"no floor is set (gate.floor = 0); {shown}"
    elif value <= chance + ROUNDING:
        outcome, text = "fail", f"only {shown}; guessing reaches {chance:.1%}, and {floor}"
    elif value >= settings.floor - ROUNDING:
        outcome, text = "pass", f"{shown}; {floor}"
    else:
        outcome, text = "fail", f"only {shown}; {floor}"
    interval = (track_accuracy.low, track_accuracy.high)
    return RuleOutcome("absolute_floor", outcome, value, interval, text)


def beats_baseline(settings: GateSettings, compared: Comparison | str) -> RuleOutcome:
    """Check that the whole interval of the gain over the best baseline is above the margin.

    Args:
      settings: the [gate] table.
      compared: comparison with the baseline that is best on validation, or the reason why
        there is none.
    """
    rule, switch = "beats_baseline", "gate.beats_baseline"
    if not settings.beats_baseline:
        return _off(rule, switch, compared)
    if isinstance(compared, str):
        return _unchecked(rule, switch, compared)
    margin = f"the margin of {points(settings.baseline_margin)} points (gate.baseline_margin)"
    if compared.difference.low > settings.baseline_margin + ROUNDING:
        return _checked(rule, "pass", compared, f"the whole interval is above {margin}")
    if compared.difference.value > settings.baseline_margin + ROUNDING:
        why = f"not the whole interval is above {margin}; more test tracks narrow it"
    else:
        why = f"the difference is not above {margin}"
    return _checked(rule, "fail", compared, why)


def holds_ensemble(settings: GateSettings, compared: Comparison | str) -> RuleOutcome:
    """Check that the candidate is at most the tolerance worse than the average of all models.

    The estimate decides, not its interval; docs/method/gate.md says why.

    Args:
      settings: the [gate] table.
      compared: comparison with the average of all models, or the reason why there is none.
    """
    return _holds(
        "holds_ensemble", settings.holds_ensemble, "ensemble", settings.ensemble_tolerance, compared
    )


def holds_serving(settings: GateSettings, compared: Comparison | str | None) -> RuleOutcome:
    """Check that the candidate is at most the tolerance worse than the serving model.

    The estimate decides, not its interval; docs/method/gate.md says why.

    Args:
      settings: the [gate] table.
      compared: comparison with the serving model on test tracks that it has not seen, or the
        reason why they cannot be compared; None if no model serves.
    """
    rule = "holds_serving"
    if compared is None and settings.holds_serving:
        return RuleOutcome(rule, "pass", None, None, "no model serves yet")
    return _holds(
        rule,
        settings.holds_serving,
        "serving",
        settings.serving_tolerance,
        "no model serves yet" if compared is None else compared,
    )


def genre_recall(
    settings: GateSettings, recall: Mapping[str, Interval | None], tracks: Mapping[str, int]
) -> RuleOutcome:
    """Check that the recall of every genre reaches `gate.recall_floor`.

    Args:
      settings: the [gate] table.
      recall: the candidate's recall on each genre's test tracks; None for a genre without any.
      tracks: number of test tracks of each genre.
    """
    rule, floor = "genre_recall", settings.recall_floor
    known = {genre: share for genre, share in recall.items() if share is not None}
    empty = [genre for genre, share in recall.items() if share is None]
    low = min(known, key=lambda genre: (known[genre].value, genre), default=None)
    worst = None if low is None else known[low]
    value = None if worst is None else worst.value
    interval = None if worst is None else (worst.low, worst.high)

    def shown(genre: str) -> str:
        share = known[genre]
        return f"{printable(genre)} ({share.value:.1%} of {tracks[genre]}, {_ends(share)})"

    lowest = "" if low is None else f"the lowest recall is that of {shown(low)}"
    if floor == 0:
        text = "; ".join(filter(None, ["no recall floor is set (gate.recall_floor = 0)", lowest]))
        return RuleOutcome(rule, "off", value, interval, text)
    problems = []
    below = [genre for genre, share in known.items() if share.value < floor - ROUNDING]
    if below:
        below.sort(key=lambda genre: (known[genre].value, genre))
        problems.append(
            f"recall is below {floor:.1%} (gate.recall_floor) for {_listed(map(shown, below))}"
        )
    if empty:
        problems.append(
            f"recall is unknown for {_listed(map(printable, empty))}, without test tracks; add "
            "tracks, or set gate.recall_floor = 0"
        )
    if problems:
        return RuleOutcome(rule, "fail", value, interval, "; ".join(problems))
    text = f"recall is at least {floor:.1%} (gate.recall_floor) for every genre; {lowest}"
    return RuleOutcome(rule, "pass", value, interval, text)


def audio_hash(hashes: Mapping[str, str]) -> RuleOutcome:
    """Check that all artifacts were made with the same audio parameters.

    No setting disables this rule: numbers from different spectrograms are not comparable.

    Args:
      hashes: hash of each artifact's audio parameters by the artifact's name; "" if unknown.
    """
    rule = "audio_hash"
    found = sorted(set(hashes.values()))
    if len(found) == 1 and found[0]:
        text = f"one set of audio parameters ({printable(found[0])}): {', '.join(hashes)}"
        return RuleOutcome(rule, "pass", None, None, text)
    listed = ", ".join(f"{what} {printable(value) or 'unknown'}" for what, value in hashes.items())
    text = f"audio parameters differ: {listed}; rerun the whole pipeline"
    return RuleOutcome(rule, "fail", None, None, text)


def already_serving(
    candidate_digest: str, serving_digest: str | None, version: str, *, known: bool = True
) -> RuleOutcome:
    """Check that the candidate is not identical to the serving model.

    Args:
      candidate_digest: the candidate's `model_digest`.
      serving_digest: that of the last pushed model; None if no model was pushed, "" if that
        model has no readable digest and so counts as a different one.
      version: the last pushed version, for the text.
      known: whether the pipeline can look up the last pushed model.
    """
    rule, version = "already_serving", printable(version)
    if not known:
        return RuleOutcome(rule, "off", None, None, UNKNOWN)
    if serving_digest is None:
        return RuleOutcome(rule, "pass", None, None, "no model has been pushed yet")
    if candidate_digest == serving_digest:
        text = f"version {version}, which serves now, is the same model and stays"
        return RuleOutcome(rule, "fail", None, None, text)
    why = "" if serving_digest else " and has no readable model digest"
    text = f"the candidate differs from version {version}, which serves now{why}"
    return RuleOutcome(rule, "pass", None, None, text)


RULES: tuple[Callable[[Evidence], RuleOutcome], ...] = (
    lambda found: absolute_floor(
        found.settings,
        found.accuracy,
        len(found.genres),
        tracks=sum(found.tracks.values()),
        groups=found.groups,
    ),
    lambda found: beats_baseline(found.settings, found.baseline),
    lambda found: holds_ensemble(found.settings, found.ensemble),
    lambda found: holds_serving(found.settings, found.serving),
    lambda found: genre_recall(found.settings, found.recall, found.tracks),
    lambda found: audio_hash(found.audio_hashes),
    lambda found: already_serving(
        found.candidate_digest,
        found.serving_digest,
        found.serving_version,
        known=found.serving_known,
    ),
)


def _holds(
    rule: str, switched_on: bool, kind: str, tolerance: float, compared: Comparison | str
) -> RuleOutcome:
    if not switched_on:
        return _off(rule, f"gate.{rule}", compared)
    if isinstance(compared, str):
        return _unchecked(rule, f"gate.{rule}", compared)
    allowed = f"{100 * tolerance:.1f} points is tolerated (gate.{kind}_tolerance)"
    if compared.difference.value >= -tolerance - ROUNDING:
        return _checked(rule, "pass", compared, f"a loss of up to {allowed}")
    return _checked(rule, "fail", compared, f"only a loss of up to {allowed}")


def _checked(rule: str, outcome: Outcome, compared: Comparison, why: str) -> RuleOutcome:
    difference = compared.difference
    interval = (difference.low, difference.high)
    return RuleOutcome(rule, outcome, difference.value, interval, f"{compared}; {why}")


def _off(rule: str, switch: str, compared: Comparison | str) -> RuleOutcome:
    off = f"disabled ({switch} = false)"
    if isinstance(compared, str):
        return RuleOutcome(rule, "off", None, None, f"{off}; {compared}")
    difference = compared.difference
    interval = (difference.low, difference.high)
    return RuleOutcome(rule, "off", difference.value, interval, f"{off}; {compared}")


def _unchecked(rule: str, switch: str, reason: str) -> RuleOutcome:
    text = f"cannot be checked: {reason}. Set {switch} = false to disable this rule"
    return RuleOutcome(rule, "fail", None, None, text)


def _ends(share: Interval) -> str:
    return f"95% interval {share.low:.1%} to {share.high:.1%}"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - MAX_GENRES_NAMED
    return ", ".join(every[:MAX_GENRES_NAMED]) + (f" and {more} more" if more > 0 else "")
