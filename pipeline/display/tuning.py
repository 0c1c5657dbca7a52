"""Tables of trials that end a run whose networks were tuned."""

from __future__ import annotations

from rich.table import Table

from components.artifacts import typed_json
from components.artifacts.names import TRIALS_JSON
from components.trainer.tuned import TUNABLE
from components.tuner.trials import TrialsFile
from pipeline.display.tables import titled
from pipeline.results.schema import Results
from pipeline.work_dir import WorkDir

MAX_SHOWN_TRIALS = 10
TUNING_LEGEND = (
    "* the trial whose values the network was then trained with; loss, accuracy: on the clips of "
    "the validation split, without penalties"
)


def tuning_tables(results: Results, work: WorkDir) -> list[Table]:
    """Return a table of the best trials for each tuned network of the last run.

    Raises:
      DataError: a network's trials.json is missing or damaged.
    """
    return [
        trials_table(typed_json.read(TrialsFile, str(work.tuning / name), TRIALS_JSON))
        for name, model in results.models.items()
        if model.tuning
    ]


def trials_table(found: TrialsFile) -> Table:
    """Return the table of one search: the tuned values and their results, the best first."""
    trials = sorted(
        found.trials,
        # Failed ones last.
        key=lambda trial: (trial.val_loss is None, trial.val_loss or 0.0, trial.number),
    )
    failed = sum(trial.outcome == "failed" for trial in trials)
    best_of = f"the {MAX_SHOWN_TRIALS} best of " if len(trials) > MAX_SHOWN_TRIALS else ""
    title = f"{found.architecture}: {best_of}{len(trials)} trials"
    title += f", {failed} failed" if failed else ""
    names = [name for name in TUNABLE if name in found.values]
    columns = ["trial", *(TUNABLE[name].short_label for name in names)]
    table = titled(title, *columns, "epochs", "loss", "accuracy", "s")
    for column in table.columns:
        column.no_wrap = True
    for trial in trials[:MAX_SHOWN_TRIALS]:
        table.add_row(
            f"{trial.number} *" if trial.number == found.best else str(trial.number),
            *(f"{trial.values[name]:g}" for name in names),
            str(trial.epochs) if trial.outcome == "done" else trial.outcome,
            "-" if trial.val_loss is None else f"{trial.val_loss:.3f}",
            "-" if trial.val_accuracy is None else f"{trial.val_accuracy:.1%}",
            f"{trial.seconds:.0f}",
        )
    return table
