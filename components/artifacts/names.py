"""Names of the files that one component writes and another, or the pipeline, reads.

The exported model's files have their names in components/common/model_contract.py.
"""

from __future__ import annotations

# Rejects, of SpectrogramGen.
REJECTS_CSV = "rejects.csv"
REJECT_SUMMARY_JSON = "summary.json"
# Examples, of SpectrogramGen; its content: components/examples/sources.py.
TEST_SOURCES_JSON = "test_sources.json"
# Examples, of SpectrogramGen; its content: components/examples/tracks.py.
TRACKS_JSON = "tracks.json"
# DataCheckResult.
DATA_CHECK_JSON = "check.json"  # its content: components/data_check/outcome.py
TRAINING_STATISTICS_PB = "training_statistics.pb"
# BaselineModels, of BaselineTrainer; its content: components/baselines/store.py.
BASELINES_JSON = "baselines.json"
# HyperParameters and TuningResults, of a Tuner; their content: components/tuner/outcome.py.
BEST_HYPERPARAMETERS_TXT = "best_hyperparameters.txt"  # as TFX's own Tuner names it
TRIALS_JSON = "trials.json"
TRIALS_CSV = "trials.csv"
TRIALS_PNG = "trials.png"
# Property of PushedModel, of Pusher: why a candidate that was blessed is not pushed.
PUSH_REFUSED = "push_refused"
# ModelRun, of a Trainer; its content: components/trainer/history.py.
HISTORY_JSON = "history.json"
TRAINING_CURVES_PNG = "curves.png"
# Predictions, of BaselineTrainer (the table alone) and the Ensembler.
PREDICTIONS_PARQUET = "predictions.parquet"
SELECTION_JSON = "selection.json"  # the candidate, and other choices made on validation
# ModelBlessing, of GenreGate.
DECISION_JSON = "decision.json"
# InfraBlessing, of ServingCheck; its content: components/serving_check/outcome.py.
SERVING_CHECK_JSON = "serving_check.json"
# Report.
REPORT_HTML = "index.html"
REPORT_PLOTS_FOLDER = "plots"
# Folder within the clip store for downloads and unfinished files. SpectrogramGen empties it first,
# because a killed run leaves files in it.
STORE_SCRATCH = "scratch"
