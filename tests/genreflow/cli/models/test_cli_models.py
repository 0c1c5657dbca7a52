"""Tests of `genreflow models`, on a disk and in an object store, without a server."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.artifacts import files
from components.common.model_contract import SAVED_MODEL, VERSION_RECORD
from components.versions import adding
from components.versions.folder import list_versions
from genreflow.cli.app import app
from tests.components.versions import made

FIRST, SECOND, THIRD = 1_795_662_103, 1_795_662_200, 1_795_662_300


def _models(*arguments: object) -> Result:
    words = ["models", *map(str, arguments)]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200", "TZ": "UTC"})
    assert "Traceback" not in result.output
    return result


def _json(*arguments: object) -> Any:
    result = _models(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(params=["folder", "store"])
def destination(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """Return a destination with three versions, and one whose push did not end."""
    place = str(tmp_path / "served")
    if request.param == "store":
        place = f"s3://{request.getfixturevalue('bucket')}/served"
    models = f"{place}/genreflow"
    for number in (FIRST, SECOND, THIRD):
        made.version(models, number, recorded=number != FIRST)
    made.version(models, THIRD + 1, without=SAVED_MODEL)
    return place


def test_versions_are_listed_with_their_facts(destination: str) -> None:
    said = _models("label", SECOND, "stable", "--destination", destination).stdout
    assert f"genreflow serve --model-config-file {destination}/genreflow/models.config" in said
    lines = _models("list", "--destination", destination).stdout.splitlines()
    assert lines[0] == f"{destination}/genreflow"
    assert [line.split()[0] for line in lines[2:]] == [
        str(number) for number in (THIRD + 1, THIRD, SECOND, FIRST)
    ]
    assert "incomplete: saved_model.pb is missing" in lines[2]
    assert "2026-11-30 19:45  crnn   75.0% (50.0% to 90.0%)" in lines[3]
    assert "newest" in lines[3]
    assert f"run-{THIRD}" in lines[3]
    assert "labels stable" in lines[4]
    found = _json("list", "--destination", destination)
    assert [one["newest"] for one in found] == [False, True, False, False]
    assert found[1]["test_accuracy"] == {"value": 0.75, "low": 0.5, "high": 0.9, "tracks": 4}
    assert found[1]["server_state"] is None
    assert (found[3]["pushed_at"], found[3]["test_accuracy"]) == (None, None)


def test_a_version_is_shown_with_the_gates_decision_and_its_card(destination: str) -> None:
    card = f"{destination}/genreflow/{THIRD}/assets/model_card.json"
    files.write_text(
        card,
        json.dumps(
            {
                "architecture": "crnn",
                "genres": ["Pop", "Rock"],
                "settings": {"stem": {"units": 8}},
                "data": {},
                "synthetic": False,
            }
        ),
    )
    shown = _models("show", "--destination", destination).stdout
    assert f"version {THIRD}  newest" in shown
    assert "test accuracy  75.0% (50.0% to 90.0%) of 4 tracks" in shown
    assert "✓ floor: good enough" in shown
    for line in (
        "architecture         crnn", "genres               Pop, Rock", "settings.stem.units  8",
        "data                 none", "synthetic            False",
    ):  # fmt: skip
        assert f"  {line}\n" in shown
    found = _json("show", SECOND, "--destination", destination)
    assert (found["version"], found["card"]) == (SECOND, None)
    assert found["record"]["gate"]["rules"][0]["id"] == "floor"
    assert "no record" in _models("show", FIRST, "--destination", destination).stdout


def test_a_rollback_and_a_prune_by_hand(destination: str) -> None:
    models = f"{destination}/genreflow"
    done = _json("rollback", "--destination", destination)
    assert (done["copy_of"], done["rolled_back_from"], done["newer"]) == (SECOND, THIRD, None)
    newest = _json("list", "--destination", destination)[0]
    assert newest["version"] == done["version"]
    assert newest["rollback"]["copy_of"] == SECOND
    said = _models("prune", "--keep", 1, "--destination", destination).stdout
    assert f"{THIRD}  delete (" in said
    assert "nothing was deleted; add --yes" in said
    assert len(list_versions(models)) == 5
    said = _models("prune", "--keep", 1, "--destination", destination, "--yes").stdout
    assert f"{THIRD}  deleted (" in said
    assert f"{done['version']}  kept: is the newest" in said
    assert done["version"] in list_versions(models)
    assert set(list_versions(models)) <= {done["version"], THIRD + 1}


def test_what_was_rolled_back_is_told_until_it_is_allowed(destination: str) -> None:
    models = f"{destination}/genreflow"
    card = f"{models}/{THIRD}/assets/model_card.json"
    files.write_text(card, json.dumps({"model_digest": "d"}))
    said = _models("rollback", "--reason", "no jazz\x1b", "--destination", destination).stdout
    assert f"runs do not push the model of version {THIRD} again; to let them, type" in said
    assert f"genreflow models allow {THIRD} --destination {models}" in said
    for command in ("list", "show"):
        words = [command, *([str(THIRD)] if command == "show" else []), "--destination"]
        assert "no jazz\\x1b" in _models(*words, destination).stdout
    row = _json("show", THIRD, "--destination", destination)
    assert row["rolled_back"]["reason"] == "no jazz\x1b"
    assert _models("prune", "--keep", 1, "--destination", destination, "--yes").exit_code == 0
    listed = _models("list", "--destination", destination).stdout
    assert f"version {THIRD}, which was deleted, was rolled back on " in listed
    newest = max(list_versions(models))
    again = _models("allow", newest, "--destination", destination)
    assert again.exit_code == 2
    assert f"version {newest} was not rolled back from; versions that were: {THIRD}" in again.output
    unknown = _models("allow", 12, "--destination", destination)
    assert unknown.exit_code == 2
    assert f"there is no version 12 in {models}; versions: " in unknown.output
    assert f"; versions that were rolled back from: {THIRD}" in unknown.output
    assert _json("allow", THIRD, "--destination", destination) == {
        "version": THIRD,
        "rolled_back": [],
    }
    assert "rolled back on" not in _models("list", "--destination", destination).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["rollback", "4"], 2, "there is no version 4 in "),
        (["rollback", str(THIRD + 1)], 2, "is incomplete: saved_model.pb is missing"),
        (["rollback", str(THIRD)], 2, "is the newest already"),
        (["show", "4"], 2, "there is no version 4 in "),
        (["label", "4", "canary"], 2, "there is no version 4 in "),
        (["label", str(THIRD), "a b"], 2, "is not a label"),
        (["label", str(THIRD), "a\x1b[31m"], 2, "a\\x1b[31m"),
        (["unlabel", "canary"], 2, "there is no label canary; labels: none"),
        (["prune", "--keep", "0"], 2, ""),
        (["list", "--work-dir", "x"], 2, "not both"),
        (["list", "--tls"], 2, "need --server"),
        (["list", "--server", "nonsense"], 2, "HOST:PORT"),
        (["rollback", "--server", "127.0.0.1:1"], 1, "127.0.0.1:1"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    tmp_path: pathlib.Path, arguments: list[str], status: int, said: str
) -> None:
    models = str(tmp_path / "genreflow")
    made.version(models, SECOND)
    made.version(models, THIRD)
    made.version(models, THIRD + 1, without=SAVED_MODEL)
    before = sorted(tmp_path.rglob("*"))
    result = _models(*arguments, "--destination", tmp_path)
    assert result.exit_code == status, result.output
    assert said in result.output
    assert "\x1b" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_places_without_versions_are_told(tmp_path: pathlib.Path, bucket: str) -> None:
    for arguments, said in (
        (("--work-dir", tmp_path / "none"), "no such folder, so nothing was pushed there"),
        (("--destination", tmp_path), "there are no versions"),
        (("--destination", f"s3://{bucket}/none"), "there are no versions"),
        (("--destination", "ftp://x"), "only local folders and s3:// URIs"),
    ):
        result = _models("list", *arguments)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert said in result.output


def test_the_models_own_folder_and_a_work_folder_are_found(tmp_path: pathlib.Path) -> None:
    models = tmp_path / "serving_models" / "genreflow"
    made.version(str(models), THIRD)
    for arguments in (
        ("--work-dir", tmp_path),
        ("--destination", models),
        ("--destination", models.parent),
    ):
        assert [one["version"] for one in _json("list", *arguments)] == [THIRD]


def test_a_rollback_to_a_version_that_vanishes_meanwhile_is_told(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = str(tmp_path / "genreflow")
    made.version(models, SECOND)
    made.version(models, THIRD)
    copytree = adding.shutil.copytree

    def vanish(source: str, *arguments: Any, **options: Any) -> Any:
        files.remove_folder(source)
        return copytree(source, *arguments, **options)

    monkeypatch.setattr(adding.shutil, "copytree", vanish)
    result = _models("rollback", "--destination", tmp_path)
    assert result.exit_code == 1
    assert f"version {SECOND} was deleted while it was copied; nothing was added" in result.output
    assert list(list_versions(models)) == [THIRD]


def test_what_others_wrote_does_not_act_on_the_terminal(tmp_path: pathlib.Path) -> None:
    models = str(tmp_path / "genreflow")
    made.version(models, SECOND)
    record = made.record(THIRD, model="\x1b[31mred", run_id="\u202eevil")
    made.version(models, THIRD)
    files.write_text(f"{models}/{THIRD}/{VERSION_RECORD}", record.to_text())
    files.write_text(f"{models}/{SECOND}/{VERSION_RECORD}", "{\x1b")
    for command in ("list", "show"):
        result = _models(command, "--destination", tmp_path)
        assert result.exit_code == 0
        assert "\\x1b[31mred" in result.output
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
    assert (
        f"{SECOND}/{VERSION_RECORD}: damaged" in _models("list", "--destination", tmp_path).output
    )
