"""Tests of the server of the pages: its address, its first second, its end."""

from __future__ import annotations

import pytest

from genreflow.web import runner
from serving.server.config.options import OptionError


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    taken = runner.listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(OptionError, match=rf"--port {port}: .*in use.*choose another port"):
        runner.listen("127.0.0.1", port)
    taken.close()


def test_the_address_is_one_for_a_browser() -> None:
    listener = runner.listen("0.0.0.0", 0)
    port = listener.getsockname()[1]
    assert runner.address("0.0.0.0", listener) == f"http://127.0.0.1:{port}/"
    listener.close()


def test_only_an_address_for_others_is_warned_about() -> None:
    assert list(runner.warnings("127.0.0.1")) == list(runner.warnings("localhost")) == []
    (warning,) = runner.warnings("0.0.0.0")
    assert "not encrypted" in warning
    assert "ssh -L" in warning
