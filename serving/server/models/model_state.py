"""What is known of one model and its versions; plain records without threads or files.

`ModelManager` alone changes them, under its lock.
"""

from __future__ import annotations

import dataclasses
import enum

import grpc

from serving.server.config.settings import ModelConfig
from serving.server.models.servable import Servable
from serving.server.models.versions import Fingerprint, Version

# Versions that are no more, whose last state is still told, per model.
MAX_ENDED = 16


class State(enum.IntEnum):
    """The states of `GetModelStatusResponse.ModelVersionStatus`, with its numbers."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What is told of a version. `code` and `message`: OK, or why it is not served."""

    version: int
    state: State
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""


@dataclasses.dataclass(eq=False)
class Loaded:
    """A servable and how many requests hold it."""

    servable: Servable
    leases: int = 0


@dataclasses.dataclass(eq=False)
class Entry:
    """One version. `failed`: the files that could not be loaded; tried again once they change."""

    number: int
    state: State = State.START
    loaded: Loaded | None = None
    failed: Fingerprint | None = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""

    def become(
        self, state: State, code: grpc.StatusCode = grpc.StatusCode.OK, message: str = ""
    ) -> None:
        """Enters a state."""
        self.state, self.code, self.message = state, code, message

    def status(self) -> VersionStatus:
        """What is told of it."""
        return VersionStatus(self.number, self.state, self.code, self.message)


@dataclasses.dataclass(eq=False)
class Model:
    """One model.

    `chosen`: versions that should be served, as of the last look at the folder. `problem`: why
    there is none. `is_waiting`: a version may be complete soon. `looked`: how its versions
    looked. `polls`: looks at the folder since the configuration was set. `is_removed`: no
    longer in the list; only its last states are told.
    """

    config: ModelConfig
    entries: dict[int, Entry] = dataclasses.field(default_factory=dict)
    chosen: list[int] = dataclasses.field(default_factory=list)
    problem: str = ""
    is_waiting: bool = False
    looked: dict[int, Version] = dataclasses.field(default_factory=dict)
    polls: int = 0
    is_removed: bool = False

    def entry(self, number: int) -> Entry:
        """The version's record; a new one where there is none."""
        return self.entries.setdefault(number, Entry(number))

    def served(self) -> list[int]:
        """Versions that take requests, ascending."""
        return sorted(number for number, entry in self.entries.items() if entry.loaded)

    def is_served(self) -> bool:
        """Whether one of those that should be served is."""
        return any(self.entries[number].loaded for number in self.chosen)

    def failure(self) -> str | None:
        """Why nothing of it is served, if nothing more is to be awaited; else None."""
        if not self.polls or self.is_served():
            return None
        failed = [self.entries[n] for n in self.chosen if self.entries[n].failed is not None]
        if failed:
            return failed[0].message
        return None if self.is_waiting or self.chosen else self.problem

    def superfluous(self) -> list[int]:
        """Versions that are served and need not be: not chosen, and all that are chosen and
        not served have another to stand in for them, the highest first."""
        if not self.chosen:
            return []  # the folder vanished or was emptied: what is loaded goes on
        others = [number for number in self.served() if number not in self.chosen]
        lacking = sum(not self.entries[number].loaded for number in self.chosen)
        return others[: max(0, len(others) - lacking)]

    def forget_old(self) -> None:
        """Drops records of versions that are gone, but for the last MAX_ENDED."""
        gone = [
            number
            for number, entry in sorted(self.entries.items())
            if entry.state in (State.START, State.END) and number not in self.looked
        ]
        for number in gone:
            if self.entries[number].state is State.START:
                del self.entries[number]
        for number in [number for number in gone if number in self.entries][:-MAX_ENDED]:
            del self.entries[number]
