"""What `genreflow predict` prints of a prediction: tables, timelines, JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from pipeline.display.text import escaped

if TYPE_CHECKING:
    from serving.model.prediction import Prediction

SYNTHETIC_NOTE = "; the model learned from synthetic data"
_BAR_CHARACTERS = 30


def as_json(
    prediction: Prediction, top: int, *, timeline: bool, synthetic: bool
) -> dict[str, object]:
    """One element of the JSON list; `top` is 0 for all genres."""
    values: dict[str, object] = {
        "file": prediction.path,
        "seconds": round(prediction.seconds, 3),
        "windows": prediction.windows,
        "model_trained_on_synthetic_data": synthetic,
        "probabilities": {g: round(p, 6) for g, p in _shares(prediction, top).items()},
    }
    return {**values, **_timeline_json(prediction)} if timeline else values


def show(
    out: Console, prediction: Prediction, top: int, *, timeline: bool, synthetic: bool
) -> None:
    """A headline and a table; `top` is 0 for all genres."""
    out.print(
        f"[bold]{escaped(prediction.path)}[/]  {prediction.seconds:.1f} s, "
        f"{prediction.windows} windows" + (SYNTHETIC_NOTE if synthetic else ""),
        highlight=False,
        soft_wrap=True,
    )
    table = _table("genre", "probability", "")
    for genre, share in _shares(prediction, top).items():
        table.add_row(escaped(genre), f"{share:.1%}", _bar(share))
    out.print(table)
    if timeline:
        out.print(_timeline(prediction))


def clock(seconds: float, decimals: int) -> str:
    """0:07, 12:34.5, 1:02:03: so many decimals of a second."""
    whole = round(seconds * 10**decimals)
    minutes, rest = divmod(whole, 60 * 10**decimals)
    hours, minutes = divmod(minutes, 60)
    width = 3 + decimals if decimals else 2
    text = f"{rest / 10**decimals:0{width}.{decimals}f}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def _shares(prediction: Prediction, top: int) -> dict[str, float]:
    shares = list(prediction.probabilities.items())
    return dict(shares[:top] if top else shares)


def _timeline(prediction: Prediction) -> Table:
    from serving.model.timeline import stretches

    decimals = 0 if float(prediction.clip_seconds).is_integer() else 2
    table = _table("from - to", "probability", "genre", "")
    for one in stretches(prediction):
        table.add_row(
            f"{clock(one.start_s, decimals)} - {clock(one.end_s, decimals)}",
            f"{one.probability:.1%}",
            escaped(one.genre),
            _bar(one.probability),
        )
    return table


def _timeline_json(prediction: Prediction) -> dict[str, Any]:
    from serving.model.timeline import stretches

    clip_s = prediction.clip_seconds
    return {
        "timeline": [
            {
                "start_s": round(one.start_s, 3),
                "end_s": round(one.end_s, 3),
                "genre": one.genre,
                "probability": round(one.probability, 6),
            }
            for one in stretches(prediction)
        ],
        "window_probabilities": [
            {
                "start_s": round(index * clip_s, 3),
                "end_s": round((index + 1) * clip_s, 3),
                "probabilities": {
                    genre: round(float(share), 6)
                    for genre, share in zip(prediction.genres, row, strict=True)
                },
            }
            for index, row in enumerate(prediction.window_probabilities)
        ],
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for column in columns:
        table.add_column(column, justify="right" if column == "probability" else "left")
    return table


def _bar(share: float) -> str:
    return "█" * round(_BAR_CHARACTERS * share)
