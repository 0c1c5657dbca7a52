"""Beam's container contract, and addresses of worker pools."""

from __future__ import annotations

import pytest

from components.common.errors import UsageError
from pipeline.workers.contract import Contract, parse_address


@pytest.mark.parametrize(
    ("text", "shown", "loopback"),
    [
        ("50000", "127.0.0.1:50000", True),
        ("localhost:0", "localhost:0", True),
        ("127.0.0.2:1", "127.0.0.2:1", True),
        ("[::1]:65535", "[::1]:65535", True),
        ("0.0.0.0:50000", "0.0.0.0:50000", False),
        ("[::]:50000", "[::]:50000", False),
        ("127.example.org:50000", "127.example.org:50000", False),
    ],
)
def test_an_address_is_loopback_unless_a_host_is_named(
    text: str, shown: str, loopback: bool
) -> None:
    address = parse_address(text)
    assert (str(address), address.is_loopback) == (shown, loopback)


@pytest.mark.parametrize("text", ["", "x", "host:", "host:http", "65536", "-1", "a:b:1", "²"])
def test_another_form_of_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"must be \[HOST:\]PORT"):
        parse_address(text)


def test_what_a_worker_cannot_work_without_is_named() -> None:
    with pytest.raises(UsageError, match="--id is missing"):
        Contract("", "localhost:1")
    with pytest.raises(UsageError, match="--provision_endpoint is missing"):
        Contract("1-1", "")


def test_an_id_in_the_quotes_of_prism_is_the_id() -> None:
    assert Contract("'job-001_go_1'", "localhost:1").id == "job-001_go_1"
