"""The tables of trials that end a run whose networks were tuned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from components.artifacts.names import TRIALS_JSON
from components.trainer.tuned import TUNABLE
from pipeline.work_dir import WorkDir

SHOWN_TRIALS = 10
TUNING_LEGEND = (
    "* the values that the network was then trained with; loss, right: of the clips of the "
    "validation split, without penalties"
)


def tuning_tables(results: Mapping[str, Any], work: WorkDir) -> list[Table]:
    """For each tuned network of the last run its best trials, the best first."""
    return [
        trials_table(json.loads((work.tuning / name / TRIALS_JSON).read_text(encoding="utf-8")))
        for name, model in results["models"].items()
        if "tuning" in model
    ]


def trials_table(found: Mapping[str, Any]) -> Table:
    """The table of one trials.json: the tuned parameters, and what they came to."""
    trials = sorted(
        found["trials"],
        # Failed ones last.
        key=lambda t: (t["val_loss"] is None, t["val_loss"] or 0.0, t["number"]),
    )
    failed = sum(trial["outcome"] == "failed" for trial in trials)
    few = f"the {SHOWN_TRIALS} best of " if len(trials) > SHOWN_TRIALS else ""
    title = f"{found['architecture']}: {few}{len(trials)} trials"
    table = Table(title=title + (f", {failed} failed" if failed else ""), title_justify="left")
    names = list(found["values"])
    columns = ["trial", *(TUNABLE[name].short_label for name in TUNABLE if name in names)]
    for column in (*columns, "epochs", "loss", "right", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    for trial in trials[:SHOWN_TRIALS]:
        measured = trial["val_loss"] is not None
        table.add_row(
            f"{trial['number']} *" if trial["number"] == found["best"] else str(trial["number"]),
            *(f"{trial['values'][name]:g}" for name in TUNABLE if name in names),
            str(trial["epochs"]) if trial["outcome"] == "done" else trial["outcome"],
            f"{trial['val_loss']:.3f}" if measured else "-",
            f"{trial['val_accuracy']:.1%}" if measured else "-",
            f"{trial['seconds']:.0f}",
        )
    return table
