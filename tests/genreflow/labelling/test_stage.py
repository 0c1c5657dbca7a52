"""Tests of updating the parts of a table, with labels by a rule."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

import hypothesis
import pytest
from hypothesis import strategies as st

from components.common.errors import DataError, GenreflowError
from genreflow.labelling import stage
from genreflow.labelling.parts import Listed
from genreflow.labelling.table import TableFolder, part_of, parts_for, read_rows
from tests.genreflow.labelling.fake_labels import (
    GENRES,
    MODEL,
    FakeLabels,
    fake_row,
    job_of,
    killed_run,
    parts_of,
    run,
    start,
)

FILES = [
    Listed(f"/music/{number:03}.mp3", f"{number:03}", 1000, str(number)) for number in range(40)
]

listed = st.builds(
    Listed,
    uri=st.integers(0, 11).map(lambda number: f"/music/{number}.mp3"),
    track_id=st.sampled_from(["", "a"]),
    size_bytes=st.just(7),
    file_version=st.sampled_from(["1", "2"]),
    reason=st.sampled_from(["", "", "", "bad_metadata", "missing_file"]),
)
catalogues = st.lists(listed, max_size=14)


def test_each_file_has_one_row_in_the_part_of_its_uri_sorted_by_uri(tmp_path: pathlib.Path) -> None:
    run(job_of(tmp_path), FILES, FakeLabels())
    found = []
    for index in range(3):
        rows = read_rows(TableFolder(str(tmp_path)).part(index, 3), GENRES)
        assert rows is not None
        assert [row.uri for row in rows] == sorted(row.uri for row in rows)
        assert {part_of(row.uri, 3) for row in rows} <= {index}
        found += rows
    expected = [fake_row(file, job_of(tmp_path).stamp) for file in FILES]
    assert sorted(found, key=lambda row: row.uri) == expected


@hypothesis.given(st.text(min_size=1), st.integers(1, 10_000))
def test_a_uri_keeps_its_part(uri: str, parts: int) -> None:
    assert part_of(uri, parts) == part_of(uri, parts)
    assert 0 <= part_of(uri, parts) < parts


def test_parts_are_about_equal_and_of_bounded_number() -> None:
    sizes = [0] * 10
    for number in range(10_000):
        sizes[part_of(f"s3://bucket/{number}.mp3", 10)] += 1
    assert max(sizes) < 1.2 * min(sizes)
    assert [parts_for(rows) for rows in (0, 1, 1000, 1001, 1_000_000)] == [1, 1, 1, 2, 1000]
    assert parts_for(10**9) == 10_000


@hypothesis.given(st.lists(catalogues, min_size=1, max_size=3), st.lists(st.integers(0, 9)))
def test_runs_and_kills_in_any_order_give_the_bytes_of_one_run(
    history: list[list[Listed]], kills: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        grown, fresh = pathlib.Path(folder, "grown"), pathlib.Path(folder, "fresh")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage, "PIECE_ROWS", 2)
            for files in history:
                for left in kills:
                    killed_run(job_of(grown), files, FakeLabels(left))
                run(job_of(grown), files, FakeLabels())
        run(job_of(fresh), history[-1], FakeLabels())
        assert parts_of(grown) == parts_of(fresh)


def test_an_unchanged_catalogue_labels_and_writes_nothing(tmp_path: pathlib.Path) -> None:
    run(job_of(tmp_path), FILES, FakeLabels())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")}
    again = FakeLabels()
    results = run(job_of(tmp_path), list(reversed(FILES)), again)
    assert again.labelled == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")} == before
    assert sum(result.kept for result in results) == len(FILES)
    assert sum(result.labelled + result.gone for result in results) == 0


def test_only_new_and_changed_files_are_labelled_and_those_that_are_gone_go(
    tmp_path: pathlib.Path,
) -> None:
    run(job_of(tmp_path), FILES, FakeLabels())
    changed = dataclasses.replace(FILES[0], size_bytes=1001)
    touched = dataclasses.replace(FILES[1], file_version="later")
    new = Listed("/music/new.mp3", "new", 5, "5")
    again = FakeLabels()
    results = run(job_of(tmp_path), [changed, touched, *FILES[4:], new], again)
    assert sorted(again.labelled) == [changed.uri, touched.uri, new.uri]
    assert sum(result.gone for result in results) == 2
    assert sum(result.rows for result in results) == 39


def test_another_model_labels_everything_again(tmp_path: pathlib.Path) -> None:
    run(job_of(tmp_path), FILES, FakeLabels())
    again = FakeLabels()
    other = dataclasses.replace(MODEL, version="4", digest="e" * 64)
    run(job_of(tmp_path, model=other), FILES, again)
    assert len(again.labelled) == len(FILES)


def test_the_same_model_under_another_version_keeps_the_rows_and_names_the_version(
    tmp_path: pathlib.Path,
) -> None:
    run(job_of(tmp_path), FILES, FakeLabels())
    again = FakeLabels()
    other = dataclasses.replace(MODEL, version="4")
    run(job_of(tmp_path, model=other), FILES, again)
    assert again.labelled == []
    rows = read_rows(TableFolder(str(tmp_path)).part(0, 3), GENRES)
    assert rows
    assert {row.model_version for row in rows} == {"4"}


def test_a_killed_attempt_repeats_at_most_one_piece(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "PIECE_ROWS", 8)
    killed = FakeLabels(left=30)
    killed_run(job_of(tmp_path, parts=1), FILES, killed)
    again = FakeLabels()
    run(job_of(tmp_path, parts=1), FILES, again)
    assert len(again.labelled) == len(FILES) - 24  # 24 is the last whole piece of 30


def test_what_a_killed_run_of_another_model_left_hides_no_row(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "PIECE_ROWS", 8)
    run(job_of(tmp_path, parts=1), FILES, FakeLabels())
    other = dataclasses.replace(MODEL, digest="e" * 64)
    killed_run(job_of(tmp_path, parts=1, model=other), FILES, FakeLabels(left=30))
    again = FakeLabels()
    run(job_of(tmp_path, parts=1), FILES, again)
    assert again.labelled == []


def test_files_that_a_busy_machine_left_out_are_tried_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimedOut(FakeLabels):
        def label(self, files, stamp):  # type: ignore[no-untyped-def]
            for row in super().label(files, stamp):
                if row.uri == FILES[3].uri:
                    row = dataclasses.replace(row, reason="timed_out", genre=None, probabilities=())
                yield row

    run(job_of(tmp_path), FILES, TimedOut())
    again = FakeLabels()
    run(job_of(tmp_path), FILES, again)
    assert again.labelled == [FILES[3].uri]


def test_a_file_that_is_listed_twice_has_one_label_and_a_reject(tmp_path: pathlib.Path) -> None:
    twice = [FILES[1], dataclasses.replace(FILES[1], track_id="other")]
    for labelled in (1, 0):
        (result,) = run(job_of(tmp_path, parts=1), twice, FakeLabels())
        assert (result.rows, result.labelled) == (2, labelled)
        assert result.rejects["duplicate"] == 1


def test_rows_without_a_uri_are_kept_apart(tmp_path: pathlib.Path) -> None:
    bad = [
        Listed("", "", reason="bad_metadata", detail=f"manifest line {line}: no uri")
        for line in range(500)
    ]
    results = run(job_of(tmp_path, parts=4), bad, FakeLabels())
    assert sum(result.rejects["bad_metadata"] for result in results) == 500
    assert min(result.rows for result in results) > 80


def test_a_run_that_another_one_replaced_writes_nothing(tmp_path: pathlib.Path) -> None:
    job = job_of(tmp_path, parts=1)
    start(job, FILES)
    late = dataclasses.replace(job, token="another")
    with pytest.raises(GenreflowError, match="no longer the one that writes"):
        stage.write_part(0, late, FakeLabels(), lambda _: None)
    assert parts_of(tmp_path) == {}


def test_a_worker_that_does_not_see_the_table_says_so(tmp_path: pathlib.Path) -> None:
    job = job_of(tmp_path, parts=1)
    start(job, FILES)
    pathlib.Path(TableFolder(job.root).listing(0)).unlink()
    with pytest.raises(GenreflowError, match="choose an --output that the workers and this"):
        stage.write_part(0, job, FakeLabels(), lambda _: None)


def test_a_damaged_part_is_named_with_the_remedy(tmp_path: pathlib.Path) -> None:
    job = job_of(tmp_path, parts=1)
    run(job, FILES, FakeLabels())
    (path,) = tmp_path.glob("part-*")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"part-00000-of-00001.parquet: .* delete this file"):
        run(job, FILES, FakeLabels())


def test_csv_files_have_the_same_rows_and_no_formulas(tmp_path: pathlib.Path) -> None:
    job = dataclasses.replace(job_of(tmp_path, parts=1), csv=True)
    run(job, [Listed("=HYPERLINK(1)", "x", 1, "1"), *FILES], FakeLabels())
    text = (tmp_path / "_csv" / "part-00000-of-00001.csv").read_text()
    assert text.startswith("uri,track_id,genre,probability,p_Folk,p_Rock,seconds,")
    assert len(text.splitlines()) == 42
    assert "\n'=HYPERLINK(1)," in text


def test_csv_files_that_are_asked_for_later_come_without_labelling(tmp_path: pathlib.Path) -> None:
    run(job_of(tmp_path), FILES, FakeLabels())
    again = FakeLabels()
    run(dataclasses.replace(job_of(tmp_path), csv=True), FILES, again)
    assert again.labelled == []
    assert len(list((tmp_path / "_csv").iterdir())) == 3


def test_a_folder_of_parts_is_one_table_for_other_readers(tmp_path: pathlib.Path) -> None:
    import pandas

    run(dataclasses.replace(job_of(tmp_path), csv=True), FILES, FakeLabels())
    table = pandas.read_parquet(tmp_path)
    assert sorted(table["uri"]) == [file.uri for file in FILES]
