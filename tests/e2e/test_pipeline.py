"""The whole pipeline: its outputs, its cache, and errors that stop it."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import soundfile
from typer.testing import CliRunner

from components.common.errors import GenreflowError
from components.datasets.corpus import load_corpus
from components.datasets.track import SPLITS
from components.predictions import table
from genreflow.cli.app import app
from genreflow.exploring.marking import Marking, MendedPlaces
from genreflow.exploring.preparation import prepare
from genreflow.exploring.run import explore
from genreflow.exploring.spectrograms import read_clips
from pipeline.config.load import load

pytestmark = pytest.mark.e2e

RunPipeline = Callable[..., dict[str, Any]]

QUICK = (
    "training.epochs=1",
    "training.fine_tune_epochs=1",
    'models.vgg16.weights="none"',
    "models.vgg16.image_size=32",
    'baselines.models=["dummy","knn","random_forest"]',
    "baselines.random_forest.n_estimators=10",
    "gate.floor=0.0",
    "gate.beats_baseline=false",
    "gate.holds_ensemble=false",
    "gate.holds_serving=false",
    "gate.recall_floor=0.0",
)
# DataCheck, GenreGate and Report see another serving model after a push.
ALWAYS_RUN = {"DataCheck", "GenreGate", "Pusher", "Report", "ServingCheck", "ServingModel"}
NETWORKS = {"ffnn", "cnn_small", "crnn", "vgg16"}


@dataclasses.dataclass(frozen=True)
class Finished:
    """First run, with its folders."""

    work_dir: pathlib.Path
    data_dir: pathlib.Path
    results: dict[str, Any]


@pytest.fixture(scope="module")
def first(
    run_pipeline: RunPipeline, corpus: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """Run fma_small.toml on 16 good tracks and three bad ones: damaged, missing, a duplicate."""
    data_dir = tmp_path_factory.mktemp("data") / "fma"
    shutil.copytree(corpus, data_dir)
    metadata = data_dir / "fma_metadata" / "tracks.csv"
    last_row = metadata.read_text().splitlines()[-1]
    with metadata.open("a") as rows:
        for track_id in (999997, 999998, 999999):
            rows.write(f"{track_id},{last_row.partition(',')[2]}\n")
    (data_dir / "fma_small" / "999").mkdir()
    (data_dir / "fma_small" / "999" / "999998.mp3").write_text("words, not music")
    song = min((data_dir / "fma_small").rglob("*.mp3"))
    # Another tag gives other bytes with the same audio.
    tag = b"TAG" + b"another name".ljust(125, b"\0")
    (data_dir / "fma_small" / "999" / "999997.mp3").write_bytes(song.read_bytes() + tag)
    work_dir = tmp_path_factory.mktemp("work") / "w"
    return Finished(work_dir, data_dir, run_pipeline(work_dir, data_dir, *QUICK))


def _versions(work_dir: pathlib.Path) -> list[str]:
    folder = work_dir / "serving_models" / "genreflow"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def _artifact(first: Finished, node: str, key: str) -> pathlib.Path:
    """Return the only artifact of an output of a node that ran once."""
    (folder,) = (first.work_dir / "pipeline" / node / key).iterdir()
    return folder


def test_a_run_trains_every_network_and_pushes_the_best_on_validation(first: Finished) -> None:
    results = first.results
    kinds = {name: model["kind"] for name, model in results["models"].items()}
    assert kinds == {
        **dict.fromkeys(NETWORKS, "network"),
        **dict.fromkeys(("dummy", "knn", "random_forest"), "baseline"),
        **dict.fromkeys(
            ("ensemble_networks", "ensemble_baselines", "ensemble_all", "ensemble_weighted"),
            "ensemble",
        ),
    }
    validation = {
        name: results["models"][name]["validation"]["track_accuracy"]["value"]
        for name in (*NETWORKS, "ensemble_networks")
    }
    assert validation[results["candidate"]] == max(validation.values())
    assert results["gate"]["blessed"]
    assert results["serving_check"]["outcome"] == "passed"
    assert _versions(first.work_dir) == [results["pushed_version"]]
    pushed = first.work_dir / "serving_models" / "genreflow" / results["pushed_version"]
    assert json.loads((pushed / "assets" / "genres.json").read_text()) == results["genres"]
    assert not results["leaky"]


def test_counts_hold_for_every_track_and_clip(first: Finished) -> None:
    counts = first.results["counts"]
    assert counts["tracks_listed"] == 19
    assert counts["rejects"] == {"missing_file": 1, "undecodable": 1, "duplicate": 1}
    assert counts["tracks_read"] == 16 == sum(counts["tracks"].values())
    assert {split: 4 * n for split, n in counts["tracks"].items()} == counts["clips"]
    rows = list(csv.DictReader((first.work_dir / "rejects.csv").open()))
    assert {row["track_id"]: row["reason"] for row in rows} == {
        "999997": "duplicate",
        "999998": "undecodable",
        "999999": "missing_file",
    }


def test_the_run_can_be_explored_and_its_mended_labels_read(
    first: Finished, tmp_path: pathlib.Path
) -> None:
    work = tmp_path / "work"
    # The marks stay out of the other tests' folder.
    shutil.copytree(first.work_dir, work, ignore=shutil.ignore_patterns("cache", "logs"))
    run = explore(str(work))
    assert {split: int((run.splits == split).sum()) for split in SPLITS} == (
        first.results["counts"]["tracks"]
    )
    prepared = prepare(run, lambda event: None)
    for song in range(len(run.songs)):
        clips = read_clips(prepared.clips, song, run.examples, run.config.audio)
        assert clips is not None
        assert len(clips.starts_s) == 4
    marking = Marking(run, MendedPlaces.of(str(work)))
    song = run.songs[0]
    genre = next(name for name in run.genres if name != song.genre)
    marking.mark(song.track_id, "relabel", genre, evidence="", seen="")
    config = load(work / "explore" / "config.toml")
    corpus = load_corpus(config.dataset, config.split)
    assert {track.track_id: track.genre for track in corpus.tracks} == {
        one.track_id: genre if one == song else one.genre for one in run.songs
    }
    assert all(corpus.split_of_clip(one.track_id, 0) == one.split for one in run.songs)


def test_tfma_measures_what_the_predictions_table_says(first: Finished) -> None:
    import tensorflow_model_analysis as tfma

    evaluation = tfma.load_eval_result(str(_artifact(first, "Evaluator", "evaluation")))
    rows = table.read_table(str(_artifact(first, "Ensembler", "predictions")))
    test = rows[(rows["model"] == first.results["candidate"]) & (rows["split"] == "test")]
    genres = first.results["genres"]
    right = test[table.probability_columns(genres)].to_numpy().argmax(1) == test["label"]
    slices = dict(evaluation.slicing_metrics)

    def measured(key: tuple[tuple[str, str], ...], name: str) -> float:
        return float(slices[key][""][""][name]["doubleValue"])

    assert measured((), "sparse_categorical_accuracy") == pytest.approx(right.mean(), abs=1e-6)
    assert measured((), "example_count") == len(test)
    (plot,) = [plots for key, plots in evaluation.plots if key == ()]
    assert "multiClassConfusionMatrixAtThresholds" in str(plot)
    for label in sorted(test["label"].unique()):
        mine = right[test["label"] == label]
        theirs = measured((("genre", genres[label]),), "sparse_categorical_accuracy")
        assert theirs == pytest.approx(mine.mean(), abs=1e-6)


def test_the_work_folder_holds_the_report_and_the_predictions_of_all_models(
    first: Finished,
) -> None:
    results = first.results
    rows = table.read_table(str(first.work_dir))
    assert set(rows["model"]) == set(results["models"])
    clips = results["counts"]["clips"]
    sizes = rows.groupby(["model", "split"]).size().unstack()
    assert (sizes["validation"] == clips["validation"]).all()
    assert (sizes["test"] == clips["test"]).all()

    page = (first.work_dir / "report" / "index.html").read_text(encoding="utf-8")
    for text in (*results["nodes"], *results["models"], results["pushed_version"]):
        assert text in page, text
    for rule in results["gate"]["rules"]:
        assert html.escape(rule["text"], quote=True).replace("&#x27;", "&#39;") in page
    plots = {path.name for path in (first.work_dir / "report" / "plots").iterdir()}
    made = {path.name for path in (_artifact(first, "Report", "report") / "plots").iterdir()}
    assert plots == made != set()
    shown = CliRunner().invoke(app, ["report", "--work-dir", str(first.work_dir)])
    assert shown.exit_code == 0
    assert "index.html" in shown.output


def test_a_weighted_average_is_that_of_the_weights_in_the_results(first: Finished) -> None:
    import numpy as np

    weights = first.results["ensembles"]["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    rows = table.read_table(str(first.work_dir)).sort_values(["split", "track_id", "clip_index"])
    columns = table.probability_columns(first.results["genres"])
    of = {name: found[columns].to_numpy() for name, found in rows.groupby("model")}
    expected = sum(share * of[name] for name, share in weights.items())
    np.testing.assert_allclose(of["ensemble_weighted"], expected, atol=1e-5)


def test_predict_names_the_genres_of_a_song_of_the_corpus(first: Finished) -> None:
    song = sorted((first.data_dir / "fma_small").rglob("*.mp3"))[1]
    models = first.work_dir / "serving_models" / "genreflow"
    shown = CliRunner().invoke(app, ["predict", str(song), "-m", str(models), "--top", "3"])
    assert shown.exit_code == 0, shown.output
    assert "%" in shown.output
    answer = CliRunner().invoke(app, ["predict", str(song), "-m", str(models), "--json"])
    (prediction,) = json.loads(answer.stdout)
    assert set(prediction["probabilities"]) == set(first.results["genres"])
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-4)

    words = first.data_dir / "words.mp3"
    words.write_text("not music")
    bad = CliRunner().invoke(app, ["predict", str(words), str(song), "-m", str(models)])
    words.unlink()
    assert bad.exit_code == 1
    assert "undecodable" in bad.output
    assert song.name in bad.output.replace("\n", "")


def test_predictions_of_the_pushed_model_equal_the_evaluation_on_the_same_clips(
    first: Finished,
) -> None:
    """Cut a test track's clips from its file again; there is no skew to the predictions table."""
    import numpy as np

    from components.audio.decoding.decode import decode, resample
    from components.audio.params import AudioParams
    from serving.model.local import LocalModel

    model = LocalModel(first.work_dir / "serving_models" / "genreflow")
    rows = table.read_table(str(_artifact(first, "Ensembler", "predictions")))
    rows = rows[(rows["model"] == first.results["candidate"]) & (rows["split"] == "test")]
    track_id = rows["track_id"].iloc[0]
    path = first.data_dir / "fma_small" / f"{int(track_id):06d}"[:3] / f"{int(track_id):06d}.mp3"
    params = AudioParams()
    samples = resample(*decode(path), params.sample_rate_hz)
    from components.audio.clips import clip_starts

    starts = clip_starts(len(samples), params.clip_samples, 4, track_id=track_id, seed=0)
    clips = np.stack([samples[s : s + params.clip_samples] for s in starts])
    expected = rows[rows["track_id"] == track_id][table.probability_columns(model.genres)]
    np.testing.assert_allclose(model.predict_windows(clips), expected.to_numpy(), atol=1e-4)


