"""Records of models and their versions: plain data without threads or files.

Only `ModelManager` and its `Loader` change them, under the manager's lock.
"""

from __future__ import annotations

import dataclasses
import enum

import grpc

from serving.server.config.settings import ModelConfig
from serving.server.models.servable import Servable
from serving.server.models.versions import Fingerprint, VersionFolder

# Unloaded versions whose last state is still reported, per model.
MAX_ENDED_VERSIONS = 16


class VersionState(enum.IntEnum):
    """States of a version, with the numbers of `ModelVersionStatus.State` in TensorFlow Serving."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """Status of a version as reported to clients.

    Attributes:
      version: the version's number.
      state: its state.
      code, message: OK and "", or why it is not served.
    """

    version: int
    state: VersionState
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""


@dataclasses.dataclass(eq=False)
class LoadedVersion:
    """A servable, with the number of requests that use it."""

    servable: Servable
    leases: int = 0


@dataclasses.dataclass(eq=False)
class VersionRecord:
    """Record of one version.

    Attributes:
      number: the version's number.
      state: its state.
      loaded: the servable, or None if it takes no requests.
      failed: fingerprint of files that could not be loaded; loading is retried once they change.
      code, message: as in VersionStatus.
    """

    number: int
    state: VersionState = VersionState.START
    loaded: LoadedVersion | None = None
    failed: Fingerprint | None = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""

    def become(
        self, state: VersionState, code: grpc.StatusCode = grpc.StatusCode.OK, message: str = ""
    ) -> None:
        """Set the state, with its code and message."""
        self.state, self.code, self.message = state, code, message

    def status(self) -> VersionStatus:
        """Return the status to report."""
        return VersionStatus(self.number, self.state, self.code, self.message)


@dataclasses.dataclass(eq=False)
class ModelRecord:
    """Record of one model.

    Attributes:
      config: the model's configuration.
      versions: record of each version by number.
      chosen: versions that should be served, as of the last poll of the folder.
      problem: why no version can be served, or "".
      is_waiting: whether a version may be complete soon.
      folders: the version folders that were inspected at the last poll.
      polls: polls of the folder since the configuration was set.
      is_removed: whether a reload removed the model; only its last states are reported.
    """

    config: ModelConfig
    versions: dict[int, VersionRecord] = dataclasses.field(default_factory=dict)
    chosen: list[int] = dataclasses.field(default_factory=list)
    problem: str = ""
    is_waiting: bool = False
    folders: dict[int, VersionFolder] = dataclasses.field(default_factory=dict)
    polls: int = 0
    is_removed: bool = False

    def version(self, number: int) -> VersionRecord:
        """Return the version's record, new if there is none."""
        return self.versions.setdefault(number, VersionRecord(number))

    def served(self) -> list[int]:
        """Return the versions that take requests, in ascending order."""
        return sorted(number for number, record in self.versions.items() if record.loaded)

    def is_served(self) -> bool:
        """Return whether at least one chosen version takes requests."""
        return any(self.versions[number].loaded for number in self.chosen)

    def failure(self) -> str | None:
        """Return why no version is served; None if one is, or may be soon."""
        if not self.polls or self.is_served():
            return None
        failed = [self.versions[n] for n in self.chosen if self.versions[n].failed is not None]
        if failed:
            return failed[0].message
        return None if self.is_waiting or self.chosen else self.problem

    def replaceable(self) -> list[int]:
        """Return the served versions that can be unloaded.

        These are versions that are not chosen. As many of them as there are chosen versions not
        served yet are kept in their place, the highest first.
        """
        if not self.chosen:
            return []  # the folder vanished or was emptied: keep serving what is loaded
        others = [number for number in self.served() if number not in self.chosen]
        lacking = sum(not self.versions[number].loaded for number in self.chosen)
        return others[: max(0, len(others) - lacking)]

    def forget_old(self) -> None:
        """Delete the records of versions that are gone, except the last MAX_ENDED_VERSIONS."""
        gone = [
            number
            for number, record in sorted(self.versions.items())
            if record.state in (VersionState.START, VersionState.END) and number not in self.folders
        ]
        for number in gone:
            if self.versions[number].state is VersionState.START:
                del self.versions[number]
        ended = [number for number in gone if number in self.versions]
        for number in ended[:-MAX_ENDED_VERSIONS]:
            del self.versions[number]
