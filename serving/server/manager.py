"""Loads and unloads the versions of models while requests go on.

One thread looks at the folders, loads what is new and lets go of what is no longer wanted: in
that order, so that a model that was available stays so. A version that is let go takes no new
requests, and is freed when the last request that holds it is done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import grpc

from serving.model_files import ModelFolderError
from serving.server import model_config, versions
from serving.server.errors import ServingError, failed_precondition, invalid, not_found
from serving.server.model_state import Entry, Loaded, Model, State, VersionStatus
from serving.server.servable import Servable
from serving.server.settings import Batching, Limits, ModelConfig

# A folder in which nothing has changed for so long is not being copied into.
QUIET_SECONDS = 2.0
# How long a reload request may wait for its models.
RELOAD_TIMEOUT_S = 600.0
# Removed models whose last states are still told.
MOST_REMOVED = 64

__all__ = ["ModelManager", "State", "VersionStatus"]


def _ignore(_: str) -> None:
    """Where nobody wants to hear what happens."""


class ModelManager:
    """The models of a server, each with its versions. Safe for use by many threads."""

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        *,
        batching: Batching | None,
        limits: Limits,
        poll_seconds: float = 1.0,
        on_event: Callable[[str], None] = _ignore,
    ) -> None:
        """Makes the manager; nothing is read or loaded before `start`.

        Args:
          configs: the models.
          batching: how requests to one version are joined; None runs each alone.
          limits: what one request may ask for.
          poll_seconds: time between two looks at the folders.
          on_event: told in words what happens, from the manager's own thread.

        Raises:
          ServingError: INVALID_ARGUMENT, a name that is none or is there twice.
        """
        model_config.validate(configs)
        self._batching, self._limits = batching, limits
        self._poll_seconds, self._on_event = poll_seconds, on_event
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._reloading = threading.Lock()
        self._models = {config.name: Model(config) for config in configs}
        self._retired: list[tuple[Entry, Loaded, str]] = []
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="serving-models", daemon=True)

    def start(self) -> None:
        """Begins to look at the folders and to load."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and lets every version go; those still in use when their request
        is done. A version that is being loaded is waited for."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for model in self._models.values():
                self._retire(model, model.served())
        self._free_retired()

    def wait_until_available(self, timeout_s: float) -> None:
        """Waits until each model has a version that takes requests.

        Raises:
          ModelFolderError: one cannot be loaded, there is none, a label names a version that
            is not served, or it took longer than `timeout_s`.
        """
        problems = self._await(tuple(self.models()), timeout_s)
        if problems:
            raise ModelFolderError(
                "\n".join(f"model {name}: {words}" for name, words in problems.items())
            )
        with self._lock:
            for model in self._models.values():
                for label, number in model.config.labels.items():
                    if number not in model.served():
                        raise ModelFolderError(
                            f"model {model.config.name}: the label {label} names version "
                            f"{number}, which is not served; versions "
                            f"{_list(model.served())} are"
                        )

    def models(self) -> tuple[str, ...]:
        """Names of the models in the list, in its order."""
        with self._lock:
            return tuple(name for name, model in self._models.items() if not model.is_removed)

    @contextlib.contextmanager
    def lease(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Servable]:
        """Holds one version, which stays loaded until the end of the `with` block.

        Args:
          name: the model.
          version: its version; None is the highest that is served.
          label: a label instead of a version.

        Raises:
          ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        with self._lock:
            loaded = self._find(name, version, label)
            loaded.leases += 1
        try:
            yield loaded.servable
        finally:
            with self._lock:
                loaded.leases -= 1
                is_last = not loaded.leases and any(loaded is one for _, one, _ in self._retired)
            if is_last:
                self._wake.set()
                if self._stopped.is_set():
                    self._free_retired()

    def status(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> list[VersionStatus]:
        """The states of one version, or of all that are known, the highest first.

        Raises:
          ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        with self._lock:
            if label is not None:
                version = self._labelled(name, label)
            model = self._models.get(name)
            entries = model.entries if model else {}
            if version is not None:
                if version not in entries:
                    raise not_found(f"Could not find version {version} of model {name}")
                numbers = [version]
            else:
                numbers = sorted(entries, reverse=True)
            if model is None or not numbers:
                raise not_found(f"Could not find any versions of model {name}")
            found = [entries[number].status() for number in numbers]
            base_path = model.config.base_path
        return [
            dataclasses.replace(one, message=_without_path(one.message, base_path, name))
            for one in found
        ]

    def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Replaces the list of models, and waits until those that are new or changed are
        available. Models that are not in it are unloaded.

        Raises:
          ServingError: INVALID_ARGUMENT for a bad list, FAILED_PRECONDITION for a label of a
            version that is not available: then nothing has changed. UNKNOWN, as in TensorFlow
            Serving, where the list was taken, but a model did not become available.
        """
        model_config.validate(configs)
        with self._reloading:
            with self._lock:
                self._check_labels(configs)
                changed = self._replace(configs)
            self._wake.set()
            problems = self._await(changed, RELOAD_TIMEOUT_S)
        if problems:
            paths = {config.name: config.base_path for config in configs}
            words = ", ".join(
                f"{{{name}: {_without_path(words, paths[name], name)}}}"
                for name, words in problems.items()
            )
            raise ServingError(
                grpc.StatusCode.UNKNOWN,
                f"{len(problems)} model(s) did not become available: {{{words}}}",
            )

    # Requests

    def _find(self, name: str, version: int | None, label: str | None) -> Loaded:
        if label is not None:
            version = self._labelled(name, label)
        model = self._models.get(name)
        if version is None:
            served = model.served() if model else []
            if model is None or not served:
                raise not_found(f"Servable not found for request: Latest({name})")
            version = served[-1]
        entry = model.entries.get(version) if model else None
        if entry is None or entry.loaded is None:
            raise not_found(f"Servable not found for request: Specific({name}, {version})")
        return entry.loaded

    def _labelled(self, name: str, label: str) -> int:
        model = self._models.get(name)
        if model is None or model.is_removed or label not in model.config.labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return model.config.labels[label]

    # The list of models

    def _check_labels(self, configs: Sequence[ModelConfig]) -> None:
        for config in configs:
            model = self._models.get(config.name)
            for number in config.labels.values():
                if model is None or number not in model.served():
                    raise failed_precondition(
                        f"Request to assign label to version {number} of model {config.name}, "
                        "which is not currently available for inference"
                    )

    def _replace(self, configs: Sequence[ModelConfig]) -> tuple[str, ...]:
        """Takes the new list; returns the names whose versions may change."""
        changed = []
        before = self._models
        self._models = {}
        for config in configs:
            model = before.pop(config.name, None) or Model(config)
            same = not model.is_removed and (model.config.base_path, model.config.policy) == (
                config.base_path,
                config.policy,
            )
            if not same or not model.served():
                model.polls = 0
                changed.append(config.name)
            model.config, model.is_removed = config, False
            self._models[config.name] = model
        for name, model in list(before.items())[-MOST_REMOVED:]:
            model.is_removed, model.chosen = True, []
            self._models[name] = model
        for model in before.values():
            self._retire(model, model.served())
        return tuple(changed)

    def _await(self, names: Sequence[str], timeout_s: float) -> Mapping[str, str]:
        """Waits for models to be available; what is wrong with those that are not."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while True:
                models = [self._models[name] for name in names if name in self._models]
                waiting = [m for m in models if not (m.polls and m.is_served())]
                failures = {m.config.name: m.failure() for m in waiting}
                left_s = until - time.monotonic()
                if not waiting or any(failures.values()):
                    return {name: words for name, words in failures.items() if words}
                if left_s <= 0 or self._stopped.is_set():
                    return dict.fromkeys(failures, f"not available after {timeout_s:g} s")
                self._changed.wait(min(left_s, 1.0))

    # The thread

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                self._poll()
            except Exception as error:
                # Whatever a file system, or who listens to events, came up with: the
                # versions that are served must not be the last ones for ever.
                with contextlib.suppress(Exception):
                    self._on_event(f"looking for versions failed: {error!r}; trying again")
            self._wake.wait(self._poll_seconds)

    def _poll(self) -> None:
        with self._lock:
            models = [model for model in self._models.values() if not model.is_removed]
        for model in models:
            if self._stopped.is_set():
                return
            self._poll_model(model)
            self._free_retired()
        self._free_retired()

    def _poll_model(self, model: Model) -> None:
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
            if not self._stopped.is_set() and not model.is_removed:
                self._load(model, number, found[number])
        with self._changed:
            if model.config is not config or model.is_removed:
                return  # another list meanwhile: looked at anew
            model.chosen = chosen
            superfluous = model.superfluous()
            self._retire(model, superfluous)
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
        problem = _none_there(config, order)
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
                with self._lock:
                    model.entry(number).become(State.START)
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
            servable = Servable(name, number, path, batching=self._batching, limits=self._limits)
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
                self._retire(model, [number])
            entry.loaded = Loaded(servable)
            entry.become(State.AVAILABLE)
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

    def _retire(self, model: Model, numbers: Sequence[int]) -> None:
        """Versions take no more requests. The lock is held."""
        for number in numbers:
            entry = model.entries[number]
            assert entry.loaded is not None
            self._retired.append((entry, entry.loaded, model.config.name))
            entry.loaded = None
            entry.become(State.UNLOADING)

    def _free_retired(self) -> None:
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


def _none_there(config: ModelConfig, order: Sequence[int]) -> str:
    if order:
        return ""
    if config.policy.kind == "specific":
        return f"{config.base_path}: none of the versions {_list(config.policy.versions)} is there"
    return (
        f"{config.base_path}: no model in it: neither saved_model.pb nor a version folder such "
        "as 1/"
    )


def _without_path(words: str, base_path: pathlib.Path, name: str) -> str:
    """Others need not know where the files of this machine are."""
    return words.replace(str(base_path), name)


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "none"