def test_unchanged_runs_come_from_the_cache_and_push_one_version_in_all(
    first: Finished, run_pipeline: RunPipeline
) -> None:
    for _ in range(2):
        again = run_pipeline(first.work_dir, first.data_dir, *QUICK)
        ran = {node for node, values in again["nodes"].items() if values["outcome"] == "done"}
        assert ran <= ALWAYS_RUN
        assert again["pushed_version"] is None
        assert not again["gate"]["blessed"]
        (rule,) = [r for r in again["gate"]["rules"] if r["outcome"] == "fail"]
        assert rule["id"] == "already_serving"
        assert again["models"] == first.results["models"]
    assert _versions(first.work_dir) == [first.results["pushed_version"]]


def test_a_version_that_somebody_deleted_is_pushed_again_but_not_past_a_server_that_refuses(
    first: Finished, run_pipeline: RunPipeline
) -> None:
    for version in _versions(first.work_dir):
        shutil.rmtree(first.work_dir / "serving_models" / "genreflow" / version)
    # Front ends never agree that closely.
    refused = run_pipeline(first.work_dir, first.data_dir, *QUICK, "serving.tolerance=1e-12")
    assert refused["gate"]["blessed"]
    assert refused["serving_check"]["outcome"] == "failed"
    reason = refused["serving_check"]["text"]
    assert "where serving.tolerance allows 1e-12" in reason
    assert refused["pushed_version"] is None
    assert _versions(first.work_dir) == []
    page = (first.work_dir / "report" / "index.html").read_text(encoding="utf-8")
    shown = html.escape(reason).replace("&#x27;", "&#39;")
    assert f"Refused by ServingCheck: {shown}" in page

    again = run_pipeline(first.work_dir, first.data_dir, *QUICK)
    assert again["gate"]["blessed"]
    assert again["serving_check"]["blessed"]
    assert _versions(first.work_dir) == [again["pushed_version"]]


