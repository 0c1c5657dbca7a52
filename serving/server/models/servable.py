"""One loaded version of a model, which runs requests."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from components.common.model_contract import SAVED_MODEL, WARMUP_FILE
from serving.model import model_files
from serving.model.model_files import ModelFolderError
from serving.server.config.settings import Batching, Limits
from serving.server.errors import ServingError, deadline_exceeded, unavailable
from serving.server.models import checking, failures
from serving.server.models.batching import Arrays, Batcher, Outputs
from serving.server.models.warmup import read_warmup


class Servable:
    """A loaded version of a model. Thread-safe.

    Attributes:
      name: the model's name.
      version: the version's number.
      path: the SavedModel's folder.
      genres: its genres in label order.
      signatures: SignatureDef by name, from the SavedModel.
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
        """Check the files, load the model and run its warm-up requests. Takes seconds.

        Args:
          name, version, path: see the attributes.
          batching: how requests are batched; None runs each alone.
          limits: limits on one request.
          on_batch: called with the model's name and the number of rows of each batch.

        Raises:
          ModelFolderError: the folder holds no model, or one that is unsafe or damaged, or the
            warm-up requests fail.
        """
        self.name, self.version, self.path = name, version, path
        self._limits = limits or Limits()
        self.genres = model_files.read_assets(path).genres
        model_files.check_graph(path)
        self.signatures: Mapping[str, Any] = _signatures(path)
        self._model = _load(path)
        self._functions: dict[str, Any] = dict(self._model.signatures)
        self._on_batch = on_batch
        self._batcher = Batcher(self._run_batch, batching) if batching else None
        self._batchable = {
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
        """Run one request.

        Args:
          signature: the signature's name; "" is serving_default.
          inputs: array by name; strings are bytes in object arrays.
          output_filter: names of the outputs to return; empty for all.
          timeout_s: how long the caller waits. A run that has begun is not cut off.

        Returns:
          Array by name, in the order of the signature or of `output_filter`.

        Raises:
          ServingError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for
            inputs that do not fit or that the model rejects, UNAVAILABLE for a full queue,
            DEADLINE_EXCEEDED, or the code of TensorFlow's error.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        key = checking.signature_key(signature, self.signatures)
        definition = self.signatures[key]
        checking.check_inputs(definition, inputs, self._limits)
        checking.check_filter(definition, output_filter)
        if self._batcher is not None and key in self._batchable:
            outputs = self._batcher.predict(key, inputs, deadline)
        else:
            if deadline is not None and time.monotonic() >= deadline:
                raise deadline_exceeded("the deadline passed before the request ran")
            outputs = self._run(key, inputs)
        return {name: outputs[name] for name in output_filter or outputs}

    def close(self) -> None:
        """Release the model; later requests get UNAVAILABLE.

        The memory is freed by the next garbage collection, as TensorFlow's objects refer to
        each other.
        """
        self._functions = {}
        self._model = None

    @property
    def waiting(self) -> int:
        """Return the number of queued requests."""
        return self._batcher.waiting if self._batcher else 0

    def _run_batch(self, key: str, inputs: Arrays) -> Outputs:
        if self._on_batch is not None:
            self._on_batch(self.name, max(len(values) for values in inputs.values()))
        return self._run(key, inputs)

    def _run(self, key: str, inputs: Arrays) -> Outputs:
        import tensorflow as tf  # seconds to import

        function = self._functions.get(key)
        if function is None:
            raise unavailable(f"version {self.version} of model {self.name} was unloaded")
        try:
            tensors = {name: tf.constant(values) for name, values in inputs.items()}
            return {name: value.numpy() for name, value in function(**tensors).items()}
        except tf.errors.OpError as error:
            raise failures.to_serving_error(error.error_code, error.message) from error
        except UnicodeDecodeError as error:
            # The message quotes bytes of the request that are not UTF-8.
            text = error.object.decode("utf-8", "replace")
            raise failures.to_serving_error(tf.errors.INVALID_ARGUMENT, text) from error

    def _warm_up(self) -> None:
        """Run the warm-up requests.

        Raises:
          ModelFolderError: a request fails. TensorFlow Serving does not load such a version.
        """
        for number, (signature, inputs) in enumerate(read_warmup(self.path)):
            try:
                key = checking.signature_key(signature, self.signatures)
                # The limits for clients do not apply to the model's own requests.
                checking.check_inputs(self.signatures[key], inputs, Limits())
                self._run(key, inputs)
            except ServingError as error:
                raise ModelFolderError(
                    f"{self.path / WARMUP_FILE}: warm-up request {number + 1} fails: "
                    f"{error.message}; export the model again, or remove the file"
                ) from error


def _signatures(path: pathlib.Path) -> dict[str, Any]:
    from tensorflow.core.protobuf import saved_model_pb2  # seconds to import

    saved = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
    return dict(saved.meta_graphs[0].signature_def)


def _load(path: pathlib.Path) -> Any:
    import tensorflow as tf  # seconds to import

    # The exception depends on where in the file the damage is.
    damage = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
    try:
        return tf.saved_model.load(str(path))
    except (tf.errors.OpError, AssertionError, MemoryError, *damage) as error:
        message = failures.sentence(str(error)) or type(error).__name__
        raise ModelFolderError(
            f"{path}: cannot be loaded ({message}); copy the model again"
        ) from error
