"""Tests of `genreflow compare` and its output."""

from __future__ import annotations

import csv
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from genreflow.cli.app import app
from tests.pipeline.finished import predicted_tracks, write_run
from tests.support.documented import documented_keys

GENRES = ["Folk", "Pop", "Rock"]
TRACKS = 60


def _compare(*arguments: str | pathlib.Path, columns: int = 80) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": str(columns)})


def _rights(share: float, shift: int = 0) -> list[int]:
    """Return 1 for exactly this share of the tracks, from the `shift`-th on, else 0."""
    return [int((index - shift) % TRACKS < round(share * TRACKS)) for index in range(TRACKS)]


def _write(
    folder: pathlib.Path, share: float, *, genres: list[str] = GENRES, **changes: Any
) -> pathlib.Path:
    return write_run(folder, genres, predicted_tracks(genres, {"crnn": _rights(share)}), **changes)


def _lines(result: Result) -> str:
    """Return the output as one line, wherever it was wrapped."""
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_two_runs_are_shown_with_their_differences(tmp_path: pathlib.Path) -> None:
    a, b = _write(tmp_path / "a", 0.5), _write(tmp_path / "b", 0.8, pushed_version=None)
    text = _lines(_compare(a, b, columns=160))
    assert f"A {a}" in text
    assert f"B {b}" in text
    assert "*50.0 [3" in text
    assert "*80.0 [" in text
    assert "+30.0 [" in text
    assert "│ pushed │ 17 │ nothing │" in text
    assert "B - A: paired by track, the same 60 test tracks" in text
    assert "crnn: +30.0 [" in text
    assert text.endswith("of macro F1: better")
    # Recall of a genre: 30 of 60 tracks, 10 of its 20, and 16 of 20.
    assert "│ Folk │ 50% of 20 │ 80% of 20 │ +30.0 [" in text


@pytest.mark.parametrize(
    ("shares", "verdict"), [((0.8, 0.5), "worse"), ((0.5, 0.5), "no clear difference")]
)
def test_the_verdict_is_what_the_interval_says(
    tmp_path: pathlib.Path, shares: tuple[float, float], verdict: str
) -> None:
    folders = [_write(tmp_path / name, s) for name, s in zip("ab", shares, strict=True)]
    assert _lines(_compare(*folders)).endswith(f"of macro F1: {verdict}")


def test_a_run_whose_candidate_no_server_could_serve_says_so(tmp_path: pathlib.Path) -> None:
    check = {"blessed": False, "engine": None, "outcome": "failed", "text": "t", "checks": []}
    a = _write(tmp_path / "a", 0.5, pushed_version=None, serving_check=check)
    b = _write(tmp_path / "b", 0.5, serving_check={**check, "outcome": "passed", "blessed": True})
    text = _lines(_compare(a, b, columns=160))
    assert "│ pushed │ nothing (ServingCheck) │ 17 │" in text
    damaged = json.loads((a / "results.json").read_text()) | {"serving_check": "no"}
    (a / "results.json").write_text(json.dumps(damaged))
    result = _compare(a, b)
    assert result.exit_code == 1
    assert "is damaged, serving_check" in " ".join(result.output.split())


