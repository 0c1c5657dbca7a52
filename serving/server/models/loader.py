"""The work of a manager's thread: one model's folder is looked at, versions are loaded and let go.

Loading comes first, so that a model that was available stays so. A version that is let go takes
no new requests, and is freed when the last request that holds it is done.
"""

from __future__ import annotations

import functools
import gc
import pathlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import grpc

from serving.model.model_files import ModelFolderError
from serving.server.config.settings import ModelConfig
from serving.server.models import versions
from serving.server.models.model_state import Entry, Loaded, Model, State
from serving.server.models.servable import Servable

# A folder in which nothing has changed for so long is not being copied into.
QUIET_SECONDS = 2.0


class Loader:
    """Loads and frees versions; changes the records of models under the manager's lock.

    Attributes:
      stopped: set once nothing more is to be loaded.
    """

    def __init__(
        self,
        changed: threading.Condition,
        make: Callable[[str, int, pathlib.Path], Servable],
        on_event: Callable[[str], None],
    ) -> None:
        """Initializes the loader.

        Args:
          changed: notified whenever a version's state changes; holds the manager's lock.
          make: loads a version: the model's name, number, folder. Raises ModelFolderError.
          on_event: told in words what happens, without the lock.
        """
        self._lock = self._changed = changed
        self._make, self._on_event = make, on_event
        self._retired: list[tuple[Entry, Loaded, str]] = []
        self.stopped = threading.Event()

    def poll(self, model: Model) -> None:
        """Looks at a model's folder, loads what is new, lets go of what is not wanted."""
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
                return  # another list meanwhile: looked at anew
            model.chosen = chosen
            superfluous = model.superfluous()
            self.retire(model, superfluous)
            model.forget_old()
            model.polls = polls + 1
            self._changed.notify_all()

    def _choose(
        self, model: Model, config: ModelConfig, found: Mapping[int, pathlib.Path]
    ) -> list[int]:
        """The versions to serve, the first choice first. Those that are incomplete, or are
        being written, are passed over."""
        order = versions.in_order(found, config.policy)
        chosen: list[int] = []
        looked: dict[int, versions.Version] = {}
        problem = _none_there(config, order, found)
        is_waiting = False
        for number in order:
            if len(chosen) >= versions.most(config.policy):
                break
            entry = model.entries.get(number)
            if entry and entry.loaded and entry.loaded.servable.path == found[number]:
                chosen.append(number)
                continue
            look = versions.look_at(number, found[number], config.base_path)
            looked[number] = look
            settled = look.is_settled(model.looked.get(number), QUIET_SECONDS)
            if look.refused or (settled and not look.lacking):
                chosen.append(number)
                continue
            is_waiting |= not settled
            problem = problem or (
                f"{look.path}: half a model: {look.lacking} is missing; wait for the copy, or "
                "copy it again"
            )
            if not (entry and entry.loaded):
                words = f"half a model: {look.lacking} is missing" if settled else ""
                with self._lock:
                    waiting = model.entry(number)
                    is_news = words not in ("", waiting.message)
                    waiting.become(State.START, message=words)
                if is_news:
                    self._on_event(f"{config.name}: version {number} waits: {words}")
        with self._lock:
            model.looked, model.problem, model.is_waiting = looked, problem, is_waiting
            for number in chosen:
                model.entry(number)
        return chosen

    def _load(self, model: Model, number: int, path: pathlib.Path) -> None:
        """Loads a version, unless it is loaded or the same files failed before."""
        entry, look = model.entry(number), model.looked.get(number)
        if look is None or entry.failed == look.fingerprint:
            return
        name = model.config.name
        with self._lock:
            if entry.loaded is None:
                entry.become(State.LOADING)
            entry.failed = None
        self._on_event(f"{name}: loading version {number}")
        started = time.monotonic()
        try:
            if look.refused:
                raise ModelFolderError(f"{path}: refused: {look.refused}")
            servable = self._make(name, number, path)
        except Exception as error:
            # ModelFolderError, but TensorFlow may raise anything for a damaged file, and the
            # other versions are to be served on.
            self._failed(model, entry, look, error)
            return
        after = versions.look_at(number, path, model.config.base_path)
        if after.fingerprint != look.fingerprint:
            # It may be a mixture of two models; the next look finds it unsettled.
            with self._lock:
                if entry.loaded is None:
                    entry.become(State.START)
            return
        with self._changed:
            if entry.loaded is not None:  # from another folder
                self.retire(model, [number])
            entry.loaded = Loaded(servable)
            entry.become(State.AVAILABLE)
            if model.is_removed:  # by a reload, meanwhile
                self.retire(model, [number])
                return
            self._changed.notify_all()
        seconds = time.monotonic() - started
        self._on_event(f"{name}: serving version {number} (loaded in {seconds:.1f} s)")

    def _failed(self, model: Model, entry: Entry, look: versions.Version, error: Exception) -> None:
        words = str(error) if isinstance(error, ModelFolderError) else repr(error)
        with self._changed:
            entry.failed = look.fingerprint
            if entry.loaded is None:
                entry.become(State.END, grpc.StatusCode.FAILED_PRECONDITION, words)
            self._changed.notify_all()
        self._on_event(f"{model.config.name}: version {entry.number} failed: {words}")

    # Letting go

    def retire(self, model: Model, numbers: Sequence[int]) -> None:
        """Versions take no more requests; they are freed later. The lock is held."""
        for number in numbers:
            entry = model.entries[number]
            assert entry.loaded is not None
            self._retired.append((entry, entry.loaded, model.config.name))
            entry.loaded = None
            entry.become(State.UNLOADING)

    def free_retired(self) -> None:
        """Frees the memory of those that no request holds any more."""
        with self._lock:
            free = [one for one in self._retired if not one[1].leases]
            self._retired = [one for one in self._retired if one[1].leases]
        events = []
        for entry, loaded, name in free:
            loaded.servable.close()
            events.append(f"{name}: version {loaded.servable.version} let go")
            with self._lock:
                if entry.state is State.UNLOADING and entry.loaded is None:
                    entry.become(State.END)
        if free:
            del free, entry, loaded
            gc.collect()
        for event in events:
            self._on_event(event)

    def is_retired(self, loaded: Loaded) -> bool:
        """Whether it waits to be freed. The lock is held."""
        return any(loaded is one for _, one, _ in self._retired)


@functools.cache
def prepare() -> None:
    """Imports TensorFlow, and takes all that is loaded by then out of garbage collection.

    That is half a million objects which live as long as the process. Without this, freeing a
    version holds up every request for half a second, and so does a collection now and then.
    """
    import tensorflow  # noqa: F401  # seconds

    gc.collect()
    gc.freeze()


def _none_there(config: ModelConfig, order: Sequence[int], found: Iterable[int]) -> str:
    if order:
        return ""
    if config.policy.kind == "specific":
        return (
            f"{config.base_path}: none of the versions {in_words(config.policy.versions)} is "
            f"there; there: {in_words(sorted(found))}"
        )
    return (
        f"{config.base_path}: no model in it: neither saved_model.pb nor a version folder such "
        "as 1/"
    )


def in_words(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "none"
