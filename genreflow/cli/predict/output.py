"""Output of `genreflow predict`: tables and timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.model.prediction_json import left_out_counts, top_probabilities

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


def show(
    out: PlainConsole, prediction: Prediction, top: int, *, timeline: bool, synthetic: bool
) -> None:
    """Print a headline and a table; the arguments are those of `as_json`."""
    out.say(
        (prediction.path, "bold"),
        f"  {prediction.seconds:.1f} s, {prediction.windows} windows{_left_out_note(prediction)}",
        SYNTHETIC_NOTE if synthetic else "",
    )
    from pipeline.display.tables import bare

    table = bare("left", "right", "left")
    for genre, probability in top_probabilities(prediction, top).items():
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


def _timeline(prediction: Prediction) -> Table:
    from pipeline.display.tables import bare

    decimals = 0 if float(prediction.clip_seconds).is_integer() else 2
    table = bare("left", "right", "left", "left")
    for segment in prediction.timeline():
        times = f"{clock(segment.start_s, decimals)} - {clock(segment.end_s, decimals)}"
        if segment.genre is None or segment.probability is None:
            table.add_row(times, "", _LEFT_OUT[segment.left_out][0], "")
        else:
            shown = f"{segment.probability:.1%}"
            table.add_row(times, shown, segment.genre, _bar(segment.probability))
    return table


def _left_out_note(prediction: Prediction) -> str:
    counts = left_out_counts(prediction)
    shown = ", ".join(f"{number} {_LEFT_OUT[reason][1]}" for reason, number in counts.items())
    return f" (left out: {shown})" if shown else ""


def _bar(probability: float) -> str:
    return "█" * round(_BAR_CHARACTERS * probability)
