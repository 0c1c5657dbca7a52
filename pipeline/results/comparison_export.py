"""Export of a comparison as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping
from typing import Any

from components.common.escape import printable_cell
from components.predictions.interval import Interval
from pipeline.results.comparison import MEASURES, Difference, RunComparison, measured

JSON_VERSION = 1
RUN_FACTS = (
    "run_id", "dataset", "genres", "synthetic", "leaky", "audio_hash", "config_digest",
    "candidate", "test_split_uses", "pushed_version",
)  # fmt: skip
CSV_COLUMNS = (
    "run", "work_dir", "dataset", "model", "kind", "chosen", "measure", "genre", "value", "low",
    "high", "against", "difference", "difference_low", "difference_high", "paired",
)  # fmt: skip


def as_json(found: RunComparison, letters: str) -> dict[str, Any]:
    """Return the whole comparison as JSON values.

    Args:
      found: the comparison.
      letters: names of the runs, one letter each.
    """
    return {
        "schema_version": JSON_VERSION,
        "runs": [
            {
                "run": letters[number],
                "work_dir": run.folder,
                **{key: getattr(run.results, key) for key in RUN_FACTS},
                "tracks": dataclasses.asdict(run.results.counts.tracks),
                "test_tracks": len(run.test_tracks),
                "blessed": run.results.gate.blessed,
                "chosen": found.chosen[number],
                "models": {
                    name: {
                        "kind": model.kind,
                        **{key: dataclasses.asdict(measured(model, key)) for key in MEASURES},
                        "recall": model.test.recall,
                    }
                    for name, model in run.results.models.items()
                },
            }
            for number, run in enumerate(found.runs)
        ],
        "common_genres": list(found.genres),
        "differences": [
            {
                "run": letters[pair.run],
                "to": letters[0],
                "paired": pair.paired,
                "by": pair.by,
                "groups": list(pair.groups),
                "tested": list(pair.tested),
                "common": pair.common,
                "conflicting": pair.conflicting,
                "chosen": pair.chosen.to_json(),
                "models": {name: value.to_json() for name, value in pair.models.items()},
                "recall": {genre: value.to_json() for genre, value in pair.recall.items()},
            }
            for pair in found.pairs
        ],
        "spread": found.spread
        and {
            name: {measure: value.to_json() for measure, value in measures.items()}
            for name, measures in found.spread.items()
        },
    }


def as_csv(found: RunComparison, letters: str) -> str:
    """Return a CSV table: a row per run, model and measure, and per genre of the chosen model.

    Column `against` names the first run's model that the differences refer to. Where the
    first run's chosen model has another name, a chosen model also has rows against that one.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(found, letters):
        writer.writerow(
            {
                key: printable_cell(value) if isinstance(value, str) else value
                for key, value in row.items()
            }
        )
    return text.getvalue()


def _rows(found: RunComparison, letters: str) -> Iterator[dict[str, Any]]:
    pairs = {pair.run: pair for pair in found.pairs}
    for number, run in enumerate(found.runs):
        pair, chosen = pairs.get(number), found.chosen[number]
        for name, model in run.results.models.items():
            row = {
                "run": letters[number],
                "work_dir": run.folder,
                "dataset": run.results.dataset,
                "model": name,
                "kind": model.kind,
                "chosen": name == chosen,
                "paired": pair.paired if pair else "",
            }
            differences: list[Difference | None] = []
            if pair and name in pair.models:
                differences.append(pair.models[name])
            if pair and name == chosen and pair.chosen.models[0] != pair.chosen.models[1]:
                differences.append(pair.chosen)
            for difference in differences or [None]:
                for measure in MEASURES:
                    interval = None if difference is None else difference.of(measure)
                    against = "" if difference is None else difference.models[1]
                    yield {
                        **row,
                        "measure": measure,
                        **dataclasses.asdict(measured(model, measure)),
                        **_difference(against, interval),
                    }
            if name == chosen:
                for genre, recall in model.test.recall.items():
                    yield {
                        **row,
                        "measure": "recall",
                        "genre": genre,
                        "value": "" if recall is None else recall,
                        **_difference(found.chosen[0], pair.recall.get(genre) if pair else None),
                    }


def _difference(against: str, found: Interval | None) -> Mapping[str, Any]:
    if found is None:
        return {}
    value = found.to_json()
    return {
        "against": against,
        "difference": value["value"],
        "difference_low": value["low"],
        "difference_high": value["high"],
    }
