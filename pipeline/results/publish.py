"""Copying a run's outcome from the artifacts into the work folder, after the graph."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil

from components.artifacts import files as artifact_files
from components.artifacts.names import (
    HISTORY_JSON,
    PREDICTIONS_PARQUET,
    REJECTS_CSV,
    REPORT_HTML,
    REPORT_PLOTS_FOLDER,
    TRACKS_JSON,
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
from pipeline.results.collect import RunRecord
from pipeline.results.run_file import write_run_file
from pipeline.results.schema import Results
from pipeline.work_dir import WorkDir


def put(config: Config, record: RunRecord, results: Results, work_dir: WorkDir) -> None:
    """Copy everything but results.json.

    Args:
      config: the run's configuration.
      record: the run in ML Metadata.
      results: result of `collect`.
      work_dir: the folder to copy into.
    """
    copy_rejects(record, str(work_dir.rejects))
    copy_curves(config, record, str(work_dir.curves))
    copy_tuning(config, record, work_dir.tuning)
    copy_predictions(record, work_dir.root)
    copy_report(record, results, work_dir.report)
    examples = record.outputs(nodes.SPECTROGRAM_GEN)["examples"].uri
    copy_tracks(examples, work_dir.root)
    write_run_file(
        str(work_dir.root), run_id=results.run_id, config=config.to_json(), examples=examples
    )


def copy_tracks(examples: str, folder: pathlib.Path) -> None:
    """Copy the list of the tracks with examples."""
    content = artifact_files.read_bytes(os.path.join(examples, TRACKS_JSON))
    artifact_files.write_bytes(str(folder / TRACKS_JSON), content)


def copy_predictions(record: RunRecord, folder: pathlib.Path) -> None:
    """Copy the table of all models' predictions."""
    source = os.path.join(record.outputs(nodes.ENSEMBLER)["predictions"].uri, PREDICTIONS_PARQUET)
    artifact_files.write_bytes(str(folder / PREDICTIONS_PARQUET), artifact_files.read_bytes(source))


def copy_report(record: RunRecord, results: Results, folder: pathlib.Path) -> None:
    """Copy the report, completed with the results, and its plots; remove an earlier run's plots."""
    source = record.outputs(nodes.REPORT)["report"].uri
    html = with_run(
        artifact_files.read_text(os.path.join(source, REPORT_HTML)),
        nodes=results.nodes,
        pushed_version=results.pushed_version,
        serving_check=results.serving_check,
        push_refused=results.push_refused,
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
    """Copy the list of tracks that were left out."""
    source = os.path.join(record.outputs(nodes.SPECTROGRAM_GEN)["rejects"].uri, REJECTS_CSV)
    artifact_files.write_bytes(destination, artifact_files.read_bytes(source))


def copy_curves(config: Config, record: RunRecord, folder: str) -> None:
    """Copy the curves of this run's networks, and remove those of others.

    The folder then holds `<network>.png`, and TensorBoard's files in `<network>/<phase>/`. A
    file that is the same already is not written again: TensorBoard may be reading it.
    """
    root = pathlib.Path(folder)
    wanted: dict[pathlib.Path, bytes] = {}
    for name in config.models:
        outputs = record.outputs(nodes.trainer(name))
        run = outputs["model_run"].uri
        picture = artifact_files.read_bytes(os.path.join(run, TRAINING_CURVES_PNG))
        wanted[root / f"{name}.png"] = picture
        for phase in artifact_files.read_json(run, HISTORY_JSON)["phases"]:
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
    """Copy each search's results into a folder named after its network.

    Folders of networks that are no longer tuned are removed.
    """
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
