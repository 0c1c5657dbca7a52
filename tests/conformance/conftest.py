"""Server process for all conformance tests, and its model's outputs computed in this process."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from serving.protocol import protoset
from tests.conformance import served as process
from tests.conformance.served import Served

Direct = Callable[..., dict[str, npt.NDArray[Any]]]

# TensorFlow Serving itself is tested too if its program is on the PATH.
ENGINES = [process.OURS] + [process.REAL] * bool(shutil.which(process.REAL_PROGRAM))


@pytest.fixture(scope="session", params=ENGINES)
def served(
    request: pytest.FixtureRequest,
    toy_models: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Serve model `genreflow` (versions 1 and 2, labels stable and canary) and `swapped` (1)."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(toy_models, root / process.MODEL)
    shutil.copytree(toy_models / "1", root / process.SWAPPED / "1")
    server = process.start(request.param, root, tmp_path_factory.mktemp("server"))
    yield server
    status = server.stop()
    assert status == 0 or not server.is_ours, server.log.read_text()[-3000:]


@pytest.fixture
def ours(served: Served) -> Iterator[Served]:
    """Return the server if it is Genreflow's, for tests of what only that promises.

    Afterwards it must still run, and must have printed no traceback.
    """
    if not served.is_ours:
        pytest.skip("promised by our server alone")
    before = served.log.stat().st_size
    yield served
    assert served.process.poll() is None
    printed = served.log.read_bytes()[before:].decode(errors="replace")
    assert "Traceback" not in printed, printed[-3000:]


@pytest.fixture(scope="session")
def direct(toy_models: pathlib.Path) -> Direct:
    """Return `direct(version, signature, **inputs)`, which computes outputs by TensorFlow."""
    import tensorflow as tf

    models = {version: tf.saved_model.load(str(toy_models / str(version))) for version in (1, 2)}

    def ask(version: int, signature: str, **inputs: Any) -> dict[str, npt.NDArray[Any]]:
        function = models[version].signatures[signature or "serving_default"]
        tensors = {
            name: tf.constant(value.tolist() if value.dtype == object else value)
            for name, value in inputs.items()
        }
        return {name: value.numpy() for name, value in function(**tensors).items()}

    return ask


@pytest.fixture(scope="session")
def inputs() -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return two rows of inputs by name for each signature."""
    from components.export.warmup import warmup_inputs
    from tests.support.serving_toys import PARAMS, clips

    made = {name: dict(values) for name, values in warmup_inputs(PARAMS, 2).items()}
    made["serving_default"]["waveform"] = clips(2, seed=1)
    return {
        name: {alias: np.asarray(value) for alias, value in values.items()}
        for name, values in made.items()
    }


@pytest.fixture(scope="session")
def protoset_file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("protoset") / "tensorflow_serving.protoset"
    protoset.write(path)
    return path
