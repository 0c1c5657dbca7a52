"""One server process for all of these tests, and what its model answers in this process."""

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

# TensorFlow Serving itself is asked the same wherever its program is on PATH.
ENGINES = [process.OURS] + [process.REAL] * bool(shutil.which(process.REAL_PROGRAM))


@pytest.fixture(scope="session", params=ENGINES)
def served(
    request: pytest.FixtureRequest,
    toy_models: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Model `genreflow`: versions 1 and 2, labels stable and canary. Model `swapped`: 1."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(toy_models, root / process.MODEL)
    shutil.copytree(toy_models / "1", root / process.SWAPPED / "1")
    server = process.start(request.param, root, tmp_path_factory.mktemp("server"))
    yield server
    status = server.stop()
    assert status == 0 or not server.is_ours, server.log.read_text()[-3000:]


@pytest.fixture
def ours(served: Served) -> Iterator[Served]:
    """The same server where it is ours, for what only ours promises; afterwards it must still
    run, and have printed no traceback."""
    if not served.is_ours:
        pytest.skip("promised by our server alone")
    before = served.log.stat().st_size
    yield served
    assert served.process.poll() is None
    printed = served.log.read_bytes()[before:].decode(errors="replace")
    assert "Traceback" not in printed, printed[-3000:]


@pytest.fixture(scope="session")
def direct(toy_models: pathlib.Path) -> Direct:
    """`direct(version, signature, **inputs)`: the outputs, computed by TensorFlow alone."""
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
    """Two rows for each signature, as its inputs by name."""
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
