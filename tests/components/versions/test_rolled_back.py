"""Tests of the records of versions that were rolled back from."""

from __future__ import annotations

import json

import pytest

from components.artifacts import files
from components.common.errors import DataError, UsageError
from components.common.model_contract import SAVED_MODEL
from components.versions import adding, pruning, rolled_back
from components.versions.folder import VersionFolder, list_versions
from components.versions.rollback import roll_back
from components.versions.rolled_back import ModelIdentifiers, RolledBackVersion
from tests.components.versions import made


def _versions(models: str, *numbers: int) -> None:
    for number in numbers:
        made.version(models, number)
        card = {"model_digest": f"digest-{number}", "training_inputs": f"inputs-{number}"}
        files.write_text(f"{models}/{number}/assets/model_card.json", json.dumps(card))


def _candidate(number: int, other: str = "") -> ModelIdentifiers:
    return ModelIdentifiers(other or f"digest-{number}", f"inputs-{number}")


def test_the_model_that_was_rolled_back_from_is_refused_and_no_other(models: str) -> None:
    _versions(models, 3, 5, 7)
    assert rolled_back.refusal(models, _candidate(7)) == ""
    done = roll_back(models, reason="misses jazz\x1b")
    assert done.refused == 7
    (record,) = rolled_back.read_all(models).values()
    assert (record.version, record.reason) == (7, "misses jazz\x1b")
    said = rolled_back.refusal(models, _candidate(7))
    assert said.startswith("the candidate is the model of version 7, which was rolled back on 2")
    assert ": misses jazz\\x1b; to push it anyway, type `genreflow models allow 7 --dest" in said
    # The same training on another machine gives other weights.
    said = rolled_back.refusal(models, _candidate(7, "digest-8"))
    assert "learned from the same clips with the same settings as version 7" in said
    for other in (_candidate(5), _candidate(8), ModelIdentifiers()):
        assert rolled_back.refusal(models, other) == ""


def test_a_return_to_the_version_withdraws_its_record_and_makes_none(models: str) -> None:
    _versions(models, 3, 5, 7)
    first = roll_back(models)
    done = roll_back(models)  # forward again, to what the first replaced
    assert (done.copy_of, done.rolled_back_from, done.refused) == (7, first.version, None)
    assert rolled_back.read_all(models) == {}
    # A copy counts as what was pushed.
    assert roll_back(models, 3).refused == 7
    assert roll_back(models, 5).refused is None
    assert list(rolled_back.read_all(models)) == [7]
    assert roll_back(models, 3).refused == 5
    assert list(rolled_back.read_all(models)) == [5, 7]


def test_a_withdrawn_record_refuses_nothing(models: str) -> None:
    _versions(models, 5, 7)
    roll_back(models)
    assert rolled_back.withdraw(models, 7)
    assert not rolled_back.withdraw(models, 7)
    assert rolled_back.refusal(models, _candidate(7)) == ""


def test_a_record_outlives_the_version(models: str) -> None:
    _versions(models, 5, 7)
    newest = roll_back(models).version
    pruning.carry_out(models, pruning.plan(models, 1))
    assert list(list_versions(models)) == [newest]
    assert "version 7" in rolled_back.refusal(models, _candidate(7))


def test_a_rollback_that_fails_leaves_no_record(
    models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _versions(models, 5, 7)

    def fail(models: str, source: VersionFolder, record: object) -> int:
        assert list(rolled_back.read_all(models)) == [7]  # before the copy
        raise adding.VersionGone("gone")

    with monkeypatch.context() as patch:
        patch.setattr(adding, "add_copy", fail)
        with pytest.raises(adding.VersionGone):
            roll_back(models)
    assert rolled_back.read_all(models) == {}
    with pytest.raises(UsageError, match="--reason has 501 characters; use at most 500"):
        roll_back(models, reason="x" * 501)
    assert list(list_versions(models)) == [5, 7]


def test_a_model_that_its_card_does_not_identify_is_recorded_but_not_refused(models: str) -> None:
    made.version(models, 5)
    made.version(models, 7)
    assert roll_back(models).refused is None
    assert list(rolled_back.read_all(models)) == [7]
    assert rolled_back.refusal(models, ModelIdentifiers()) == ""
    assert files.read_text(f"{models}/7/{SAVED_MODEL}").startswith("7")


@pytest.mark.parametrize(
    "text", ["{", "[" * 10_000, "{}", "x" * (1 << 17), '{"version": 7, "at": "", "model": {}}']
)
def test_a_damaged_record_is_told_with_its_path(models: str, text: str) -> None:
    rolled_back.add(models, RolledBackVersion(version=7, at="", model=ModelIdentifiers("a")))
    files.write_text(f"{models}/rolled_back/8.json", text)
    files.write_text(f"{models}/rolled_back/notes.txt", "")
    with pytest.raises(DataError, match=r"rolled_back/8.json: damaged .*; delete it to let runs"):
        rolled_back.read_all(models)
