"""The models of a server, each with versions that come and go while requests go on.

One thread looks at the folders, loads and frees (`loader.py`). A request leases a version, which
then stays loaded until the request is done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import grpc

from serving.model.model_files import ModelFolderError
from serving.server.config.errors import ServingError, failed_precondition, invalid, not_found
from serving.server.config.settings import Batching, Limits, ModelConfig
from serving.server.models import model_config
from serving.server.models.loader import Loader, in_words, prepare
from serving.server.models.model_state import Loaded, Model, State, VersionStatus
from serving.server.models.servable import Servable

# How long a reload request may wait for its models.
RELOAD_TIMEOUT_S = 600.0
# Removed models whose last states are still told.
MAX_REMOVED = 64

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
        on_batch: Callable[[str, int], None] | None = None,
    ) -> None:
        """Makes the manager; nothing is read or loaded before `start`.

        Args:
          configs: the models.
          batching: how requests to one version are joined; None runs each alone.
          limits: what one request may ask for.
          poll_seconds: time between two looks at the folders.
          on_event: told in words what happens, from the manager's own thread.
          on_batch: told the model and the rows of each run of joined requests, from any.

        Raises:
          ServingError: INVALID_ARGUMENT, a name that is none or is there twice.
        """
        model_config.validate(configs)
        self._poll_seconds, self._on_event = poll_seconds, on_event
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        make = functools.partial(Servable, batching=batching, limits=limits, on_batch=on_batch)
        self._loader = Loader(self._changed, make, self._tell)
        self._reloading = threading.Lock()
        self._models = {config.name: Model(config) for config in configs}
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="serving-models", daemon=True)

    def start(self) -> None:
        """Begins to look at the folders and to load."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and lets every version go; those still in use when their request
        is done. A version that is being loaded is waited for."""
        self._loader.stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for model in self._models.values():
                self._loader.retire(model, model.served())
        self._loader.free_retired()

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
                            f"{in_words(model.served())} are"
                        )

    def models(self) -> tuple[str, ...]:
        """Names of the models in the list, in its order."""
        with self._lock:
            return tuple(name for name, model in self._models.items() if not model.is_removed)

    def waiting(self) -> int:
        """Requests, to all versions together, that wait for their turn in a batch."""
        with self._lock:
            return sum(
                entry.loaded.servable.waiting
                for model in self._models.values()
                for entry in model.entries.values()
                if entry.loaded is not None
            )

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
                is_last = not loaded.leases and self._loader.is_retired(loaded)
            if is_last:
                self._wake.set()
                if self._loader.stopped.is_set():
                    self._loader.free_retired()

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
        for model in before.values():
            model.is_removed, model.chosen = True, []
            self._loader.retire(model, model.served())
        self._models |= dict(list(before.items())[-MAX_REMOVED:])
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
                if left_s <= 0 or self._loader.stopped.is_set():
                    return dict.fromkeys(failures, f"not available after {timeout_s:g} s")
                self._changed.wait(min(left_s, 1.0))

    # The thread

    def _work(self) -> None:
        while not self._loader.stopped.is_set():
            self._wake.clear()
            try:
                prepare()
                self._poll()
            except Exception as error:
                # Whatever a file system came up with: the versions that are served must not
                # be the last ones for ever.
                self._tell(f"looking for versions failed: {error!r}; trying again")
            self._wake.wait(self._poll_seconds)

    def _tell(self, words: str) -> None:
        # A listener may raise anything (its terminal is gone); no version waits for that.
        with contextlib.suppress(Exception):
            self._on_event(words)

    def _poll(self) -> None:
        with self._lock:
            models = [model for model in self._models.values() if not model.is_removed]
        for model in models:
            if self._loader.stopped.is_set():
                return
            self._loader.poll(model)
            self._loader.free_retired()
        self._loader.free_retired()


def _without_path(words: str, base_path: pathlib.Path, name: str) -> str:
    """Others need not know where the files of this machine are."""
    return words.replace(str(base_path), name)
