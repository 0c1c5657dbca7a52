"""The gate's rules, each with its outcome in words. No TFX.

On the test split the gate may only refuse: what the candidate is was chosen on validation.
A rule that is on and cannot be checked has failed: only the policy may switch one off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.common.escape import printable
from components.gate.comparison import Comparison, points
from components.gate.outcome import Outcome, RuleOutcome
from components.gate.settings import GateSettings
from components.predictions.interval import Interval

# Shares are sums of parts of tracks: what rounding leaves must not decide at a border.
ROUNDING = 1e-9
MAX_GENRES_NAMED = 5
# Where no node can look for the last pushed model (a pipeline on Vertex AI).
UNKNOWN = "nothing can look here for a model that serves"


def absolute_floor(settings: GateSettings, track_accuracy: Interval, genres: int) -> RuleOutcome:
    """The candidate's test track accuracy must reach `gate.floor`, and be better than
    guessing among so many genres; a floor of 0 switches both off."""
    chance = 1 / genres
    low, high = track_accuracy.low, track_accuracy.high
    shown = f"{track_accuracy.value:.1%} of test tracks are right"
    interval = f"(95% interval {low:.1%} to {high:.1%})"
    outcome: Outcome
    if settings.floor == 0:
        outcome, text = "off", f"no floor is set (gate.floor = 0); {shown} {interval}"
    elif track_accuracy.value <= chance + ROUNDING:
        outcome, text = "fail", f"only {shown} {interval}; guessing reaches {chance:.1%}"
    elif track_accuracy.value >= settings.floor - ROUNDING:
        outcome, text = "pass", f"{shown} {interval}; the floor is {settings.floor:.1%}"
    else:
        outcome, text = "fail", f"only {shown} {interval}; the floor is {settings.floor:.1%}"
    return RuleOutcome("absolute_floor", outcome, track_accuracy.value, (low, high), text)


def beats_baseline(settings: GateSettings, compared: Comparison | str) -> RuleOutcome:
    """The candidate must surely beat the best baseline by more than the margin.

    Args:
      settings: the [gate] table.
      compared: with the baseline that is best on validation; or why that cannot be.
    """
    rule, switch = "beats_baseline", "gate.beats_baseline"
    if not settings.beats_baseline:
        return _off(rule, switch, compared)
    if isinstance(compared, str):
        return _unchecked(rule, switch, compared)
    margin = f"the margin of {points(settings.baseline_margin)} (gate.baseline_margin)"
    if compared.difference.low > settings.baseline_margin + ROUNDING:
        return _checked(rule, "pass", compared, f"all of it is above {margin}")
    if compared.difference.value > settings.baseline_margin + ROUNDING:
        why = f"not all of it is above {margin}; more test tracks make it narrower"
    else:
        why = f"not above {margin}"
    return _checked(rule, "fail", compared, why)


def holds_ensemble(settings: GateSettings, compared: Comparison | str) -> RuleOutcome:
    """The candidate must not be worse than the average of all models by more than the
    tolerance; the estimate decides, not its interval (docs/gate.md).

    Args:
      settings: the [gate] table.
      compared: with the average of all models; or why that cannot be.
    """
    return _holds(
        "holds_ensemble", settings.holds_ensemble, "ensemble", settings.ensemble_tolerance, compared
    )


def holds_serving(settings: GateSettings, compared: Comparison | str | None) -> RuleOutcome:
    """The candidate must not be worse than the model that serves by more than the
    tolerance; the estimate decides, not its interval (docs/gate.md).

    Args:
      settings: the [gate] table.
      compared: with the model that serves, on test tracks that it never saw; why that
        cannot be; or None when no model serves.
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
    """Of every genre the candidate must find at least `gate.recall_floor` of its tracks.

    Args:
      settings: the [gate] table.
      recall: for each genre its share of test tracks that are right; None where it has no
        track.
      tracks: for each genre its test tracks.
    """
    rule, floor = "genre_recall", settings.recall_floor
    known = {genre: share for genre, share in recall.items() if share is not None}
    empty = [genre for genre, share in recall.items() if share is None]
    low = min(known, key=lambda genre: (known[genre].value, genre), default=None)
    worst = None if low is None else known[low]
    value = None if worst is None else worst.value
    interval = None if worst is None else (worst.low, worst.high)

    def shown(genre: str) -> str:
        return f"{printable(genre)} ({known[genre].value:.1%} of {tracks[genre]})"

    lowest = "" if low is None else f"found least is {shown(low)}"
    if floor == 0:
        text = "; ".join(filter(None, ["no recall floor is set (gate.recall_floor = 0)", lowest]))
        return RuleOutcome(rule, "off", value, interval, text)
    problems = []
    below = [genre for genre, share in known.items() if share.value < floor - ROUNDING]
    if below:
        below.sort(key=lambda genre: (known[genre].value, genre))
        problems.append(f"test tracks found are below {floor:.1%}: {_listed(map(shown, below))}")
    if empty:
        problems.append(
            f"no test track is of {_listed(map(printable, empty))}: nothing is known of it; add "
            "tracks, or set gate.recall_floor = 0"
        )
    if problems:
        return RuleOutcome(rule, "fail", value, interval, "; ".join(problems))
    text = f"of every genre at least {floor:.1%} of the test tracks are found; {lowest}"
    return RuleOutcome(rule, "pass", value, interval, text)


