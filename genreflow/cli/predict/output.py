"""Output of `genreflow predict`: tables, timelines and JSON."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.display.console import PlainConsole
    from serving.model.prediction import Prediction

SYNTHETIC_NOTE = "; the model was trained on synthetic data"
_BAR_CHARACTERS = 30
# By reason: in the timeline, and after a number of windows.
_LEFT_OUT = {
    "near_silent": ("silent", "silent"),
    "channels_cancel": ("channels cancel", "whose channels cancel"),
}


def as_json(
    prediction: Prediction, top: int, *, timeline: bool, synthetic: bool
) -> dict[str, object]:
    """Return one element of the JSON list.

    Args:
      prediction: the prediction.
      top: number of genres to show; 0 for all.
      timeline: whether to add the genre over time.
      synthetic: whether the model was trained on synthetic data.
    """
    values: dict[str, object] = {
        "file": prediction.path,
        "seconds": round(prediction.seconds, 3),
        "windows": prediction.windows,
        "windows_left_out": _left_out(prediction),
        "warnings": list(prediction.warnings),
        "model_trained_on_synthetic_data": synthetic,
        "probabilities": {
            genre: round(probability, 6)
            for genre, probability in _top_probabilities(prediction, top).items()
        },
    }
    return {**values, **_timeline_json(prediction)} if timeline else values


def show(
    out: PlainConsole, prediction: Prediction, top: int, *, timeline: bool, synthetic: bool
) -> None:
    """Print a headline and a table; the arguments are those of `as_json`."""
    out.say(
        (prediction.path, "bold"),
        f"  {prediction.seconds:.1f} s, {prediction.windows} windows{_left_out_note(prediction)}",
        SYNTHETIC_NOTE if synthetic else "",
    )
    table = _table("genre", "probability", "")
    for genre, probability in _top_probabilities(prediction, top).items():
        table.add_row(genre, f"{probability:.1%}", _bar(probability))
    out.print(table)
    if timeline:
        out.print(_timeline(prediction))


def clock(seconds: float, decimals: int) -> str:
    """Return a time as text, such as "0:07", "12:34.5" or "1:02:03"."""
    whole = round(seconds * 10**decimals)
    minutes, rest = divmod(whole, 60 * 10**decimals)
    hours, minutes = divmod(minutes, 60)
    width = 3 + decimals if decimals else 2
    text = f"{rest / 10**decimals:0{width}.{decimals}f}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def _top_probabilities(prediction: Prediction, top: int) -> dict[str, float]:
    genres = list(prediction.probabilities.items())
    return dict(genres[:top] if top else genres)


def _timeline(prediction: Prediction) -> Table:
    decimals = 0 if float(prediction.clip_seconds).is_integer() else 2
    table = _table("from - to", "probability", "genre", "")
    for segment in prediction.timeline():
        times = f"{clock(segment.start_s, decimals)} - {clock(segment.end_s, decimals)}"
        if segment.genre is None or segment.probability is None:
            table.add_row(times, "", _LEFT_OUT[segment.left_out][0], "")
        else:
            shown = f"{segment.probability:.1%}"
            table.add_row(times, shown, segment.genre, _bar(segment.probability))
    return table


def _left_out(prediction: Prediction) -> dict[str, int]:
    """Return the number of windows that are left out, by reason."""
    counts = collections.Counter(prediction.left_out)
    return {reason: counts[reason] for reason in _LEFT_OUT if counts[reason]}


def _left_out_note(prediction: Prediction) -> str:
    counts = _left_out(prediction)
    shown = ", ".join(f"{number} {_LEFT_OUT[reason][1]}" for reason, number in counts.items())
    return f" (left out: {shown})" if shown else ""


def _timeline_json(prediction: Prediction) -> dict[str, Any]:
    clip_s = prediction.clip_seconds
    return {
        "timeline": [
            {
                "start_s": round(segment.start_s, 3),
                "end_s": round(segment.end_s, 3),
                "genre": segment.genre,
                "probability": _rounded(segment.probability),
                "left_out": segment.left_out or None,
            }
            for segment in prediction.timeline()
        ],
        "window_probabilities": [
            {
                "start_s": round(index * clip_s, 3),
                "end_s": round((index + 1) * clip_s, 3),
                "probabilities": None
                if left_out
                else {
                    genre: round(float(probability), 6)
                    for genre, probability in zip(prediction.genres, row, strict=True)
                },
                "left_out": left_out or None,
            }
            for index, (row, left_out) in enumerate(
                zip(prediction.window_probabilities, prediction.left_out, strict=True)
            )
        ],
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2))
    for column in columns:
        table.add_column(column, justify="right" if column == "probability" else "left")
    return table


def _bar(probability: float) -> str:
    return "█" * round(_BAR_CHARACTERS * probability)
