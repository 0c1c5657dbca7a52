"""Models of a server, whose versions are loaded and unloaded while requests are answered.

One thread polls the folders, loads and unloads (`loader.py`). A request leases a version, which
stays loaded until the request is done.
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
from serving.server.config.model_list import validate
from serving.server.config.settings import Batching, Limits, ModelConfig
from serving.server.errors import ServingError, failed_precondition, invalid, not_found
from serving.server.models.loader import Loader, listed, prepare
from serving.server.models.model_state import (
    LoadedVersion,
    ModelRecord,
    VersionStatus,
)
from serving.server.models.servable import Servable

# How long a reload request may wait for its models.
RELOAD_TIMEOUT_S = 600.0
# Removed models whose last states are still reported.
MAX_REMOVED_MODELS = 64


def _ignore(_: str) -> None:
    """Discard an event."""


class ModelManager:
    """Manager of a server's models and their versions. Thread-safe."""

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
        """Make the manager. Nothing is read or loaded before `start`.

        Args:
          configs: the models.
          batching: how requests to one version are batched; None runs each alone.
          limits: limits on one request.
          poll_seconds: seconds between two polls of the folders.
          on_event: called with a line of text for each event, from the manager's own thread.
          on_batch: called with the model's name and the number of rows of each batch, from any
            thread.

        Raises:
          ServingError: INVALID_ARGUMENT if a name is invalid or is used twice.
        """
        validate(configs)
        self._poll_seconds, self._on_event = poll_seconds, on_event
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        make = functools.partial(Servable, batching=batching, limits=limits, on_batch=on_batch)
        self._loader = Loader(self._changed, make, self._report)
        self._reloading = threading.Lock()
        self._models = {config.name: ModelRecord(config) for config in configs}
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="serving-models", daemon=True)

    def start(self) -> None:
        """Start to poll the folders and to load versions."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and unload every version.

        Waits for a version that is being loaded. Versions in use are freed when their requests
        are done.
        """
        self._loader.stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for model in self._models.values():
                self._loader.retire(model, model.served())
        self._loader.free_retired()

    def wait_until_available(self, timeout_s: float) -> None:
        """Wait until each model has a version that takes requests.

        Raises:
          ModelFolderError: a model has no version, none can be loaded, a label names a version
            that is not served, or it took longer than `timeout_s`.
        """
        problems = self._await(tuple(self.models()), timeout_s)
        if problems:
            raise ModelFolderError(
                "\n".join(f"model {name}: {problem}" for name, problem in problems.items())
            )
        with self._lock:
            for model in self._models.values():
                for label, number in model.config.labels.items():
                    if number not in model.served():
                        raise ModelFolderError(
                            f"model {model.config.name}: the label {label} names version "
                            f"{number}, which is not served; versions served: "
                            f"{listed(model.served())}"
                        )

    def models(self) -> tuple[str, ...]:
        """Return the names of the configured models, in their order."""
        with self._lock:
            return tuple(name for name, model in self._models.items() if not model.is_removed)

    def served(self) -> dict[str, list[int]]:
        """Return the versions that take requests, in ascending order, by the model's name."""
        with self._lock:
            return {name: model.served() for name, model in self._models.items()}

    def waiting(self) -> int:
        """Return the number of requests, to all versions together, that wait for a batch."""
        with self._lock:
            return sum(
                record.loaded.servable.waiting
                for model in self._models.values()
                for record in model.versions.values()
                if record.loaded is not None
            )

    @contextlib.contextmanager
    def lease(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Servable]:
        """Lease a version: it stays loaded until the end of the `with` block.

        Args:
          name: the model's name.
          version: the version's number; None for the highest that is served.
          label: a label instead of a number.

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
        """Return the status of one version, or of all known versions, the highest first.

        Raises:
          ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        with self._lock:
            if label is not None:
                version = self._labelled(name, label)
            model = self._models.get(name)
            records = model.versions if model else {}
            if version is not None:
                if version not in records:
                    raise not_found(f"Could not find version {version} of model {name}")
                numbers = [version]
            else:
                numbers = sorted(records, reverse=True)
            if model is None or not numbers:
                raise not_found(f"Could not find any versions of model {name}")
            found = [records[number].status() for number in numbers]
            base_path = model.config.base_path
        return [
            dataclasses.replace(one, message=_without_path(one.message, base_path, name))
            for one in found
        ]

    def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Replace the models, and wait until new and changed ones are available.

        Models that are not listed any more are unloaded.

        Raises:
          ServingError: INVALID_ARGUMENT for a bad list, or FAILED_PRECONDITION for a label of a
            version that is not available; nothing has changed then. UNKNOWN, as in TensorFlow
            Serving, if the models were replaced and one did not become available.
        """
        validate(configs)
        with self._reloading:
            with self._lock:
                self._check_labels(configs)
                changed = self._replace(configs)
            self._wake.set()
            problems = self._await(changed, RELOAD_TIMEOUT_S)
        if problems:
            paths = {config.name: config.base_path for config in configs}
            listing = ", ".join(
                f"{{{name}: {_without_path(problem, paths[name], name)}}}"
                for name, problem in problems.items()
            )
            raise ServingError(
                grpc.StatusCode.UNKNOWN,
                f"{len(problems)} model(s) did not become available: {{{listing}}}",
            )

    # Requests

    def _find(self, name: str, version: int | None, label: str | None) -> LoadedVersion:
        if label is not None:
            version = self._labelled(name, label)
        model = self._models.get(name)
        if version is None:
            served = model.served() if model else []
            if model is None or not served:
                raise not_found(f"Servable not found for request: Latest({name})")
            version = served[-1]
        record = model.versions.get(version) if model else None
        if record is None or record.loaded is None:
            raise not_found(f"Servable not found for request: Specific({name}, {version})")
        return record.loaded

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
        """Replace the models; return the names of those whose versions may change."""
        changed = []
        before = self._models
        self._models = {}
        for config in configs:
            model = before.pop(config.name, None) or ModelRecord(config)
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
        self._models |= dict(list(before.items())[-MAX_REMOVED_MODELS:])
        return tuple(changed)

    def _await(self, names: Sequence[str], timeout_s: float) -> Mapping[str, str]:
        """Wait until models are available; return the problems of those that are not."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                models = [self._models[name] for name in names if name in self._models]
                waiting = [m for m in models if not (m.polls and m.is_served())]
                failures = {m.config.name: m.failure() for m in waiting}
                left_s = deadline - time.monotonic()
                if not waiting or any(failures.values()):
                    return {name: problem for name, problem in failures.items() if problem}
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
                # A file system may raise anything; the thread must go on, or no new version
                # would ever be served.
                self._report(f"the check for new versions failed: {error!r}; it is retried")
            self._wake.wait(self._poll_seconds)

    def _report(self, event: str) -> None:
        # The listener may raise anything, such as when its terminal is gone; that must not
        # disturb loading.
        with contextlib.suppress(Exception):
            self._on_event(event)

    def _poll(self) -> None:
        with self._lock:
            models = [model for model in self._models.values() if not model.is_removed]
        for model in models:
            if self._loader.stopped.is_set():
                return
            self._loader.poll(model)
            self._loader.free_retired()
        self._loader.free_retired()


def _without_path(message: str, base_path: pathlib.Path, name: str) -> str:
    """Return a message with the model's name in place of its path, which clients need not know."""
    return message.replace(str(base_path), name)