def audio_hash(hashes: Mapping[str, str]) -> RuleOutcome:
    """All artifacts must be made with the same audio parameters. Nothing switches this off:
    numbers of different spectrograms have nothing to do with each other.

    Args:
      hashes: for each artifact, in words, the hash of its audio parameters; "" unknown.
    """
    rule = "audio_hash"
    found = sorted(set(hashes.values()))
    if len(found) == 1 and found[0]:
        text = f"one set of audio parameters ({printable(found[0])}): {', '.join(hashes)}"
        return RuleOutcome(rule, "pass", None, None, text)
    listed = ", ".join(f"{what} {printable(value) or 'unknown'}" for what, value in hashes.items())
    text = f"audio parameters differ: {listed}; these do not belong together, run all of it again"
    return RuleOutcome(rule, "fail", None, None, text)


def already_serving(
    candidate_digest: str, serving_digest: str | None, version: str, *, known: bool = True
) -> RuleOutcome:
    """A candidate that is the very model that serves is not pushed again.

    Args:
      candidate_digest: digest of the candidate's SavedModel.
      serving_digest: of the last pushed one; None when nothing was pushed, "" when that
        model does not say which it is, so that it is another one.
      version: the last pushed version, for the text.
      known: whether the run could look for the last pushed model.
    """
    rule, version = "already_serving", printable(version)
    if not known:
        return RuleOutcome(rule, "off", None, None, UNKNOWN)
    if serving_digest is None:
        return RuleOutcome(rule, "pass", None, None, "no model has been pushed yet")
    if candidate_digest == serving_digest:
        text = f"version {version} is this very model: it stays"
        return RuleOutcome(rule, "fail", None, None, text)
    why = "" if serving_digest else " and does not say which model it is"
    text = f"differs from version {version}, which serves now{why}"
    return RuleOutcome(rule, "pass", None, None, text)


def _holds(
    rule: str, switched_on: bool, kind: str, tolerance: float, compared: Comparison | str
) -> RuleOutcome:
    if not switched_on:
        return _off(rule, f"gate.{rule}", compared)
    if isinstance(compared, str):
        return _unchecked(rule, f"gate.{rule}", compared)
    allowed = f"{100 * tolerance:.1f} points less are tolerated (gate.{kind}_tolerance)"
    if compared.difference.value >= -tolerance - ROUNDING:
        return _checked(rule, "pass", compared, f"up to {allowed}")
    return _checked(rule, "fail", compared, f"only {allowed}")


def _checked(rule: str, outcome: Outcome, compared: Comparison, why: str) -> RuleOutcome:
    difference = compared.difference
    interval = (difference.low, difference.high)
    return RuleOutcome(rule, outcome, difference.value, interval, f"{compared}; {why}")


def _off(rule: str, switch: str, compared: Comparison | str) -> RuleOutcome:
    off = f"switched off ({switch} = false)"
    if isinstance(compared, str):
        return RuleOutcome(rule, "off", None, None, f"{off}; {compared}")
    difference = compared.difference
    interval = (difference.low, difference.high)
    return RuleOutcome(rule, "off", difference.value, interval, f"{off}; {compared}")


def _unchecked(rule: str, switch: str, reason: str) -> RuleOutcome:
    text = f"cannot be checked: {reason}. {switch} = false switches this rule off"
    return RuleOutcome(rule, "fail", None, None, text)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - MAX_GENRES_NAMED
    return ", ".join(every[:MAX_GENRES_NAMED]) + (f" and {more} more" if more > 0 else "")