def test_two_runs_fit_into_eighty_columns(tmp_path: pathlib.Path) -> None:
    names = ["crnn", "gradient_boosting", "random_forest", "ensemble_baselines"]
    genres = ["Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International"]
    for folder, shares in (("a", (0.1, 0.9)), ("b", (0.9, 0.1))):
        named = {
            name: _rights(shares[index % 2], shift=30 * index) for index, name in enumerate(names)
        }
        write_run(tmp_path / folder, genres, predicted_tracks(genres, named))
    result = _compare(tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 0
    tables = [line for line in result.output.splitlines() if line[:1] in "┏┃┡│├└"]
    assert max(map(len, tables)) <= 80
    assert "…" not in result.output
    # Nothing is wrapped: each model has one line in each of the two measures' tables.
    assert sum("ensemble_baselines │" in line for line in tables) == 2
    assert sum("+80.0 [" in line and "]" in line for line in tables) >= 2


def test_three_runs_also_have_a_mean_and_a_spread(tmp_path: pathlib.Path) -> None:
    shares = (0.5, 0.6, 0.7)
    folders = [_write(tmp_path / name, s) for name, s in zip("abc", shares, strict=True)]
    text = _lines(_compare(*folders))
    assert "Over the 3 runs" in text
    deviation = 100 * np.std(shares, ddof=1)
    assert f"│ crnn │ 60.0 │ {deviation:.1f} │ 50 to 70 │" in text
    assert "C - A: paired by track" in text
    assert "Over the" not in _lines(_compare(*folders[:2]))


def test_what_the_numbers_are_worth_is_said(tmp_path: pathlib.Path) -> None:
    a = _write(tmp_path / "a", 0.5, synthetic=True, dataset="synthetic")
    b = _write(tmp_path / "b", 0.5, leaky=True, audio_hash="0" * 16)
    text = _lines(_compare(a, b, columns=160))
    assert "A: synthetic data" in text
    assert "B: leaky split" in text
    assert "│ caveats │ synthetic │ leaky │" in text
    assert "audio parameters differ" in text
    plain = _lines(_compare(_write(tmp_path / "c", 0.5), _write(tmp_path / "d", 0.5)))
    assert "synthetic data" not in plain
    assert "leaky" not in plain
    assert "audio parameters differ" not in plain


def test_copies_of_one_run_are_called_so(tmp_path: pathlib.Path) -> None:
    folders = [_write(tmp_path / name, 0.5, run_id=f"r{n}") for n, name in enumerate("ab")]
    shutil.copytree(folders[0], tmp_path / "c")
    assert "A, C: the same run, r0, in several folders" in _lines(
        _compare(*folders, tmp_path / "c", columns=160)
    )
    assert "the same run" not in _lines(_compare(*folders, columns=160))


def test_other_genres_and_tracks_are_told_in_words(tmp_path: pathlib.Path) -> None:
    others = ["blues", "Rock", "Pop", "metal"]
    a = _write(tmp_path / "a", 0.5)
    b = write_run(
        tmp_path / "b",
        others,
        predicted_tracks(others, {"crnn": _rights(0.9)}, prefix="g"),
        dataset="gtzan",
    )
    text = _lines(_compare(a, b))
    assert "genres differ: 2 genres are in every run" in text
    assert "A also has Folk" in text
    assert "B also has blues, metal" in text
    assert "no test track in common, so two independent samples of 60 and 60 tracks" in text
    assert text.endswith("different genres, a different task")
    assert "│ Folk │" not in text
    assert "│ Rock │" in text


def test_tracks_in_common_are_counted_in_words(tmp_path: pathlib.Path) -> None:
    tracks = predicted_tracks(GENRES, {"crnn": _rights(0.5)}, artists=20)
    a = write_run(tmp_path / "a", GENRES, tracks[:50])
    b = write_run(tmp_path / "b", GENRES, tracks[20:])
    assert (
        "B - A: paired by artist, over the 30 test tracks in common, 20 artists "
        "(of 40 in B and 50 in A)" in _lines(_compare(a, b))
    )
    few = write_run(tmp_path / "few", GENRES, tracks[46:])
    assert (
        "B - A: only 4 test tracks in common, so two independent samples of 14 and 50 tracks "
        "(14 and 20 artists)"
    ) in _lines(_compare(a, few))


def test_names_from_outside_cannot_act(tmp_path: pathlib.Path) -> None:
    genres = ["Ro\x1b[31mck", "[bold]Pop[/bold]", "Folk"]
    folders = [
        _write(tmp_path / name, share, genres=genres)
        for name, share in (("a\x1b]0;x\x07", 0.5), ("[red]b[/]", 0.8))
    ]
    result = _compare(*folders, columns=200)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "\x07" not in result.output
    assert "Ro\\x1b[31mck" in result.output
    assert "[bold]Pop[/bold]" in result.output
    assert "[red]b[/]" in result.output
    raw = _compare(*folders, "--json").output
    assert "\x1b" not in raw
    assert json.loads(raw)["runs"][0]["genres"] == genres


def test_json_is_all_that_is_printed(tmp_path: pathlib.Path) -> None:
    folders = [_write(tmp_path / name, s) for name, s in (("a", 0.5), ("b", 0.8))]
    result = _compare(*folders, "--json", columns=20)
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found.keys() == documented_keys("compare")
    assert [run["run"] for run in found["runs"]] == ["A", "B"]
    assert found["differences"][0]["chosen"]["track_accuracy"]["value"] == pytest.approx(0.3)
    assert found["differences"][0]["chosen"]["models"] == ["crnn", "crnn"]


def test_csv_is_written_beside_the_tables(tmp_path: pathlib.Path) -> None:
    folders = [_write(tmp_path / name, s) for name, s in (("a", 0.5), ("b", 0.8))]
    target = tmp_path / "new" / "rows.csv"
    result = _compare(*folders, "--csv", target)
    assert f"written {target}" in _lines(result)
    rows = list(csv.DictReader(target.open(newline="")))
    values = {row["run"]: float(row["value"]) for row in rows if row["measure"] == "track_accuracy"}
    assert values == {"A": 0.5, "B": 0.8}


def test_another_model_can_be_looked_at(tmp_path: pathlib.Path) -> None:
    named = {"crnn": _rights(0.5), "knn": _rights(0.2)}
    for name in "ab":
        write_run(tmp_path / name, GENRES, predicted_tracks(GENRES, named))
    text = _lines(_compare(tmp_path / "a", tmp_path / "b", "--model", "knn", columns=160))
    assert "│ crnn │ 50.0 [" in text
    assert "│ knn │ *20.0 [" in text
    assert "(A knn, B knn)" in text
    missing = _compare(tmp_path / "a", tmp_path / "b", "--model", "vgg16")
    assert missing.exit_code == 2
    assert "has no model vgg16; it has crnn, knn" in missing.output


@pytest.mark.parametrize(
    ("prepare", "status", "words"),
    [
        (lambda a: [a], 2, "one work folder alone"),
        (lambda a: [a, a], 2, "named twice"),
        (lambda a: [a, f"{a}/../a/"], 2, "named twice"),
        (lambda a: [a, f"{a}-none"], 2, "no such folder"),
        (lambda a: [a] + [f"{a}{n}" for n in range(26)], 2, "27 runs are too many"),
    ],
)
def test_what_cannot_be_compared_is_a_matter_of_usage(
    tmp_path: pathlib.Path, prepare: Any, status: int, words: str
) -> None:
    result = _compare(*prepare(str(_write(tmp_path / "a", 0.5))))
    assert result.exit_code == status, result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_damaged_run_fails_in_words(tmp_path: pathlib.Path) -> None:
    a, b = _write(tmp_path / "a", 0.5), _write(tmp_path / "b", 0.5)
    (b / "results.json").write_text('{"schema_version": 1}')
    old = _compare(a, b)
    assert old.exit_code == 1
    assert "b/results.json: has schema version 1" in old.output
    (b / "results.json").write_text("{")
    damaged = _compare(a, b)
    assert damaged.exit_code == 1
    assert "b/results.json: is damaged" in damaged.output
    assert "Traceback" not in old.output + damaged.output


def test_nothing_that_trains_is_imported(tmp_path: pathlib.Path) -> None:
    for name in "ab":
        _write(tmp_path / name, 0.5)
    code = (
        "import sys; from genreflow.cli.app import app\n"
        f"try: app(['compare', {str(tmp_path / 'a')!r}, {str(tmp_path / 'b')!r}])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'tensorflow', 'keras', 'tfx', 'apache_beam', 'sklearn', 'jsonschema'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")
