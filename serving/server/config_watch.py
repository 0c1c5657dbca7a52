"""Watch of the --model-config-file, whose changes are taken over while requests are answered.

`genreflow models label` writes such a file. As in TensorFlow Serving, a label moves to a version
only once that is served; until then the old version stays, and keeps the label.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence

from serving.server.config.model_list import read_config_file
from serving.server.config.options import OptionError
from serving.server.config.settings import ModelConfig
from serving.server.errors import ServingError


class ConfigWatch:
    """Thread that reads the file again and again, and replaces the models when it changes."""

    def __init__(
        self,
        path: str,
        models: Sequence[ModelConfig],
        *,
        poll_seconds: float,
        reload: Callable[[Sequence[ModelConfig]], None],
        served: Callable[[], Mapping[str, Sequence[int]]],
        on_event: Callable[[str], None],
    ) -> None:
        """Make the watch; it reads nothing before `start`.

        Args:
          path: the file.
          models: its models at the server's start.
          poll_seconds: seconds between two looks.
          reload: replaces the models, and waits for them. Raises ServingError.
          served: returns the versions that take requests, by the model's name.
          on_event: called with a line of text for each change and each new problem.
        """
        self._path, self._poll_seconds = path, poll_seconds
        self._reload, self._served, self._on_event = reload, served, on_event
        self._wanted = self._applied = list(models)
        self._problem = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="serving-config", daemon=True)

    def start(self) -> None:
        """Start to look at the file."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a reload that has begun is not waited for."""
        self._stopped.set()

    def look(self) -> None:
        """Read the file once, and take over what can be."""
        try:
            found = read_config_file(self._path)
            if found != self._wanted:
                self._wanted = found
                self._on_event(f"{self._path} changed")
            step = next_step(self._wanted, self._applied, self._served())
            if step != self._applied:
                self._reload(step)
                self._applied = step
        except (OptionError, ServingError) as error:
            problem = error.message if isinstance(error, ServingError) else str(error)
            if problem != self._problem:
                self._on_event(f"{self._path}: not taken over: {problem}")
            self._problem = problem
            return
        self._problem = ""

    def _work(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            self.look()


def next_step(
    wanted: Sequence[ModelConfig],
    applied: Sequence[ModelConfig],
    served: Mapping[str, Sequence[int]],
) -> list[ModelConfig]:
    """Return the models to take over now, on the way to those that are wanted.

    Args:
      wanted: the models of the file.
      applied: the models that were taken over last.
      served: the versions that take requests, by the model's name.
    """
    before = {model.name: model.labels for model in applied}
    steps = []
    for model in wanted:
        here, old = set(served.get(model.name, ())), before.get(model.name, {})
        labels = {name: number for name, number in model.labels.items() if number in here}
        waiting = {
            name: old[name] for name in model.labels if name not in labels and old.get(name) in here
        }
        policy = model.policy
        if waiting and policy.kind == "specific":
            versions = tuple(sorted({*policy.versions, *waiting.values()}))
            policy = dataclasses.replace(policy, versions=versions)
        steps.append(dataclasses.replace(model, policy=policy, labels={**waiting, **labels}))
    return steps
