"""After the graph: puts a run's outcome into the work folder, where people look for it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from components.artifacts import files as artifact_files
from components.artifacts.names import (
    HISTORY_JSON,
    PREDICTIONS_PARQUET,
    REJECTS_CSV,
    REPORT_HTML,
    REPORT_PLOTS_FOLDER,
    TRAINING_CURVES_PNG,
    TRIALS_CSV,
    TRIALS_JSON,
    TRIALS_PNG,
)
from components.models.architectures import NETWORKS
from components.report.page import with_run
from components.trainer.history import EVENTS_PREFIX
from pipeline.config.schema import Config
from pipeline.graph import nodes
from pipeline.results.collect import RunRecord, read_json
from pipeline.work_dir import WorkDir


def put(config: Config, record: RunRecord, outcome: Mapping[str, Any], work_dir: WorkDir) -> None:
    """Copies everything but results.json.

    Args:
      config: the run's configuration.
      record: the run in ML Metadata.
      outcome: what `collect` returned.
      work_dir: where it goes.
    """
    copy_rejects(record, str(work_dir.rejects))
    copy_curves(config, record, str(work_dir.curves))
    copy_tuning(config, record, work_dir.tuning)
    copy_predictions(record, work_dir.root)
    copy_report(record, outcome, work_dir.report)


def copy_predictions(record: RunRecord, folder: pathlib.Path) -> None:
    """The table of all models' predictions, as it is."""
    source = os.path.join(record.outputs(nodes.ENSEMBLER)["predictions"].uri, PREDICTIONS_PARQUET)
    artifact_files.write_bytes(str(folder / PREDICTIONS_PARQUET), artifact_files.read_bytes(source))


def copy_report(record: RunRecord, outcome: Mapping[str, Any], folder: pathlib.Path) -> None:
    """The page with what only the runner knows, and its plots; plots of an earlier run go."""
    source = record.outputs(nodes.REPORT)["report"].uri
    html = with_run(
        artifact_files.read_text(os.path.join(source, REPORT_HTML)),
        nodes=outcome["nodes"],
        pushed_version=outcome["pushed_version"],
        serving_check=outcome["serving_check"],
    )
    plots = artifact_files.matching(os.path.join(source, REPORT_PLOTS_FOLDER), "*.png")
    names = {path.rpartition("/")[2] for path in plots}
    for old in (folder / REPORT_PLOTS_FOLDER).glob("*.png"):
        if old.name not in names:
            old.unlink()
    for path in plots:
        target = folder / REPORT_PLOTS_FOLDER / path.rpartition("/")[2]
        artifact_files.write_bytes(str(target), artifact_files.read_bytes(path))
    artifact_files.write_text(str(folder / REPORT_HTML), html)


def copy_rejects(record: RunRecord, destination: str) -> None:
    """Puts the run's list of rejects where people look for it."""
    source = os.path.join(record.outputs(nodes.SPECTROGRAM_GEN)["rejects"].uri, REJECTS_CSV)
    artifact_files.write_bytes(destination, artifact_files.read_bytes(source))


def copy_curves(config: Config, record: RunRecord, folder: str) -> None:
    """Makes a folder show the curves of this run's networks, and of no others.

    `<network>.png`, and TensorBoard's files in `<network>/<phase>/`. Those that are right
    already, as a network's that was just trained, stay as they are: TensorBoard may be
    reading them.
    """
    root = pathlib.Path(folder)
    wanted: dict[pathlib.Path, bytes] = {}
    for name in config.models:
        outputs = record.outputs(nodes.trainer(name))
        run = outputs["model_run"].uri
        picture = artifact_files.read_bytes(os.path.join(run, TRAINING_CURVES_PNG))
        wanted[root / f"{name}.png"] = picture
        for phase in read_json(outputs, "model_run", HISTORY_JSON)["phases"]:
            for source in artifact_files.matching(
                os.path.join(run, phase["phase"]), f"{EVENTS_PREFIX}*"
            ):
                target = root / name / phase["phase"] / source.rpartition("/")[2]
                wanted[target] = artifact_files.read_bytes(source)
    for name in NETWORKS:
        for path in (*root.glob(f"{name}.png"), *root.glob(f"{name}/*/{EVENTS_PREFIX}*")):
            if path not in wanted:
                path.unlink()
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            artifact_files.write_bytes(str(path), content)


def copy_tuning(config: Config, record: RunRecord, destination: pathlib.Path) -> None:
    """Puts each search's results into a folder of its network's name, and takes away those
    of networks that are tuned no more."""
    for name in NETWORKS:
        folder = destination / name
        if name not in config.tuned_networks:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        source = record.outputs(nodes.tuner(name))["results"].uri
        for file in (TRIALS_JSON, TRIALS_CSV, TRIALS_PNG):
            content = artifact_files.read_bytes(os.path.join(source, file))
            artifact_files.write_bytes(str(folder / file), content)
    with contextlib.suppress(OSError):
        destination.rmdir()  # if nothing is left in it
