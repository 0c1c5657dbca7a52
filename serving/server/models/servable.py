"""One loaded version of a model: what a server runs requests on."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from components.common.model_contract import SAVED_MODEL, WARMUP_FILE
from serving.model import model_files
from serving.model.model_files import ModelFolderError
from serving.server.config.errors import ServingError, deadline_exceeded, unavailable
from serving.server.config.settings import Batching, Limits
from serving.server.models import checking, failures
from serving.server.models.batching import Arrays, Batcher, Outputs
from serving.server.models.warmup import read_warmup


class Servable:
    """A version that answers requests, from any number of threads.

    Attributes:
      name: of the model.
      version: its number.
      path: the SavedModel's folder.
      signatures: name to SignatureDef, as the SavedModel has them.
    """

    def __init__(
        self,
        name: str,
        version: int,
        path: pathlib.Path,
        *,
        batching: Batching | None = None,
        limits: Limits | None = None,
        on_batch: Callable[[str, int], None] | None = None,
    ) -> None:
        """Checks the files, loads the model and answers its warm-up requests. Takes seconds.

        Args:
          name, version, path: see the attributes.
          batching: how requests are joined; None runs each alone.
          limits: what one request may ask for.
          on_batch: told the model's name and the rows of each run of joined requests.

        Raises:
          ModelFolderError: not a model, unsafe, damaged, or its warm-up requests fail.
        """
        self.name, self.version, self.path = name, version, path
        self._limits = limits or Limits()
        model_files.read_assets(path)
        model_files.check_graph(path)
        self.signatures: Mapping[str, Any] = _signatures(path)
        self._model = _load(path)
        self._functions: dict[str, Any] = dict(self._model.signatures)
        self._on_batch = on_batch
        self._batcher = Batcher(self._run_joined, batching) if batching else None
        self._batched = {
            key
            for key, definition in self.signatures.items()
            if checking.can_be_batched(definition)
        }
        self._warm_up()

    def predict(
        self,
        signature: str,
        inputs: Arrays,
        output_filter: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Answers one request.

        Args:
          signature: its name; "" is serving_default.
          inputs: name to array; strings are bytes in object arrays.
          output_filter: which outputs are wanted; none means all.
          timeout_s: how long the caller waits. A run that has begun is not broken off.

        Returns:
          Name to array, in the signature's order or that of `output_filter`.

        Raises:
          ServingError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for
            inputs that do not fit or that the model refuses, UNAVAILABLE for a full queue,
            DEADLINE_EXCEEDED, or what TensorFlow failed with.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        key = checking.signature_key(signature, self.signatures)
        definition = self.signatures[key]
        checking.check_inputs(definition, inputs, self._limits)
        checking.check_filter(definition, output_filter)
        if self._batcher is not None and key in self._batched:
            outputs = self._batcher.predict(key, inputs, until)
        else:
            if until is not None and time.monotonic() >= until:
                raise deadline_exceeded("the deadline passed before the request was run")
            outputs = self._run(key, inputs)
        return {name: outputs[name] for name in output_filter or outputs}

    def close(self) -> None:
        """Lets the model go; whoever asks later gets UNAVAILABLE. Python frees the memory once
        it collects garbage: TensorFlow's objects refer to each other."""
        self._functions = {}
        self._model = None

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._batcher.waiting if self._batcher else 0

    def _run_joined(self, key: str, inputs: Arrays) -> Outputs:
        if self._on_batch is not None:
            self._on_batch(self.name, max(len(values) for values in inputs.values()))
        return self._run(key, inputs)

    def _run(self, key: str, inputs: Arrays) -> Outputs:
        import tensorflow as tf  # seconds to import

        function = self._functions.get(key)
        if function is None:
            raise unavailable(f"version {self.version} of model {self.name} was unloaded")
        try:
            given = {name: tf.constant(values) for name, values in inputs.items()}
            return {name: value.numpy() for name, value in function(**given).items()}
        except tf.errors.OpError as error:
            raise failures.to_serving_error(error.error_code, error.message) from error
        except UnicodeDecodeError as error:
            # A message that quotes bytes of the request: TensorFlow cannot make its own error.
            text = error.object.decode("utf-8", "replace")
            raise failures.to_serving_error(tf.errors.INVALID_ARGUMENT, text) from error

    def _warm_up(self) -> None:
        """Raises ModelFolderError, as TensorFlow Serving then loads no such version either."""
        for number, (signature, inputs) in enumerate(read_warmup(self.path)):
            try:
                key = checking.signature_key(signature, self.signatures)
                # The model's own requests are not held against the limits for those of others.
                checking.check_inputs(self.signatures[key], inputs, Limits())
                self._run(key, inputs)
            except ServingError as error:
                raise ModelFolderError(
                    f"{self.path / WARMUP_FILE}: request {number + 1} fails: {error.message}; "
                    "export the model again, or remove the file"
                ) from error


def _signatures(path: pathlib.Path) -> dict[str, Any]:
    from tensorflow.core.protobuf import saved_model_pb2  # TensorFlow takes seconds

    saved = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
    return dict(saved.meta_graphs[0].signature_def)


def _load(path: pathlib.Path) -> Any:
    import tensorflow as tf  # seconds to import

    # What TensorFlow raises for a damaged file depends on where in it the damage is.
    damage = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
    try:
        return tf.saved_model.load(str(path))
    except (tf.errors.OpError, AssertionError, MemoryError, *damage) as error:
        message = failures.sentence(str(error)) or type(error).__name__
        raise ModelFolderError(
            f"{path}: cannot be loaded ({message}); copy the model again"
        ) from error
