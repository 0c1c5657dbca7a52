"""Tests of the options of a server, the API key and TLS files; nothing is started here."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest

from serving.server.__main__ import parse
from serving.server.config.options import OptionError, ServeOptions, parse_policy
from serving.server.config.security import ApiKey, read_api_key, read_tls
from serving.server.config.settings import Batching, VersionPolicy
from serving.server.listening import is_loopback
from tests.support.tls_files import TlsFiles

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("latest", VersionPolicy("latest", 1)),
        ("latest:3", VersionPolicy("latest", 3)),
        ("all", VersionPolicy("all")),
        ("specific:7", VersionPolicy("specific", versions=(7,))),
        ("specific:7,3", VersionPolicy("specific", versions=(7, 3))),
    ],
)
def test_a_policy_is_written_as_tensorflow_serving_names_it(
    text: str, policy: VersionPolicy
) -> None:
    assert parse_policy(text) == policy


@pytest.mark.parametrize(
    "text", ["", "newest", "latest:x", "latest:0", "latest:-1", "all:2", "specific", "specific:",
             "specific:1,", "specific:-1", "specific:1;2", "specific:" + "9" * 30]
)  # fmt: skip
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--policy"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_dir": ""}, "no model: give --model-dir or --model-config-file"),
        ({"model_config_file": "f"}, "either --model-dir or --model-config-file, not both"),
        ({"model_name": "a/b"}, "--model-name 'a/b'"),
        ({"model_name": ""}, "--model-name"),
        ({"port": -1}, "--port -1: must be from 0 to 65535"),
        ({"port": 65536}, "--port 65536"),
        ({"rest_port": -2}, "--rest-port -2"),
        ({"port": 9000, "rest_port": 9000}, "both 9000"),
        ({"max_batch_size": 0}, "--max-batch-size"),
        ({"batch_timeout_ms": -1.0}, "--batch-timeout-ms"),
        ({"poll_seconds": 0.0}, "--poll-seconds"),
        ({"poll_seconds": float("nan")}, "--poll-seconds nan"),
        ({"max_message_mb": 4096}, "--max-message-mb"),
        ({"max_waveform_seconds": 0.0}, "--max-waveform-seconds"),
        ({"max_concurrent": 0}, "--max-concurrent"),
        ({"grace_seconds": float("inf")}, "--grace-seconds inf"),
        ({"engine": "triton"}, "--engine triton: must be one of genreflow, tensorflow-serving"),
        ({"policy": "some"}, "--policy some"),
        ({"tls_cert": "c"}, "--tls-cert and --tls-key belong together"),
        ({"tls_client_ca": "c"}, "--tls-client-ca needs"),
    ],
)
def test_a_value_that_cannot_be_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        ServeOptions(**{"model_dir": "m", **options})
    assert words in str(caught.value)


def test_the_module_is_compatible_with_options_as_words() -> None:
    words = [
        "--model-dir", "m", "--port", "0", "--no-batching", "--batch-timeout-ms", "1.5",
        "--allow-reload", "--policy", "all", "--rest-port", "-1",
    ]  # fmt: skip
    assert parse(words) == ServeOptions(
        model_dir="m",
        port=0,
        batching=False,
        batch_timeout_ms=1.5,
        allow_reload=True,
        policy="all",
        rest_port=-1,
    )


def test_our_server_batches_unless_told_not_to_and_tensorflow_serving_only_if_told() -> None:
    assert ServeOptions(model_dir="m").batching_settings() == Batching()
    assert ServeOptions(model_dir="m", batching=False).batching_settings() is None
    theirs = ServeOptions(model_dir="m", engine="tensorflow-serving")
    assert theirs.batching_settings() is None
    assert dataclasses.replace(theirs, batching=True).batching_settings() == Batching()
    on = ServeOptions(model_dir="m", batching=True, max_batch_size=8, batch_timeout_ms=3)
    assert on.batching_settings() == dataclasses.replace(
        Batching(), max_batch_size=8, batch_timeout_s=0.003
    )


def test_one_version_is_served_as_that_version_alone(
    toy_models: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    one = ServeOptions(model_dir=str(toy_models / "1"), policy="all").model_config()
    assert one.base_path == toy_models
    assert one.policy == VersionPolicy("specific", versions=(1,))
    (tmp_path / "exported").symlink_to(toy_models / "1")
    unnumbered = ServeOptions(model_dir=str(tmp_path / "exported")).model_config()
    assert unnumbered.base_path == tmp_path / "exported"
    assert ServeOptions(model_dir=str(toy_models)).model_config().base_path == toy_models


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.0.0.7", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_only_loopback_addresses_are_this_machines_own(host: str, only_here: bool) -> None:
    assert is_loopback(host) == only_here


# The API key


def test_a_key_comes_from_a_file_or_the_environment_and_the_file_counts(
    tmp_path: pathlib.Path,
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    for key in (read_api_key(str(file), "another-key-1"), read_api_key("", f" {KEY} ")):
        assert key
        assert key.refusal(KEY) is None
        assert key.refusal(KEY.encode()) is None
        assert KEY not in repr(key)
    assert read_api_key("", None) is None


@pytest.mark.parametrize(
    "sent", [None, "", "x", KEY[:-1], KEY + "0", KEY.upper(), "\udcff", b"\xff"]
)
def test_what_is_not_the_key_is_refused(sent: Any) -> None:
    refusal = ApiKey(KEY).refusal(sent)
    assert refusal
    assert KEY not in refusal


@pytest.mark.parametrize(
    "content", [b"", b"short", b"two words of a key", "schlüssel-der-tür".encode(), b"\xff" * 20,
                b"k" * 5000, b"line-one-of-it\nline-two-of-it"]
)  # fmt: skip
def test_a_key_that_a_header_cannot_carry_is_refused_without_showing_it(
    tmp_path: pathlib.Path, content: bytes
) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(OptionError) as caught:
        read_api_key(str(file), None)
    assert str(caught.value).startswith(f"--api-key-file {file}: ")
    if content:
        assert content.decode("utf-8", "replace") not in str(caught.value)


def test_an_empty_key_in_the_environment_is_a_mistake_not_an_open_door() -> None:
    with pytest.raises(OptionError, match="GENREFLOW_API_KEY"):
        read_api_key("", "")


def test_a_key_file_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        read_api_key(str(tmp_path / "none"), KEY)


# TLS


def test_certificates_are_read_and_keys_not_shown(tls_files: TlsFiles) -> None:
    tls = read_tls(str(tls_files.server_cert), str(tls_files.server_key), str(tls_files.ca))
    assert tls
    assert tls.client_ca == tls_files.ca.read_bytes()
    assert "PRIVATE" not in repr(tls)
    assert read_tls("", "", "") is None


def test_files_that_are_no_certificate_and_key_are_named(
    tls_files: TlsFiles, tmp_path: pathlib.Path
) -> None:
    cert, key = str(tls_files.server_cert), str(tls_files.server_key)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no PEM", encoding="utf-8")
    missing = str(tmp_path / "none.pem")
    for arguments, words in (
        ((missing, key, ""), f"--tls-cert {missing}"),
        ((cert, missing, ""), f"--tls-key {missing}"),
        ((cert, key, missing), f"--tls-client-ca {missing}"),
        ((str(nonsense), key, ""), "not a PEM certificate and its own key"),
        ((cert, str(tls_files.client_key), ""), "not a PEM certificate and its own key"),
        ((cert, key, str(nonsense)), f"--tls-client-ca {nonsense}: not a PEM certificate"),
    ):
        with pytest.raises(OptionError) as caught:
            read_tls(*arguments)
        assert words in str(caught.value)