def test_a_gate_with_every_rule_on_says_of_each_how_it_came_out(
    first: Finished, run_pipeline: RunPipeline
) -> None:
    """Rerun with all rules on. One epoch on 16 tracks beats nothing; nothing is trained again."""
    again = run_pipeline(first.work_dir, first.data_dir, *QUICK[:6])
    assert {n for n, v in again["nodes"].items() if v["outcome"] == "done"} <= ALWAYS_RUN
    rules = {rule["id"]: rule for rule in again["gate"]["rules"]}
    assert list(rules) == [
        "absolute_floor", "beats_baseline", "holds_ensemble", "holds_serving", "genre_recall",
        "audio_hash", "already_serving",
    ]  # fmt: skip
    assert rules["audio_hash"]["outcome"] == "pass"
    # Two test tracks cannot show that one model is better than another.
    assert rules["beats_baseline"]["outcome"] == "fail"
    assert again["best_baseline"] in rules["beats_baseline"]["text"]
    assert not again["gate"]["blessed"]
    assert again["pushed_version"] is None
    assert again["test_split_uses"] == 1  # the same candidate on the same tracks
    page = (first.work_dir / "report" / "index.html").read_text(encoding="utf-8")
    assert html.escape(rules["beats_baseline"]["text"]).replace("&#x27;", "&#39;") in page


