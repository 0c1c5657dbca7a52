"""Server in this process, on free ports of 127.0.0.1. Loaded by conftest.py.

running = start_server(folder, batching=True)
running.port, running.rest_port, running.channel()
running.stop()
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest

from serving.server.config.settings import ModelConfig

MAX_BYTES = 128 << 20
# A busy machine may be ten times as slow; no test passes because of this.
DEADLINE_S = 60.0


@dataclasses.dataclass
class RunningServer:
    """Running server; `events` are the lines that it reported."""

    port: int
    rest_port: int
    events: list[str]
    server: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    def channel(self) -> grpc.Channel:
        """Return a new channel with its own connections; close it after use."""
        options = [
            ("grpc.max_receive_message_length", MAX_BYTES),
            ("grpc.max_send_message_length", MAX_BYTES),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options)

    def stop(self, grace_seconds: float = 5.0) -> None:
        self.server.stop(grace_seconds)


def start_server(model_dir: str | pathlib.Path, **options: Any) -> RunningServer:
    """Start a server, and wait until every model is available.

    Args:
      model_dir: a folder of versions; "" if `model_config_file` is given.
      **options: fields of serving.server.config.options.ServeOptions; ports are free ones.
        `api_key` stands for the value of GENREFLOW_API_KEY.
    """
    from serving.server.app import Server
    from serving.server.config.options import ServeOptions
    from serving.server.server_settings import ServerSettings

    key = options.pop("api_key", None)
    chosen = {"port": 0, "rest_port": 0, "poll_seconds": 0.05, **options}
    settings = ServerSettings.load(ServeOptions(model_dir=str(model_dir), **chosen), key)
    events: list[str] = []
    server = Server(settings, events.append)
    try:
        server.load(DEADLINE_S)
        _wait_for_newest(server, settings.models)
        server.start()
    except BaseException:
        server.stop(0)
        raise
    return RunningServer(server.port, server.rest_port, events, server)


def _wait_for_newest(server: Any, models: Sequence[ModelConfig]) -> None:
    """Wait until the newest versions are served.

    A server begins with older versions if the newest files are so new that they may still be
    being copied, but tests need to know which version responds.
    """
    end = time.monotonic() + DEADLINE_S
    for model in models:
        complete = sorted(
            int(path.parent.parent.name)
            for path in model.base_path.glob("*/variables/variables.index")
            if (path.parent.parent / "saved_model.pb").is_file()
        )
        policy = model.policy
        wanted = complete[-policy.count :] if policy.kind == "latest" else complete
        if policy.kind == "specific":
            wanted = [version for version in complete if version in policy.versions]
        while time.monotonic() < end:
            states = {s.version: s.state.name for s in server.manager.status(model.name)}
            if all(states.get(version) in ("AVAILABLE", "END") for version in wanted):
                break
            time.sleep(0.02)


@pytest.fixture(scope="session")
def server(toy_models: pathlib.Path) -> Iterator[RunningServer]:
    """Serve both versions of `toy_models`, for tests that change nothing."""
    running = start_server(toy_models, policy="all", allow_reload=False)
    yield running
    running.stop()


@pytest.fixture
def servers() -> Iterator[Callable[..., RunningServer]]:
    """Return `start_server`; the servers that it starts are stopped at the end."""
    started: list[RunningServer] = []

    def start(model_dir: str | pathlib.Path, **options: Any) -> RunningServer:
        started.append(start_server(model_dir, **options))
        return started[-1]

    yield start
    for running in started:
        running.stop(0)
