"""Tests of labels, and of the configuration that servers read."""

from __future__ import annotations

import pytest

from components.artifacts import files
from components.common.errors import DataError, UsageError
from components.versions import labels
from components.versions.folder import list_versions
from components.versions.labels import MODELS_CONFIG, read_labels, remove_label, set_label
from serving.protocol.protos import model_server_config_pb2
from serving.server.config.model_list import to_models
from tests.components.versions import made


def _config(models: str) -> tuple[tuple[int, ...], dict[str, int], str]:
    """Return the versions that servers load, their labels, and the folder; () for the newest."""
    from google.protobuf import text_format

    text = files.read_text(f"{models}/{MODELS_CONFIG}")
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    entry = config.model_config_list.config[0]
    if entry.base_path.startswith("/"):
        (model,) = to_models(config)
        assert (model.name, model.policy.kind == "latest") == (
            "genreflow",
            not model.policy.versions,
        )
    return (
        tuple(entry.model_version_policy.specific.versions),
        dict(entry.version_labels),
        entry.base_path,
    )


@pytest.fixture
def three(models: str) -> str:
    """Return a model's folder with versions 5, 6 and 7."""
    for number in (5, 6, 7):
        made.version(models, number)
    return models


def test_servers_load_the_newest_and_those_with_a_label(three: str) -> None:
    assert set_label(three, 5, "stable")
    assert set_label(three, 7, "canary")
    assert _config(three) == ((5, 7), {"stable": 5, "canary": 7}, three)
    assert read_labels(three).of(5) == ["stable"]
    made.version(three, 8)
    labels.refresh(three)
    assert _config(three)[0] == (5, 7, 8)
    assert remove_label(three, "stable") == 5
    assert remove_label(three, "canary") == 7
    assert _config(three) == ((), {}, three)


def test_a_label_moves_only_to_a_version_that_servers_have_loaded(three: str) -> None:
    set_label(three, 5, "stable")
    assert set_label(three, 7, "stable")  # the newest, which is loaded
    set_label(three, 6, "canary")  # a new label needs no such care
    assert not set_label(three, 5, "stable")
    assert _config(three) == ((5, 6, 7), {"stable": 7, "canary": 6}, three)
    assert set_label(three, 5, "stable")  # it is listed for loading now
    assert _config(three) == ((5, 6, 7), {"stable": 5, "canary": 6}, three)
    assert set_label(three, 5, "canary")
    assert not set_label(three, 6, "canary")
    assert read_labels(three).loading == (6,)


def test_a_version_that_a_server_is_known_to_serve_gets_the_label_at_once(three: str) -> None:
    set_label(three, 7, "stable")
    assert set_label(three, 5, "stable", loaded=[5, 7])


def test_servers_may_see_the_folder_at_another_path(three: str) -> None:
    set_label(three, 5, "stable", base_path="/models/genreflow")
    set_label(three, 7, "canary")
    assert _config(three)[2] == "/models/genreflow"
    set_label(three, 7, "canary", base_path='/with "quotes" and \\')
    assert _config(three)[2] == '/with "quotes" and \\'


@pytest.mark.parametrize(
    ("number", "name", "path", "problem"),
    [
        (5, "", None, "not a label"),
        (5, "5", None, "not a label"),
        (5, 'a" value: 7', None, "not a label"),
        (5, "a\x1b[31m", None, r"a\\x1b"),
        (5, "x" * 65, None, "not a label"),
        (4, "stable", None, "there is no version 4"),
        (5, "stable", "models", "absolute path"),
        (5, "stable", "/a\nb", "absolute path"),
    ],
)
def test_what_cannot_be_a_label_is_refused(
    three: str, number: int, name: str, path: str | None, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        set_label(three, number, name, base_path=path)
    assert read_labels(three) == labels.Labels()


def test_an_incomplete_version_and_an_unknown_label_are_refused(three: str) -> None:
    made.version(three, 8, without="saved_model.pb")
    with pytest.raises(UsageError, match=r"version 8 .* incomplete"):
        set_label(three, 8, "canary")
    with pytest.raises(UsageError, match="no label nothing; labels: none"):
        remove_label(three, "nothing")


def test_a_version_that_someone_deleted_does_not_spoil_the_configuration(three: str) -> None:
    set_label(three, 5, "stable")
    set_label(three, 6, "canary")
    files.remove_folder(f"{three}/5")
    labels.refresh(three)
    assert _config(three) == ((6, 7), {"canary": 6}, three)
    assert read_labels(three).labels == {"stable": 5, "canary": 6}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"labels": {"a b": 5}}', '{"labels": {"a": -1}}', '"' + "x" * 2**20]
)
def test_a_damaged_file_is_an_error_that_names_it(three: str, content: str) -> None:
    files.write_text(f"{three}/labels.json", content)
    with pytest.raises(DataError, match=r"labels.json: damaged"):
        read_labels(three)


def test_without_labels_nothing_is_written(three: str) -> None:
    labels.refresh(three)
    assert set(list_versions(three)) == {5, 6, 7}
    assert files.matching(three, "*.json") == files.matching(three, "*.config") == []
