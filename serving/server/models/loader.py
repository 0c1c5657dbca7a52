"""Loading and unloading of versions, in the manager's thread.

New versions are loaded before old ones are retired, so an available model stays available. A
retired version takes no new requests, and is freed when the last request that uses it is done.
"""

from __future__ import annotations

import functools
import gc
import pathlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import grpc

from components.common.native_output import discard_stderr
from serving.model.model_files import ModelFolderError
from serving.server.config.settings import ModelConfig
from serving.server.models import versions
from serving.server.models.model_state import (
    LoadedVersion,
    ModelRecord,
    VersionRecord,
    VersionState,
)
from serving.server.models.servable import Servable

# A folder that has not changed for this time is not being copied into.
QUIET_SECONDS = 2.0


class Loader:
    """Loader of versions. It changes the models' records under the manager's lock.

    Attributes:
      stopped: event that is set to stop loading.
    """

    def __init__(
        self,
        changed: threading.Condition,
        make: Callable[[str, int, pathlib.Path], Servable],
        on_event: Callable[[str], None],
    ) -> None:
        """Initialize the loader.

        Args:
          changed: condition on the manager's lock, notified whenever a version's state changes.
          make: loads a version, given the model's name, the version's number and its folder.
            Raises ModelFolderError.
          on_event: called with a line of text for each event, without the lock.
        """
        self._lock = self._changed = changed
        self._make, self._on_event = make, on_event
        self._retired: list[tuple[VersionRecord, LoadedVersion, str]] = []
        self.stopped = threading.Event()

    def poll(self, model: ModelRecord) -> None:
        """Check a model's folder, load new versions, and retire those no longer chosen."""
        with self._lock:
            config, polls = model.config, model.polls
        try:
            found = versions.list_versions(config.base_path)
        except versions.NoFolderError as error:
            with self._changed:
                if model.config is config:
                    model.chosen, model.problem, model.is_waiting = [], str(error), False
                    model.polls = polls + 1
                    self._changed.notify_all()
            return
        chosen = self._choose(model, config, found)
        for number in chosen:
            if not self.stopped.is_set() and not model.is_removed:
                self._load(model, number, found[number])
        with self._changed:
            if model.config is not config or model.is_removed:
                return  # a reload changed the models meanwhile: the next poll handles it
            model.chosen = chosen
            self.retire(model, model.replaceable())
            model.forget_old()
            model.polls = polls + 1
            self._changed.notify_all()

    def _choose(
        self, model: ModelRecord, config: ModelConfig, found: Mapping[int, pathlib.Path]
    ) -> list[int]:
        """Return the versions to serve, the first choice first.

        Versions that are incomplete or being written are skipped.
        """
        order = versions.candidates(found, config.policy)
        chosen: list[int] = []
        folders: dict[int, versions.VersionFolder] = {}
        problem = _no_version(config, order, found)
        is_waiting = False
        for number in order:
            if len(chosen) >= versions.max_served(config.policy):
                break
            record = model.versions.get(number)
            if record and record.loaded and record.loaded.servable.path == found[number]:
                chosen.append(number)
                continue
            folder = versions.inspect(number, found[number], config.base_path)
            folders[number] = folder
            settled = folder.is_settled(model.folders.get(number), QUIET_SECONDS)
            if folder.refused or (settled and not folder.missing):
                chosen.append(number)
                continue
            is_waiting |= not settled
            problem = problem or (
                f"{folder.path}: incomplete model: {folder.missing} is missing; wait until it is "
                "copied, or copy it again"
            )
            if not (record and record.loaded):
                message = f"incomplete model: {folder.missing} is missing" if settled else ""
                with self._lock:
                    waiting = model.version(number)
                    is_news = message not in ("", waiting.message)
                    waiting.become(VersionState.START, message=message)
                if is_news:
                    self._on_event(f"{config.name}: version {number} waits: {message}")
        with self._lock:
            model.folders, model.problem, model.is_waiting = folders, problem, is_waiting
            for number in chosen:
                model.version(number)
        return chosen

    def _load(self, model: ModelRecord, number: int, path: pathlib.Path) -> None:
        """Load a version, unless it is loaded or the same files failed before."""
        record, folder = model.version(number), model.folders.get(number)
        if folder is None or record.failed == folder.fingerprint:
            return
        name = model.config.name
        with self._lock:
            if record.loaded is None:
                record.become(VersionState.LOADING)
            record.failed = None
        self._on_event(f"{name}: loading version {number}")
        started = time.monotonic()
        try:
            if folder.refused:
                raise ModelFolderError(f"{path}: refused: {folder.refused}")
            servable = self._make(name, number, path)
        except Exception as error:
            # Besides ModelFolderError, TensorFlow may raise anything for a damaged file. The
            # other versions must stay available.
            self._fail(model, record, folder, error)
            return
        after = versions.inspect(number, path, model.config.base_path)
        if after.fingerprint != folder.fingerprint:
            # The files changed while they were loaded; the next poll finds them unsettled.
            with self._lock:
                if record.loaded is None:
                    record.become(VersionState.START)
            return
        with self._changed:
            if record.loaded is not None:  # from another folder
                self.retire(model, [number])
            record.loaded = LoadedVersion(servable)
            record.become(VersionState.AVAILABLE)
            if model.is_removed:  # by a reload, meanwhile
                self.retire(model, [number])
                return
            self._changed.notify_all()
        seconds = time.monotonic() - started
        self._on_event(f"{name}: serving version {number} (loaded in {seconds:.1f} s)")

    def _fail(
        self,
        model: ModelRecord,
        record: VersionRecord,
        folder: versions.VersionFolder,
        error: Exception,
    ) -> None:
        """Record that a version could not be loaded."""
        message = str(error) if isinstance(error, ModelFolderError) else repr(error)
        with self._changed:
            record.failed = folder.fingerprint
            if record.loaded is None:
                record.become(VersionState.END, grpc.StatusCode.FAILED_PRECONDITION, message)
            self._changed.notify_all()
        self._on_event(f"{model.config.name}: version {record.number} failed: {message}")

    # Unloading

    def retire(self, model: ModelRecord, numbers: Sequence[int]) -> None:
        """Stop versions from taking requests; they are freed later. The lock is held."""
        for number in numbers:
            record = model.versions[number]
            assert record.loaded is not None
            self._retired.append((record, record.loaded, model.config.name))
            record.loaded = None
            record.become(VersionState.UNLOADING)

    def free_retired(self) -> None:
        """Free the memory of retired versions that no request uses any more."""
        with self._lock:
            free = [one for one in self._retired if not one[1].leases]
            self._retired = [one for one in self._retired if one[1].leases]
        events = []
        for record, loaded, name in free:
            loaded.servable.close()
            events.append(f"{name}: version {loaded.servable.version} unloaded")
            with self._lock:
                if record.state is VersionState.UNLOADING and record.loaded is None:
                    record.become(VersionState.END)
        if free:
            del free, record, loaded
            gc.collect()
        for event in events:
            self._on_event(event)

    def is_retired(self, loaded: LoadedVersion) -> bool:
        """Return whether a version waits to be freed. The lock is held."""
        return any(loaded is one for _, one, _ in self._retired)


@functools.cache
def prepare() -> None:
    """Import TensorFlow, and exempt all objects that exist then from garbage collection.

    TensorFlow 2.21 comments on missing GPUs before it reads any log level, so what it writes
    while it is imported is discarded. An import that fails raises its error.

    The objects are half a million that live as long as the process. Otherwise each
    collection, such as after a version is freed, would delay every request by half a second.
    """
    with discard_stderr():
        import tensorflow  # noqa: F401  # seconds

    gc.collect()
    gc.freeze()


def _no_version(config: ModelConfig, order: Sequence[int], found: Iterable[int]) -> str:
    """Return why no version can be chosen, or "" if `order` has any."""
    if order:
        return ""
    if config.policy.kind == "specific":
        return (
            f"{config.base_path}: none of the versions {listed(config.policy.versions)} exists; "
            f"versions in the folder: {listed(sorted(found))}"
        )
    return (
        f"{config.base_path}: contains no model: neither saved_model.pb nor a version folder "
        "such as 1/"
    )


def listed(numbers: Sequence[int]) -> str:
    """Return version numbers as text: "1, 2", or "none"."""
    return ", ".join(str(number) for number in numbers) or "none"
