"""Verdicts of a probe on right and wrong responses, without a server."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.serving_check.client import PredictResponse
from components.serving_check.outcome import CheckFailed, ServingCheckResult, SignatureCheck
from components.serving_check.probe import SignatureProbe

GENRES = ("Folk", "Rock")
RIGHT = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
NAMES = np.array([[b"Folk", b"Rock"]] * 2, object)


@dataclasses.dataclass
class FakeClient:
    """Client whose server returns the given values."""

    outputs: Mapping[str, npt.NDArray[Any]] = dataclasses.field(
        default_factory=lambda: {"probabilities": RIGHT, "genres": NAMES}
    )
    name: str = "genreflow"
    version: int = 1
    signature: str = "serving_examples"
    rest: list[Any] = dataclasses.field(default_factory=list)
    status: str = "OK"
    requests: int = 7

    def predict(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> PredictResponse:
        self.requests += 1
        return PredictResponse(self.outputs, self.name, self.version, self.signature)

    def predict_status(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> str:
        self.requests += 1
        return self.status

    def version_states(self) -> dict[int, str]:
        return {1: "AVAILABLE"}

    def signatures(self) -> set[str]:
        return set()

    def rest_predict(self, signature: str, instances: list[Any]) -> list[Any]:
        self.requests += 1
        return self.rest


def _probe(client: FakeClient, tolerance: float = 1e-3) -> SignatureProbe:
    return SignatureProbe(client, "serving_examples", GENRES, tolerance)


def test_a_right_answer_is_handed_on_and_requests_are_counted_from_the_probes_begin() -> None:
    probe = _probe(FakeClient())
    np.testing.assert_array_equal(probe.predict({}, 2), RIGHT)
    probe.predict({}, 2)
    assert probe.requests == 2
    assert probe.largest is None


def test_a_server_must_leave_silence_out_if_the_model_does() -> None:
    def probe(probabilities: list[float], counts: list[int] | None) -> SignatureProbe:
        outputs = {"probabilities": np.array([probabilities], np.float32), "genres": NAMES[:1]}
        if counts is not None:
            outputs["audible_windows"] = np.array(counts)
        return _probe(FakeClient(outputs))

    probe([0, 0], [0]).expect_left_out({}, "silence")
    probe([0.5, 0.5], None).expect_left_out({}, "silence")  # an earlier export
    for probabilities, counts in (([0.5, 0.5], [0]), ([0.0, 0.0], [1])):
        with pytest.raises(CheckFailed, match="silence has audible_windows"):
            probe(probabilities, counts).expect_left_out({}, "silence")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"name": "other"}, r"model_spec is \('other', 1, 'serving_examples'\)"),
        ({"version": 2}, r"\('genreflow', 2, 'serving_examples'\), expected \('genreflow', 1,"),
        ({"signature": "serving_default"}, "model_spec"),
        ({"outputs": {"genres": NAMES}}, r"probabilities are missing, expected float32 \[2, 2\]"),
        ({"outputs": {"probabilities": RIGHT}}, r"genres are not the model's \(Folk, Rock\)"),
        ({"outputs": {"probabilities": RIGHT[:1], "genres": NAMES}}, r"float32 \[1, 2\], expected"),
        ({"outputs": {"probabilities": RIGHT, "genres": NAMES[:, ::-1]}}, "genres are not"),
        ({"outputs": {"probabilities": RIGHT.astype(float), "genres": NAMES}}, "float64"),
        ({"outputs": {"probabilities": RIGHT * np.nan, "genres": NAMES}}, "not finite"),
    ],
)
def test_an_answer_of_another_model_or_form_is_reported(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckFailed, match=reason):
        _probe(FakeClient(**wrong)).predict({}, 2)


def test_a_difference_above_the_tolerance_names_the_clip_the_genre_and_both_numbers() -> None:
    probe = _probe(FakeClient())
    got = RIGHT.copy()
    got[1] += (0.0009, -0.0009)
    probe.compare(got, RIGHT, ["a", "b"], "in the table")
    assert probe.largest == pytest.approx(0.0009, rel=1e-3)
    got[1] += (0.001, -0.0009)
    with pytest.raises(CheckFailed) as caught:
        probe.compare(got, RIGHT, ["a", "b"], "in the table")
    assert str(caught.value) == (
        "b: Folk is 0.501900 from the server and 0.500000 in the table: 0.0019 apart, where "
        "serving.tolerance allows 0.001"
    )
    assert probe.largest == pytest.approx(0.0019, rel=1e-3)
    probe.compare(RIGHT, RIGHT, ["a", "b"], "")
    assert probe.largest == pytest.approx(0.0019, rel=1e-3)  # of all, not of the last


def test_a_difference_that_is_no_number_is_none_that_is_small() -> None:
    with pytest.raises(CheckFailed, match="nan"):
        _probe(FakeClient()).compare(RIGHT, RIGHT * np.nan, ["a", "b"], "")


def test_rest_answers_are_held_against_the_same() -> None:
    rows = [
        {"probabilities": [0.25, 0.75], "genres": ["Folk", "Rock"]},
        {"probabilities": [0.5, 0.5], "genres": ["Folk", "Rock"]},
    ]
    np.testing.assert_array_equal(_probe(FakeClient(rest=rows)).predict_rest([1, 2]), RIGHT)
    for wrong in (
        rows[:1],
        [{**rows[0], "genres": ["Rock", "Folk"]}, rows[1]],
        [{"probabilities": [0.25, 0.75]}, rows[1]],
        [{**rows[0], "probabilities": [0.25]}, rows[1]],
        [{**rows[0], "probabilities": ["much", "more"]}, rows[1]],
        [[0.25, 0.75], [0.5, 0.5]],
    ):
        with pytest.raises(CheckFailed, match="REST"):
            _probe(FakeClient(rest=wrong)).predict_rest([1, 2])


@pytest.mark.parametrize(
    ("status", "reason"), [("OK", "noise returned OK"), ("INTERNAL", "noise returned INTERNAL")]
)
def test_what_must_be_refused_must_be_refused_as_an_invalid_argument(
    status: str, reason: str
) -> None:
    _probe(FakeClient(status="INVALID_ARGUMENT")).expect_refusal({}, "noise")
    with pytest.raises(CheckFailed, match=reason):
        _probe(FakeClient(status=status)).expect_refusal({}, "noise")


def test_only_a_check_that_passed_blesses() -> None:
    check = SignatureCheck("serving_wav", 3, 1.23456e-6, "passed", "fine")
    assert ServingCheckResult.of("passed", "t", "genreflow", (check,)).to_json() == {
        "blessed": True,
        "engine": "genreflow",
        "outcome": "passed",
        "text": "t",
        "checks": [
            {
                "signature": "serving_wav",
                "requests": 3,
                "largest_difference": 1.23e-06,
                "outcome": "passed",
                "text": "fine",
            }
        ],
    }
    for outcome in ("failed", "skipped", "off"):
        assert not ServingCheckResult.of(outcome, "t").to_json()["blessed"]  # type: ignore[arg-type]
