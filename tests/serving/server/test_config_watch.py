"""Tests of the watch of --model-config-file: what is taken over when, and problems."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import pytest

from components.versions.labels import config_text
from serving.server.config.model_list import read_config_file
from serving.server.config.settings import ModelConfig
from serving.server.config_watch import ConfigWatch
from serving.server.errors import not_found


class Watched:
    """Watch of a file, with a server that serves what it is told to."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "models.config"
        self.served: list[int] = []
        self.events: list[str] = []
        self.refuses = False
        self.now: ModelConfig | None = None
        self.reloads = 0
        self.write({}, ())
        self.watch = ConfigWatch(
            str(self.path),
            read_config_file(str(self.path)),
            poll_seconds=0.01,
            reload=self._reload,
            served=lambda: {"genreflow": self.served},
            on_event=self.events.append,
        )

    def write(self, labels: dict[str, int], served: Sequence[int]) -> None:
        self.path.write_text(config_text("/m", labels, served))

    def look(self) -> ModelConfig | None:
        self.watch.look()
        return self.now

    def _reload(self, models: Sequence[ModelConfig]) -> None:
        if self.refuses:
            raise not_found("no such folder")
        (self.now,) = models
        self.reloads += 1


@pytest.fixture
def watched(tmp_path: pathlib.Path) -> Watched:
    return Watched(tmp_path)


def test_an_unchanged_file_changes_nothing(watched: Watched) -> None:
    assert watched.look() is None
    watched.write({}, ())
    assert watched.look() is None
    assert watched.events == []


def test_a_label_is_taken_over_once_its_version_is_served(watched: Watched) -> None:
    watched.served = [7]
    watched.write({"stable": 5, "canary": 7}, (5, 7))
    now = watched.look()
    assert now is not None
    assert (now.policy.versions, dict(now.labels)) == ((5, 7), {"canary": 7})
    assert watched.look() == now
    assert watched.reloads == 1
    watched.served = [5, 7]
    now = watched.look()
    assert now is not None
    assert dict(now.labels) == {"stable": 5, "canary": 7}
    assert watched.events == [f"{watched.path} changed"]


def test_a_label_stays_with_its_old_version_until_the_new_one_is_served(watched: Watched) -> None:
    watched.served = [5, 7]
    watched.write({"stable": 5}, (5, 7))
    watched.look()
    watched.write({"stable": 6}, (6, 7))
    now = watched.look()
    assert now is not None
    assert (now.policy.versions, dict(now.labels)) == ((5, 6, 7), {"stable": 5})
    watched.served = [5, 6, 7]
    now = watched.look()
    assert now is not None
    assert (now.policy.versions, dict(now.labels)) == ((6, 7), {"stable": 6})


def test_problems_are_told_once_and_the_models_stay(watched: Watched) -> None:
    watched.path.write_text("model_config_list {")
    for _ in range(3):
        assert watched.look() is None
    watched.path.unlink()
    watched.look()
    watched.look()
    assert len(watched.events) == 2
    assert "not taken over" in watched.events[0]
    assert "not a ModelServerConfig" in watched.events[0]
    assert "No such file" in watched.events[1]
    watched.served, watched.refuses = [7], True
    watched.write({"canary": 7}, (7,))
    watched.look()
    watched.look()
    assert watched.events[2:] == [
        f"{watched.path} changed",
        f"{watched.path}: not taken over: no such folder",
    ]
    watched.refuses = False
    now = watched.look()
    assert now is not None
    assert dict(now.labels) == {"canary": 7}


def test_the_thread_looks_again_and_again_until_stopped(watched: Watched) -> None:
    import time

    watched.watch.start()
    watched.served = [7]
    watched.write({"canary": 7}, (7,))
    end = time.monotonic() + 60
    while watched.now is None and time.monotonic() < end:
        time.sleep(0.01)
    watched.watch.stop()
    assert watched.now is not None
