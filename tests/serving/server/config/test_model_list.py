"""Tests of lists of models, from files and from requests."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import grpc
import pytest
from google.protobuf import text_format

from serving.protocol.protos import model_server_config_pb2
from serving.server.config.model_list import read_config_file, to_models, within_roots
from serving.server.config.options import OptionError
from serving.server.config.settings import ModelConfig, VersionPolicy
from serving.server.errors import ServingError

TWO_MODELS = """
model_config_list {
  config {
    name: "small"
    base_path: "/models/small"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 7 versions: 3 } }
    version_labels { key: "stable" value: 3 }
  }
  config { name: "large" base_path: "/models/large" model_platform: "tensorflow" }
}
"""


def config_of(text: str) -> Any:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def one(more: str = "", name: str = "m", path: str = "/m", kind: str = "tensorflow") -> Any:
    entry = f'name: "{name}" base_path: "{path}" model_platform: "{kind}" {more}'
    return config_of(f"model_config_list {{ config {{ {entry} }} }}")


def refusal(config: Any) -> str:
    with pytest.raises(ServingError) as caught:
        to_models(config)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    return caught.value.message


def test_a_list_of_models_with_policies_and_labels_is_read() -> None:
    assert to_models(config_of(TWO_MODELS)) == [
        ModelConfig(
            "small",
            pathlib.Path("/models/small"),
            VersionPolicy("specific", versions=(3, 7)),
            {"stable": 3},
        ),
        ModelConfig("large", pathlib.Path("/models/large"), VersionPolicy("latest", count=1)),
    ]


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", VersionPolicy("latest", 1)),
        ("model_version_policy { all {} }", VersionPolicy("all")),
        ("model_version_policy { latest {} }", VersionPolicy("latest", 1)),
        ("model_version_policy { latest { num_versions: 3 } }", VersionPolicy("latest", 3)),
    ],
)
def test_a_policy_that_is_not_given_is_the_latest_version(text: str, policy: VersionPolicy) -> None:
    assert to_models(one(text))[0].policy == policy


def test_an_empty_list_serves_nothing_which_a_request_may_ask_for() -> None:
    assert to_models(config_of("model_config_list {}")) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (config_of(""), "Only ModelConfigList is currently supported"),
        (config_of("custom_model_config {}"), "Only ModelConfigList is currently supported"),
        (one(name=""), "is not a model name"),
        (one(name="a/b"), "is not a model name"),
        (one(name="x" * 5000), "is not a model name"),
        (one(path="models/small"), "absolute path"),
        (one(path="s3://bucket/models"), "absolute path"),
        (one(path="/m\\000/etc"), "NUL"),
        (one(kind="caffe"), "its platform must be 'tensorflow'"),
        (one(kind=""), "neither ModelServerConfig::model_type"),
        (one("model_type: OTHER", kind=""), "not supported"),
        (one("model_version_policy { specific {} }"), "names none"),
        (
            config_of(TWO_MODELS.replace("large", "small")),
            "Illegal to list model small multiple times",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(config: Any, words: str) -> None:
    said = refusal(config)
    assert words in said
    assert len(said) < 600


def test_more_models_than_are_served_are_refused() -> None:
    config = config_of("model_config_list {}")
    for number in range(300):
        config.model_config_list.config.add(
            name=f"m{number}", base_path="/m", model_platform="tensorflow"
        )
    assert "at most" in refusal(config)


def model(path: pathlib.Path) -> ModelConfig:
    return ModelConfig("m", path)


def refused(path: pathlib.Path, root: pathlib.Path) -> ServingError:
    with pytest.raises(ServingError) as caught:
        within_roots([model(path)], [root])
    return caught.value


def test_folders_below_the_root_are_taken_with_their_links_followed(
    tmp_path: pathlib.Path,
) -> None:
    root = tmp_path / "root"
    (root / "models" / "a").mkdir(parents=True)
    (root / "alias").symlink_to(root / "models")
    paths = [root, root / "models" / "a", root / "alias" / "a", root / "not-yet-there"]
    taken = within_roots([model(path) for path in paths], [root])
    inside = root.resolve()
    assert [m.base_path for m in taken] == [
        inside,
        inside / "models" / "a",
        inside / "models" / "a",
        inside / "not-yet-there",
    ]


def test_a_root_that_is_itself_a_link_allows_what_it_leads_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real" / "m").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    (taken,) = within_roots([model(tmp_path / "root" / "m")], [tmp_path / "root"])
    assert taken.base_path == (tmp_path / "real" / "m").resolve()


@pytest.mark.parametrize("leaving", ["..", "../outside", "link", "link/deeper", "m/../../outside"])
def test_folders_outside_the_root_are_refused_however_they_are_named(
    tmp_path: pathlib.Path, leaving: str
) -> None:
    root = tmp_path / "root"
    for folder in (root / "m", tmp_path / "outside" / "deeper"):
        folder.mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "outside")
    error = refused(root / leaving, root)
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert "--model-root" in error.message
    assert str(tmp_path) not in error.message


def test_a_folder_whose_name_begins_like_the_roots_is_outside(tmp_path: pathlib.Path) -> None:
    for name in ("root", "root-2"):
        (tmp_path / name).mkdir()
    assert refused(tmp_path / "root-2", tmp_path / "root").code is (
        grpc.StatusCode.PERMISSION_DENIED
    )


def test_links_in_a_circle_are_refused(tmp_path: pathlib.Path) -> None:
    os.symlink(tmp_path / "b", tmp_path / "a")
    os.symlink(tmp_path / "a", tmp_path / "b")
    assert refused(tmp_path / "a" / "m", tmp_path).code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_config_file_is_read(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(TWO_MODELS, encoding="utf-8")
    assert [m.name for m in read_config_file(str(file))] == ["small", "large"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model_config_list { config { nam: 'x' } }", "not a ModelServerConfig in text format"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "Only ModelConfigList"),
        (b"model_config_list {}", "lists no model"),
        (b"#" * ((1 << 20) + 1), "more than"),
        (b"model_config_list { config { name: 'x' base_path: 'y' model_platform: 'tensorflow' } }",
         "absolute"),
    ],
)  # fmt: skip
def test_a_config_file_that_is_none_is_named_with_the_reason(
    tmp_path: pathlib.Path, content: bytes, words: str
) -> None:
    file = tmp_path / "models.config"
    file.write_bytes(content)
    with pytest.raises(OptionError) as caught:
        read_config_file(str(file))
    assert str(caught.value).startswith(f"--model-config-file {file}: ")
    assert words in str(caught.value)


def test_a_config_file_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        read_config_file(str(tmp_path / "none"))
