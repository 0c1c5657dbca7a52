"""Tests of comparing runs: the pairing of their tracks, and the intervals of differences."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.artifacts.names import PREDICTIONS_PARQUET
from components.common.errors import DataError, UsageError
from pipeline.results.comparison import RunComparison, compare
from pipeline.results.comparison_export import as_csv, as_json
from pipeline.results.finished_runs import read_run, read_runs
from tests.pipeline.finished import PredictedTrack, predicted_tracks, write_run

GENRES = ["Folk", "Pop", "Rock"]
LETTERS = "ABC"


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "runs"


def _rights(seed: int, share: float, tracks: int = 60) -> np.ndarray:
    return (np.random.default_rng(seed).random(tracks) < share).astype(int)


def _compare(*folders: pathlib.Path, model: str = "") -> RunComparison:
    return compare(read_runs([str(folder) for folder in folders]), model)


def _write(
    folder: pathlib.Path, rights: np.ndarray, *, model: str = "crnn", **options: Any
) -> pathlib.Path:
    return write_run(folder, GENRES, predicted_tracks(GENRES, {model: rights}, **options))


def test_a_run_is_read_as_it_was_written(root: pathlib.Path) -> None:
    rights = _rights(0, 0.6)
    run = read_run(str(_write(root / "a", rights, artists=7)))
    tracks = run.tracks["crnn"]
    assert len(tracks) == 60
    assert tracks["track_id"].tolist() == [f"t{i:03d}" for i in range(60)]
    assert tracks["genre"].tolist() == [GENRES[i % 3] for i in range(60)]
    assert tracks["artist_id"].tolist() == [f"artist {i % 7}" for i in range(60)]
    named = tracks[[f"p_{genre}" for genre in GENRES]].to_numpy().argmax(axis=1)
    assert (named == np.arange(60) % 3).tolist() == rights.astype(bool).tolist()
    measured = run.results.models["crnn"].test.track_accuracy.value
    assert measured == pytest.approx(rights.mean(), abs=1e-6)


def test_the_same_tracks_are_compared_track_by_track(root: pathlib.Path) -> None:
    first = _rights(0, 0.6)
    second = first.copy()
    second[np.flatnonzero(first == 0)[:6]] = 1
    pair = _compare(_write(root / "a", first), _write(root / "b", second)).pairs[0]
    assert (pair.paired, pair.by, pair.common, pair.tested) == (True, "track", 60, (60, 60))
    assert pair.chosen.track_accuracy.value == pytest.approx(6 / 60)
    # 6 of 60 for one and none for the other: surely more than nothing, and not much more
    # than 0.1 plus twice its error, sqrt(0.1 * 0.9 / 60) = 0.039.
    assert 0 < pair.chosen.track_accuracy.low < 0.1 < pair.chosen.track_accuracy.high < 0.22
    # The same answers on other tracks: two samples of 60, whose difference has an error of
    # about sqrt(2 * 0.25 / 60) = 0.09.
    other = _write(root / "c", second, prefix="other")
    apart = _compare(root / "a", other).pairs[0]
    assert (apart.paired, apart.common) == (False, 0)
    assert apart.chosen.track_accuracy.value == pytest.approx(6 / 60)
    assert apart.chosen.track_accuracy.low < -0.05
    assert apart.chosen.macro_f1.low < -0.05


def test_runs_that_share_some_tracks_are_compared_on_those(root: pathlib.Path) -> None:
    first, second = _rights(1, 0.5), _rights(2, 0.7)
    a = write_run(root / "a", GENRES, predicted_tracks(GENRES, {"crnn": first})[:45])
    b = write_run(root / "b", GENRES, predicted_tracks(GENRES, {"crnn": second})[15:])
    pair = _compare(a, b).pairs[0]
    assert (pair.paired, pair.common, pair.tested) == (True, 30, (45, 45))
    expected = second[15:45].mean() - first[15:45].mean()
    assert pair.chosen.track_accuracy.value == pytest.approx(expected)


@pytest.mark.parametrize(("common", "paired"), [(9, False), (10, True)])
def test_a_few_tracks_in_common_are_no_sample(
    root: pathlib.Path, common: int, paired: bool
) -> None:
    rights = _rights(3, 0.5)
    a = write_run(root / "a", GENRES, predicted_tracks(GENRES, {"crnn": rights})[:30])
    b = write_run(root / "b", GENRES, predicted_tracks(GENRES, {"crnn": rights})[30 - common :])
    pair = _compare(a, b).pairs[0]
    assert (pair.paired, pair.common) == (paired, common)
    expected = 0 if paired else rights[30 - common :].mean() - rights[:30].mean()
    assert pair.chosen.track_accuracy.value == pytest.approx(expected)


def test_few_tracks_are_paired_where_they_are_all_the_same(root: pathlib.Path) -> None:
    rights = np.array([1, 0, 1, 1])
    pair = _compare(_write(root / "a", rights), _write(root / "b", rights)).pairs[0]
    assert (pair.paired, pair.common) == (True, 4)


def test_genres_are_compared_by_name_whatever_their_order(root: pathlib.Path) -> None:
    rights = _rights(4, 0.6)
    a = _write(root / "a", rights)
    tracks = predicted_tracks(GENRES, {"crnn": rights})
    b = write_run(root / "b", GENRES[::-1], tracks)
    found = _compare(a, b)
    assert found.other_genres == ((), ())
    assert found.pairs[0].common == 60
    assert found.pairs[0].chosen.track_accuracy.value == 0
    assert all(value.value == 0 for value in found.pairs[0].recall.values())


def test_one_id_with_two_genres_is_not_one_track(root: pathlib.Path) -> None:
    tracks = predicted_tracks(GENRES, {"crnn": _rights(5, 0.6)})
    changed = [
        PredictedTrack(t.track_id, "Rock", {"crnn": "Rock"})
        if t.track_id in ("t000", "t001")
        else t
        for t in tracks
    ]
    found = _compare(
        write_run(root / "a", GENRES, tracks), write_run(root / "b", GENRES, changed)
    ).pairs[0]
    assert (found.paired, found.common, found.conflicting) == (True, 58, 2)


def test_whole_artists_are_drawn_where_artists_are_known(root: pathlib.Path) -> None:
    """Count an artist once, however many tracks it has."""
    first = np.ones(60, int)
    second = np.ones(60, int)
    second[np.arange(60) % 6 < 2] = 0  # two of six artists, all their tracks
    widths = {}
    for by, artists in (("artist", 6), ("track", 0)):
        a = _write(root / f"a {by}", first, artists=artists)
        b = _write(root / f"b {by}", second, artists=artists)
        pair = _compare(a, b).pairs[0]
        assert pair.by == by
        widths[by] = pair.chosen.track_accuracy.high - pair.chosen.track_accuracy.low
    assert widths["artist"] > 2 * widths["track"]


@pytest.mark.parametrize("knows", ["a", "b"])
def test_an_artist_that_one_run_knows_is_known(root: pathlib.Path, knows: str) -> None:
    rights = _rights(6, 0.6)
    folders = [
        _write(root / name, rights, artists=5 if name == knows else 0) for name in ("a", "b")
    ]
    pair = _compare(*folders).pairs[0]
    assert (pair.by, pair.common) == ("artist", 60)


def test_other_genres_are_told_and_only_common_ones_compared(root: pathlib.Path) -> None:
    first = predicted_tracks(GENRES, {"crnn": _rights(7, 0.6)})
    others = ["blues", "Rock", "Pop", "metal"]
    second = predicted_tracks(others, {"crnn": _rights(8, 0.6)}, prefix="g")
    found = _compare(write_run(root / "a", GENRES, first), write_run(root / "b", others, second))
    assert found.genres == ("Pop", "Rock")
    assert found.other_genres == (("Folk",), ("blues", "metal"))
    assert set(found.pairs[0].recall) == {"Pop", "Rock"}
    recalls = [run.results.models["crnn"].test.recall["Pop"] for run in found.runs]
    assert found.pairs[0].recall["Pop"].value == pytest.approx(recalls[1] - recalls[0])


def test_no_common_genre_is_no_error(root: pathlib.Path) -> None:
    others = ["blues", "metal"]
    found = _compare(
        _write(root / "a", _rights(7, 0.6)),
        write_run(
            root / "b", others, predicted_tracks(others, {"crnn": _rights(8, 0.6)}, prefix="g")
        ),
    )
    assert (found.genres, found.pairs[0].recall) == ((), {})


def test_a_genre_without_test_tracks_has_no_difference(root: pathlib.Path) -> None:
    tracks = [t for t in predicted_tracks(GENRES, {"crnn": _rights(9, 0.6)}) if t.genre != "Pop"]
    a = write_run(root / "a", GENRES, tracks)
    b = _write(root / "b", _rights(9, 0.6))
    assert set(_compare(a, b).pairs[0].recall) == {"Folk", "Rock"}


def test_candidates_are_compared_even_if_they_are_other_networks(root: pathlib.Path) -> None:
    named = {"crnn": _rights(10, 0.7), "ffnn": _rights(11, 0.5)}
    a = write_run(root / "a", GENRES, predicted_tracks(GENRES, named))
    b = write_run(root / "b", GENRES, predicted_tracks(GENRES, named), candidate="ffnn")
    found = _compare(a, b)
    assert found.chosen == ("crnn", "ffnn")
    pair = found.pairs[0]
    assert pair.chosen.models == ("ffnn", "crnn")
    assert pair.chosen.track_accuracy.value == pytest.approx(
        named["ffnn"].mean() - named["crnn"].mean()
    )
    assert {name: value.track_accuracy.value for name, value in pair.models.items()} == {
        "crnn": 0,
        "ffnn": 0,
    }
    asked = _compare(a, b, model="ffnn")
    assert asked.chosen == ("ffnn", "ffnn")
    assert asked.pairs[0].chosen.track_accuracy.value == 0


def test_a_model_that_a_run_lacks_cannot_be_looked_at(root: pathlib.Path) -> None:
    a, b = _write(root / "a", _rights(0, 0.6)), _write(root / "b", _rights(0, 0.6), model="ffnn")
    with pytest.raises(UsageError, match=r"b: has no model crnn; it has ffnn"):
        _compare(a, b, model="crnn")
    pair = _compare(a, b).pairs[0]
    assert pair.models == {}
    assert pair.chosen.models == ("ffnn", "crnn")


def test_three_seeds_have_a_mean_and_a_spread(root: pathlib.Path) -> None:
    shares = []
    for seed, name in enumerate(("a", "b", "c")):
        rights = _rights(seed, 0.6)
        named = {"crnn": rights} | ({"ffnn": rights} if name != "b" else {})
        write_run(root / name, GENRES, predicted_tracks(GENRES, named))
        shares.append(rights.mean())
    found = _compare(root / "a", root / "b", root / "c")
    assert found.spread is not None
    assert set(found.spread) == {"crnn"}, "a model that not every run has"
    spread = found.spread["crnn"]["track_accuracy"]
    expected = (np.mean(shares), np.std(shares, ddof=1), min(shares), max(shares))
    assert (spread.mean, spread.deviation, spread.low, spread.high) == pytest.approx(
        expected, abs=1e-6
    )
    assert _compare(root / "a", root / "b").spread is None
    others = ["Folk", "Pop", "Jazz"]
    write_run(root / "d", others, predicted_tracks(others, {"crnn": _rights(0, 0.6)}))
    assert _compare(root / "a", root / "b", root / "d").spread is None


def test_the_same_input_gives_the_same_bytes(root: pathlib.Path) -> None:
    folders = [_write(root / name, _rights(seed, 0.6)) for seed, name in enumerate("ab")]
    first, second = (json.dumps(as_json(_compare(*folders), LETTERS)) for _ in range(2))
    assert first == second


def test_the_json_holds_the_values_of_the_runs(root: pathlib.Path) -> None:
    a, b = (_write(root / name, _rights(seed, 0.6)) for seed, name in enumerate("ab"))
    found = as_json(_compare(a, b), LETTERS)
    for folder, run in zip((a, b), found["runs"], strict=True):
        results = json.loads((folder / "results.json").read_text())
        test = results["models"]["crnn"]["test"]
        assert run["models"]["crnn"]["macro_f1"] == test["macro_f1"]
        assert run["test_tracks"] == test["tracks"]
        assert run["work_dir"] == str(folder)
    values = [run["models"]["crnn"]["track_accuracy"]["value"] for run in found["runs"]]
    difference = found["differences"][0]["chosen"]["track_accuracy"]
    assert difference["value"] == pytest.approx(values[1] - values[0], abs=2e-6)
    assert found["spread"] is None


def test_the_csv_has_a_row_for_each_number_and_no_formula(root: pathlib.Path) -> None:
    genres = ["=HYPERLINK(1)", "Pop"]
    named = {"crnn": _rights(0, 0.6), "ffnn": _rights(1, 0.3)}
    write_run(root / "a", genres, predicted_tracks(genres, named))
    write_run(root / "b", genres, predicted_tracks(genres, named), candidate="ffnn")
    (root / "rows.csv").write_text(as_csv(_compare(root / "a", root / "b"), LETTERS))
    rows = pd.read_csv(root / "rows.csv", keep_default_na=False)
    assert set(rows["genre"]) == {"", "'=HYPERLINK(1)", "Pop"}
    of_b = rows[(rows["run"] == "B") & (rows["model"] == "ffnn")]
    accuracy = of_b[of_b["measure"] == "track_accuracy"]
    assert accuracy["against"].tolist() == ["ffnn", "crnn"]
    negative = accuracy["difference"].astype(float).tolist()
    assert negative == pytest.approx([0, named["ffnn"].mean() - named["crnn"].mean()], abs=1e-6)
    assert (rows[rows["run"] == "A"]["difference"] == "").all()


# What cannot be compared.


def test_a_folder_where_no_run_finished_is_named(root: pathlib.Path) -> None:
    a = _write(root / "a", _rights(0, 0.6))
    (root / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: no run has finished there.*genreflow run"):
        _compare(a, root / "empty")
    with pytest.raises(UsageError, match=r"nowhere: no such folder"):
        _compare(a, root / "nowhere")
    with pytest.raises(UsageError, match=r"results.json: is a file"):
        _compare(a, a / "results.json")


def test_one_folder_or_the_same_twice_is_no_comparison(root: pathlib.Path) -> None:
    a = _write(root / "a", _rights(0, 0.6))
    with pytest.raises(UsageError, match="one work folder alone"):
        _compare(a)
    with pytest.raises(UsageError, match=r"a: the same work folder, named twice"):
        _compare(a, a)
    (root / "link").symlink_to(a)
    with pytest.raises(UsageError, match=r"link: the same work folder as .*a, named twice"):
        _compare(a, root / "link")
    with pytest.raises(UsageError, match="name is empty"):
        read_runs([str(a), ""])


def _changed(folder: pathlib.Path, **changes: Any) -> pathlib.Path:
    path = folder / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_results_of_another_version_are_refused(root: pathlib.Path) -> None:
    a = _changed(_write(root / "a", _rights(0, 0.6)), schema_version=99)
    with pytest.raises(
        DataError, match=r"results.json: has schema version 99.*rerun its genreflow"
    ):
        read_run(str(a))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"schema_version": ', "is damaged, not JSON"),
        ("[" * 100_000, "is damaged, not JSON"),
        (b"\xff\xfe", "is damaged, not JSON"),
        ("[]", "is damaged, its top level"),
        ("{}", "is damaged, schema_version: Field required"),
    ],
)
def test_damaged_results_are_refused(root: pathlib.Path, content: str | bytes, words: str) -> None:
    a = _write(root / "a", _rights(0, 0.6))
    (a / "results.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words):
        read_run(str(a))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"genres": "Folk"}, r"damaged, genres: "),
        ({"candidate": "nobody"}, r"its candidate is none of its models"),
        (
            {"models": {"crnn": {"kind": "network", "parameters": 1, "train_seconds": 1}}},
            r"damaged, models.crnn.test: Field required",
        ),
        ({"genres": ["Folk", "Pop", "Jazz"]}, r"crnn was tested on other genres"),
    ],
)
def test_results_that_lack_something_are_refused(
    root: pathlib.Path, changes: dict[str, Any], words: str
) -> None:
    a = _changed(_write(root / "a", _rights(0, 0.6)), **changes)
    with pytest.raises(DataError, match=words):
        read_run(str(a))


def test_predictions_of_another_run_are_refused(root: pathlib.Path) -> None:
    a, b = (_write(root / name, _rights(seed, 0.6)) for seed, name in enumerate("ab"))
    (a / PREDICTIONS_PARQUET).write_bytes((b / PREDICTIONS_PARQUET).read_bytes())
    with pytest.raises(DataError, match=r"predictions.parquet: is not from the run.*crnn"):
        read_run(str(a))


def test_predictions_that_are_not_there_or_damaged_are_refused(root: pathlib.Path) -> None:
    a = _write(root / "a", _rights(0, 0.6))
    path = a / PREDICTIONS_PARQUET
    whole = path.read_bytes()
    for content in (b"", b"words", whole[: len(whole) // 2], whole[:-8] + b"\0" * 8):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"predictions.parquet: is damaged"):
            read_run(str(a))
    path.unlink()
    with pytest.raises(DataError, match=r"predictions.parquet: is missing"):
        read_run(str(a))


def _table_changed(folder: pathlib.Path, change: Any) -> str:
    path = folder / PREDICTIONS_PARQUET
    table = pd.read_parquet(path)
    (change(table) if callable(change) else table).to_parquet(path, index=False)
    return str(folder)


def test_a_probability_that_is_no_number_is_refused(root: pathlib.Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[(table["split"] == "test") & (table["track_id"] == "t003"), "p_Pop"] = np.nan
        return table

    folder = _table_changed(_write(root / "a", _rights(0, 0.6)), change)
    with pytest.raises(DataError, match=r"not finite.*model crnn, split test, track t003"):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda table: table.drop(columns="p_Pop"),
            "for the genres Folk, Rock, but this run's genres are Folk, Pop, Rock",
        ),
        (lambda table: table.drop(columns="clip_index"), "it has no column clip_index"),
        (lambda table: table.assign(p_Pop=table["p_Pop"] + 1), "not adding up to 1"),
        (lambda table: table.assign(label="Pop"), "its labels or probabilities are not numbers"),
        (lambda table: table.assign(p_Pop="much"), "its labels or probabilities are not numbers"),
        (
            lambda table: table.assign(label=table["label"] + 1),
            "has labels that are none of the 3 genres",
        ),
        (lambda table: table[table["track_id"] != "t000"], "is not from the run"),
    ],
)
def test_a_table_of_something_else_is_refused(root: pathlib.Path, change: Any, words: str) -> None:
    folder = _table_changed(_write(root / "a", _rights(0, 0.6)), change)
    with pytest.raises(DataError, match=words):
        read_run(folder)


def test_models_that_were_tested_on_different_tracks_are_refused(root: pathlib.Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        other = (table["model"] == "ffnn") & (table["track_id"] == "t003")
        return table.assign(track_id=table["track_id"].where(~other, "t999"))

    rights = _rights(0, 0.6)
    folder = write_run(
        root / "a", GENRES, predicted_tracks(GENRES, {"crnn": rights, "ffnn": rights})
    )
    with pytest.raises(DataError, match="have different test tracks"):
        read_run(_table_changed(folder, change))
