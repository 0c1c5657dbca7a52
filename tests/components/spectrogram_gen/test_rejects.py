"""The list of rejected tracks, and its limit."""

from __future__ import annotations

import csv
import pathlib

import pytest

from components.common.errors import DataError, GenreflowError
from components.datasets.track import Reject
from components.spectrogram_gen.rejects import check_fraction, write_csv


def _rejects(**reasons: int) -> list[Reject]:
    return [
        Reject(f"{reason}{index}", "/x.mp3", "Rock", reason)
        for reason, number in reasons.items()
        for index in range(number)
    ]


def test_up_to_the_fraction_a_run_goes_on() -> None:
    check_fraction(_rejects(undecodable=5), 10, 0.5)
    check_fraction([], 0, 0.0)


def test_beyond_it_the_run_stops_with_counts_by_reason() -> None:
    with pytest.raises(DataError, match=r"6 of 10 .*4 undecodable, 2 too_short.*50%"):
        check_fraction(_rejects(too_short=2, undecodable=4), 10, 0.5)


def test_what_is_left_out_on_purpose_is_no_bad_input() -> None:
    check_fraction(_rejects(no_genre=90, unknown_genre=3, undecodable=3), 100, 0.5)
    with pytest.raises(DataError, match="4 of 7"):
        check_fraction(_rejects(no_genre=90, no_split=3, undecodable=4), 100, 0.5)


def test_names_in_the_list_cannot_act_in_a_terminal_or_a_spreadsheet(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "rejects.csv"
    write_csv(str(path), [Reject("=HYPERLINK(1)", "/\x1b[2J.mp3", 'R"o,ck', "too_short", "@x")])
    assert "\x1b" not in path.read_text()
    (row,) = csv.DictReader(path.open())
    assert row["track_id"] == "'=HYPERLINK(1)"
    assert row["uri"] == "/\\x1b[2J.mp3"
    assert row["genre"] == 'R"o,ck'
    assert row["detail"] == "'@x"
    assert [p.name for p in tmp_path.iterdir()] == ["rejects.csv"]


@pytest.mark.parametrize(
    ("reasons", "lasting"),
    [
        ({"timed_out": 6}, False),
        ({"timed_out": 3, "too_large": 3}, False),
        ({"timed_out": 3, "undecodable": 5}, False),
        ({"timed_out": 1, "undecodable": 6}, True),
    ],
)
def test_only_what_another_try_would_not_mend_is_an_error_of_the_data(
    reasons: dict[str, int], lasting: bool
) -> None:
    with pytest.raises(GenreflowError, match="of 10 tracks cannot be used") as caught:
        check_fraction(_rejects(**reasons), 10, 0.5)
    assert isinstance(caught.value, DataError) is lasting