def test_one_changed_file_runs_the_audio_stage_and_a_floor_refuses_the_push(
    first: Finished, run_pipeline: RunPipeline
) -> None:
    before = _versions(first.work_dir)
    song = sorted((first.data_dir / "fma_small").rglob("*.mp3"))[1]
    status = song.stat()
    os.utime(song, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    again = run_pipeline(first.work_dir, first.data_dir, *QUICK, "gate.floor=1.0")
    assert again["nodes"]["SpectrogramGen"]["outcome"] == "done"
    assert again["counts"]["tracks_decoded"] == 1  # the others come from the clip store
    assert {**again["counts"], "tracks_decoded": 0} == {
        **first.results["counts"],
        "tracks_decoded": 0,
    }
    assert again["nodes"]["ImportSchemaGen"]["outcome"] == "cached"
    assert not again["gate"]["blessed"]
    assert again["pushed_version"] is None
    assert _versions(first.work_dir) == before


def test_wrong_labels_stop_the_run_before_anything_trains(
    run_pipeline: RunPipeline, corpus: pathlib.Path, tmp_path: pathlib.Path, first: Finished
) -> None:
    swapped = (*first.results["genres"][1:], first.results["genres"][0])
    with pytest.raises(RuntimeError) as caught:
        run_pipeline(tmp_path / "w", corpus, *QUICK, genres=swapped)
    cause = caught.value.__cause__
    assert isinstance(cause, GenreflowError)
    assert "is not that of" in str(cause)
    assert not list((tmp_path / "w" / "pipeline").glob("Trainer*"))


def test_an_unknown_genre_stops_the_run_before_anything_trains(
    run_pipeline: RunPipeline, corpus: pathlib.Path, tmp_path: pathlib.Path, first: Finished
) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_pipeline(tmp_path / "w", corpus, *QUICK, genres=tuple(first.results["genres"][:-1]))
    cause = str(caught.value.__cause__)
    assert "unknown genre 'Rock'" in cause
    assert "feature genre" in cause  # TFDV's own finding, from the schema of the configuration
    assert not list((tmp_path / "w" / "pipeline").glob("Trainer*"))


def test_a_split_by_clip_is_marked_as_leaky_and_wav_files_are_exported(
    run_pipeline: RunPipeline, corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    results = run_pipeline(
        tmp_path / "w",
        corpus,
        *QUICK[:1],
        *QUICK[4:],
        'dataset.export_wav="clips"',
        config="study",
        networks=("ffnn",),
    )
    assert results["leaky"]
    assert sum(results["counts"]["clips"].values()) == 64
    (examples,) = (tmp_path / "w" / "pipeline" / "SpectrogramGen" / "examples").iterdir()
    wavs = list((examples / "wav").rglob("*.wav"))
    assert len(wavs) == 64
    assert soundfile.info(str(wavs[0])).frames == 44100


def test_weights_that_cannot_be_had_end_the_run_before_the_audio_stage(
    run_pipeline: RunPipeline, corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(GenreflowError, match=r"no such file"):
        run_pipeline(
            tmp_path / "w", corpus, f'models.vgg16.weights="{tmp_path}/gone.h5"', *QUICK[:2]
        )
    assert not (tmp_path / "w" / "pipeline" / "SpectrogramGen").exists()
