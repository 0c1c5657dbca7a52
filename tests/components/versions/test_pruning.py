"""Tests of pruning: what is never deleted, and that no server meets half a version."""

from __future__ import annotations

import os
import pathlib

import pytest

from components.artifacts import files
from components.common.errors import UsageError
from components.common.model_contract import SAVED_MODEL
from components.storage import objects
from components.versions import labels, pruning
from components.versions.folder import list_versions
from tests.components.versions import made
from tests.support import s3_server

OLD, NEW = 1_000_000_000, 3_000_000_000  # years ago, and later than any clock here


def test_the_newest_and_those_in_use_are_kept(models: str) -> None:
    for number in range(1, 8):
        made.version(models, number)
    labels.set_label(models, 1, "stable")
    plan = pruning.plan(models, 2, served=[3])
    assert [version.number for version in plan.delete] == [2, 4, 5]
    assert plan.kept == {
        1: "has the label stable",
        3: "is served",
        6: "of the newest 2",
        7: "is the newest",
    }
    assert plan.freed_bytes == sum(list_versions(models)[n].size_bytes for n in (2, 4, 5))
    assert sorted(list_versions(models)) == list(range(1, 8))  # a plan deletes nothing
    assert pruning.carry_out(models, plan) == [2, 4, 5]
    assert sorted(list_versions(models)) == [1, 3, 6, 7]
    assert all(one.is_complete for one in list_versions(models).values())


def test_incomplete_versions_do_not_count_and_the_newest_good_one_stays(models: str) -> None:
    made.version(models, OLD)
    made.version(models, OLD + 1, without=SAVED_MODEL)  # left over by a failed push
    made.version(models, OLD + 2)
    made.version(models, NEW, without=SAVED_MODEL)  # is being pushed
    plan = pruning.plan(models, 1)
    assert [version.number for version in plan.delete] == [OLD, OLD + 1]
    assert plan.kept == {OLD + 2: "is the newest", NEW: "is incomplete, and may still be copied"}


def test_nothing_complete_means_nothing_to_delete(models: str) -> None:
    made.version(models, OLD, without=SAVED_MODEL)
    assert pruning.plan(models, 1).delete == ()
    with pytest.raises(UsageError, match="at least 1 version must be kept"):
        pruning.plan(models, 0)


def test_what_changed_since_the_plan_is_respected(models: str) -> None:
    for number in (1, 2, 3):
        made.version(models, number)
    plan = pruning.plan(models, 1)
    labels.set_label(models, 1, "canary")
    files.remove(f"{models}/3/{SAVED_MODEL}")  # so 2 is the newest good one
    assert pruning.carry_out(models, plan) == []
    assert sorted(list_versions(models)) == [1, 2, 3]


def test_two_prunes_at_once_delete_the_same(models: str) -> None:
    for number in (1, 2, 3):
        made.version(models, number)
    plans = [pruning.plan(models, 1), pruning.plan(models, 2)]
    for plan in (*plans, *plans):
        pruning.carry_out(models, plan)
    assert sorted(list_versions(models)) == [3]


def test_in_a_store_the_graph_is_deleted_first(bucket: str, s3_proxy: s3_server.Proxy) -> None:
    models = f"s3://{bucket}/m"
    made.version(models, 1)
    made.version(models, 2)
    pruning.carry_out(models, pruning.plan(models, 1))
    deletes = [e for e in s3_proxy.log if e.method in ("DELETE", "POST") and e.status]
    assert deletes[0].path.endswith(f"/m/1/{SAVED_MODEL}")


def test_a_prune_that_is_interrupted_leaves_nothing_that_a_server_loads(
    bucket: str, s3_proxy: s3_server.Proxy
) -> None:
    models = f"s3://{bucket}/m"
    made.version(models, 1)
    made.version(models, 2)
    s3_proxy.fail(1, s3_server.DENIED, method="POST")
    with pytest.raises(Exception, match="denied"):
        pruning.carry_out(models, pruning.plan(models, 1))
    assert list_versions(models)[1].missing == SAVED_MODEL
    made.version(models, 3)
    assert pruning.carry_out(models, pruning.plan(models, 1)) == [1, 2]


def test_what_killed_commands_left_is_deleted_after_a_day(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = str(tmp_path)
    made.version(models, 2)
    for name in (".partial-0", ".pruned-1-0"):
        os.makedirs(tmp_path / name / "variables")
    pruning.carry_out(models, pruning.plan(models, 1))
    assert (tmp_path / ".partial-0").is_dir()
    monkeypatch.setattr(pruning, "LEFT_OVER_SECONDS", -10)
    pruning.carry_out(models, pruning.plan(models, 1))
    assert sorted(os.listdir(tmp_path)) == ["2"]


def test_old_claims_are_deleted(bucket: str) -> None:
    models = f"s3://{bucket}/m"
    made.version(models, OLD)
    objects.write(f"{models}/.claims/{OLD}/a", b"")
    objects.write(f"{models}/.claims/{NEW}/b", b"")
    pruning.carry_out(models, pruning.plan(models, 1))
    left = [item.uri for item in objects.list_objects(f"{models}/.claims/")]
    assert left == [f"{models}/.claims/{NEW}/b"]


def test_a_link_is_deleted_and_not_what_it_leads_to(tmp_path: pathlib.Path) -> None:
    made.version(str(tmp_path / "elsewhere"), 1)
    made.version(str(tmp_path / "m"), 2)
    (tmp_path / "m" / "1").symlink_to(tmp_path / "elsewhere" / "1")
    models = str(tmp_path / "m")
    assert pruning.carry_out(models, pruning.plan(models, 1)) == [1]
    assert os.listdir(models) == ["2"]
    assert (tmp_path / "elsewhere" / "1" / SAVED_MODEL).is_file()
