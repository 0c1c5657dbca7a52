"""Tests of rollbacks: which version serves again, and what is refused."""

from __future__ import annotations

import concurrent.futures

import pytest

from components.artifacts import files
from components.common.errors import UsageError
from components.common.model_contract import SAVED_MODEL, VERSION_RECORD
from components.versions import adding, labels
from components.versions.folder import list_versions
from components.versions.record import read_record
from components.versions.rollback import roll_back
from tests.components.versions import made


def _newest(models: str) -> str:
    """Return the text of the files that servers load."""
    number = max(one.number for one in list_versions(models).values() if one.is_complete)
    return files.read_text(f"{models}/{number}/{SAVED_MODEL}").split()[0]


def test_what_served_before_serves_again_and_the_record_says_so(models: str) -> None:
    for number in (3, 5, 7):
        made.version(models, number)
    done = roll_back(models)
    assert (done.copy_of, done.rolled_back_from, done.newer) == (5, 7, None)
    assert _newest(models) == "5"
    record = read_record(f"{models}/{done.version}")
    assert record is not None
    assert record.rollback is not None
    assert (record.version, record.rollback.copy_of, record.rollback.rolled_back_from) == (
        done.version,
        5,
        7,
    )
    assert (record.run_id, record.pushed_at) == ("run-5", made.record(5).pushed_at)
    assert sorted(list_versions(models)) == [3, 5, 7, done.version]


def test_a_second_rollback_returns_to_what_served_before_the_first(models: str) -> None:
    for number in (3, 5, 7):
        made.version(models, number)
    first = roll_back(models)
    second = roll_back(models)
    assert (second.copy_of, second.rolled_back_from) == (7, first.version)
    assert _newest(models) == "7"
    # A copy of a copy names what was pushed.
    third = roll_back(models, first.version)
    record = read_record(f"{models}/{third.version}")
    assert record is not None
    assert record.origin == third.copy_of == 5


def test_any_earlier_version_can_serve_again_also_one_without_a_record(models: str) -> None:
    made.version(models, 1_700_000_000, recorded=False)
    made.version(models, 1_700_000_005)
    done = roll_back(models, 1_700_000_000)
    record = read_record(f"{models}/{done.version}")
    assert record is not None
    assert (record.origin, record.test) == (1_700_000_000, None)
    assert record.pushed_at == "2023-11-14T22:13:20Z"


def test_a_damaged_record_does_not_stand_in_the_way(models: str) -> None:
    made.version(models, 5)
    made.version(models, 7)
    files.write_text(f"{models}/5/{VERSION_RECORD}", "{")
    files.write_text(f"{models}/7/{VERSION_RECORD}", "[]")
    assert roll_back(models).copy_of == 5
    assert _newest(models) == "5"


def test_half_there_gone_and_present_versions_are_refused(models: str) -> None:
    with pytest.raises(UsageError, match="no complete version; push one first"):
        roll_back(models)
    made.version(models, 5)
    with pytest.raises(UsageError, match="no other version served before 5"):
        roll_back(models)
    made.version(models, 6, without="variables/variables.index")
    made.version(models, 7)
    before = set(list_versions(models))
    with pytest.raises(UsageError, match=r"version 6 .* incomplete: variables/variables.index is"):
        roll_back(models, 6)
    with pytest.raises(UsageError, match=r"there is no version 4 .*; versions: 5, 6, 7"):
        roll_back(models, 4)
    with pytest.raises(UsageError, match=r"version 7 .* is the newest already"):
        roll_back(models, 7)
    assert set(list_versions(models)) == before
    copy = roll_back(models, 5).version
    with pytest.raises(UsageError, match=f"version 5 .* is the newest already, as version {copy}"):
        roll_back(models, 5)


def test_an_unfinished_push_neither_serves_nor_is_rolled_back_to(models: str) -> None:
    made.version(models, 5)
    made.version(models, 7)
    made.version(models, 8, without=SAVED_MODEL)
    done = roll_back(models)
    assert (done.copy_of, done.rolled_back_from) == (5, 7)
    assert done.version > 8


def test_a_push_during_a_rollback_leaves_both_whole(
    models: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.version(models, 5)
    made.version(models, 7)
    model = str(made.saved_model(tmp_path / "model"))  # type: ignore[operator]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        rollback = pool.submit(roll_back, models)
        push = pool.submit(adding.add_folder, models, model, lambda n: made.record(n).to_text())
        done, pushed = rollback.result(), push.result()
    assert all(one.is_complete for one in list_versions(models).values())
    assert sorted(list_versions(models)) == sorted({5, 7, done.version, pushed})
    assert files.read_text(f"{models}/{pushed}/{SAVED_MODEL}").startswith("model")


def test_a_push_that_overtakes_a_rollback_is_named(
    models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.version(models, 5)
    made.version(models, 7)
    refresh = labels.refresh

    def push_meanwhile(place: str) -> None:
        refresh(place)
        made.version(place, 4_000_000_000)

    monkeypatch.setattr(labels, "refresh", push_meanwhile)
    assert roll_back(models).newer == 4_000_000_000


def test_servers_that_read_labels_load_the_copy(models: str) -> None:
    made.version(models, 5)
    made.version(models, 7)
    labels.set_label(models, 7, "bad")
    done = roll_back(models)
    config = files.read_text(f"{models}/{labels.MODELS_CONFIG}")
    assert f"specific {{ versions: 7 versions: {done.version} }}" in config


def test_a_copy_of_the_present_version_is_nothing_to_roll_back_to(tmp_path: object) -> None:
    models = str(tmp_path)
    for number in (5, 7):
        made.version(models, number)
    copy = roll_back(models).version
    files.remove_folder(f"{models}/7")
    with pytest.raises(UsageError, match=f"no other version served before {copy}"):
        roll_back(models)
