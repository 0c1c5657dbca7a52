"""Exported models need nothing but TensorFlow's core, so a stock TensorFlow Serving runs them.

A `tensorflow_model_server` is the C++ library with its kernels, without Python and plugins. The
wheel contains that library (libtensorflow_cc). Opened in a process without the Python package,
it lists its operations. Operations that this process has loaded do not count, nor does
py_function, whose kernel is Python's.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import kernel_def_pb2, op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from components.audio.params import AudioParams
from components.ensemble.export import export_average
from components.models import architectures, registry
from components.models.settings import ModelSettings
from components.trainer.export import export_saved_model
from serving.model import model_files
from serving.tensorflow_serving.engine import TENSORFLOW_VERSION
from tests.support import networks

# The smallest audio that every network takes; the graph has the same operations.
PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)
GENRES = ("Folk", "Jazz", "Rock")
AVERAGE = "ensemble_networks"
# Of the average: small networks, one of each kind of graph (plain, convolutional, recurrent).
MEMBERS = ("ffnn", "cnn_small", "crnn")

# Writes the registries of the bare library: two protos, each after a line with its length.
REGISTRIES = """
import ctypes, sys

class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p)]

folder = sys.argv[1]
ctypes.CDLL(folder + "/libtensorflow_framework.so.2", mode=ctypes.RTLD_GLOBAL)
library = ctypes.CDLL(folder + "/libtensorflow_cc.so.2")
library.TF_Version.restype = ctypes.c_char_p
library.TF_NewStatus.restype = ctypes.c_void_p
library.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
library.TF_GetAllRegisteredKernels.restype = ctypes.POINTER(Buffer)
library.TF_GetAllRegisteredKernels.argtypes = [ctypes.c_void_p]
sys.stdout.buffer.write(library.TF_Version() + b"\\n")
operations = library.TF_GetAllOpList()
kernels = library.TF_GetAllRegisteredKernels(library.TF_NewStatus())
for buffer in (operations[0], kernels[0]):
    content = ctypes.string_at(buffer.data, buffer.length)
    sys.stdout.buffer.write(b"%d\\n" % len(content) + content)
"""


@dataclasses.dataclass(frozen=True)
class Core:
    """TensorFlow's C++ library.

    Attributes:
      version: of TensorFlow.
      attributes: names of the attributes of each operation that has a kernel for CPUs.
      graph_version: version of the graphs that it writes.
      oldest_producer: oldest version of the graphs that it reads.
    """

    version: str
    attributes: dict[str, frozenset[str]]
    graph_version: int
    oldest_producer: int


@pytest.fixture(scope="module")
def core() -> Core:
    package = pathlib.Path(tf.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", REGISTRIES, str(package)], capture_output=True, check=True
    )
    version, rest = done.stdout.split(b"\n", 1)
    contents = []
    for _ in range(2):
        length, rest = rest.split(b"\n", 1)
        contents.append(rest[: int(length)])
        rest = rest[int(length) :]
    assert rest == b""
    operations = op_def_pb2.OpList.FromString(contents[0])
    kernels = kernel_def_pb2.KernelList.FromString(contents[1])
    runs = {kernel.op for kernel in kernels.kernel if kernel.device_type in ("CPU", "DEFAULT")}
    header = (package / "include/tensorflow/core/public/version.h").read_text("utf-8")
    return Core(
        version=version.decode(),
        attributes={
            operation.name: frozenset(attribute.name for attribute in operation.attr)
            for operation in operations.op
            if operation.name in runs
        },
        graph_version=_defined(header, "TF_GRAPH_DEF_VERSION"),
        oldest_producer=_defined(header, "TF_GRAPH_DEF_VERSION_MIN_PRODUCER"),
    )


def _defined(header: str, name: str) -> int:
    found = re.search(rf"^#define {name} (\d+)", header, re.MULTILINE)
    assert found, name
    return int(found[1])


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], pathlib.Path]]:
    """Return the SavedModel's folder by network, or AVERAGE; each is exported once."""
    root = tmp_path_factory.mktemp("operations")

    def exported(name: str) -> pathlib.Path:
        path = root / name
        if path.exists():
            return path
        if name == AVERAGE:
            members = {member: str(exported(member)) for member in MEMBERS}
            export_average(members, str(path), name=name, genres=GENRES, model_card={})
            return path
        params = networks.audio_of(name, PARAMS)
        network = registry.build(
            name,
            ModelSettings(image_size=networks.image_size_of(name)),
            n_mels=params.n_mels,
            frames=params.frames,
            genres=len(GENRES),
            seed=1,
        )
        export_saved_model(
            network.model,
            str(path),
            params=params,
            genres=GENRES,
            model_card={"parameters": network.parameters},
            seen={"train": [], "validation": []},
        )
        return path

    yield exported
    shutil.rmtree(root)  # hundreds of MB of weights


def read(path: pathlib.Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())


def nodes(meta_graph: Any) -> Iterator[Any]:
    """Yield every node of the graph and of all functions in its library."""
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def not_served(saved: Any, core: Core) -> list[str]:
    """Return the operations of a SavedModel that the bare library lacks, sorted."""
    found = set()
    for meta_graph in saved.meta_graphs:
        functions = {f.signature.name for f in meta_graph.graph_def.library.function}
        for node in nodes(meta_graph):
            known = core.attributes.get(node.op)
            if known is not None:
                # What starts with "_" is for whoever knows it; the rest has to be declared.
                unknown = {name for name in node.attr if not name.startswith("_")} - known
                found.update(f"{node.op}.{name}" for name in unknown)
            elif node.op not in functions:
                found.add(node.op)
        versions = meta_graph.graph_def.versions
        if versions.min_consumer > core.graph_version:
            found.add(f"a reader of version {versions.min_consumer}")
        if versions.producer < core.oldest_producer or not versions.producer:
            found.add(f"a reader of what version {versions.producer} wrote")
        if core.graph_version in versions.bad_consumers:
            found.add(f"another reader than {core.graph_version}")
    return sorted(found)


def operations(saved: Any) -> set[str]:
    return {node.op for meta_graph in saved.meta_graphs for node in nodes(meta_graph)}


def test_the_library_is_not_newer_than_the_line_that_serves(core: Core) -> None:
    major, minor = core.version.split(".")[:2]
    served_by = [int(number) for number in TENSORFLOW_VERSION.split(".")]
    assert [int(major)] == served_by[:1]
    assert [int(minor)] <= served_by[1:]
    assert len(core.attributes) > 1000
    # Their kernels are Python's: a server has only their names.
    assert not {"PyFunc", "EagerPyFunc", "PyFuncStateless"} & core.attributes.keys()
    assert not [name for name in core.attributes if ">" in name]  # of libraries beside it


@pytest.mark.parametrize("name", [*architectures.NETWORKS, AVERAGE])
def test_an_export_needs_nothing_that_the_stock_server_lacks(
    name: str, exports: Callable[[str], pathlib.Path], core: Core
) -> None:
    saved = read(exports(name))
    assert not_served(saved, core) == []
    assert operations(saved) > {"RFFT", "Substr", "ParseExampleV2", "StatefulPartitionedCall"}
    info = saved.meta_graphs[0].meta_info_def
    assert list(info.tags) == ["serve"]
    assert {operation.name for operation in info.stripped_op_list.op} <= core.attributes.keys()


@pytest.mark.parametrize("name", [*architectures.NETWORKS, AVERAGE])
def test_an_export_is_one_that_may_be_loaded(
    name: str, exports: Callable[[str], pathlib.Path]
) -> None:
    model_files.check_graph(exports(name))
    allowed = model_files.COMPUTING_OPERATIONS | model_files.SAVER_OPERATIONS
    assert operations(read(exports(name))) <= allowed


def test_what_may_be_loaded_is_what_a_server_can_run(core: Core) -> None:
    allowed = model_files.COMPUTING_OPERATIONS | model_files.SAVER_OPERATIONS
    assert sorted(allowed - core.attributes.keys()) == []


# The check itself finds foreign operations.


@pytest.fixture
def saved(exports: Callable[[str], pathlib.Path]) -> Any:
    return read(exports("ffnn"))


def test_an_operation_of_another_library_is_found_wherever_it_hides(saved: Any, core: Core) -> None:
    """An operation such as tensorflow_io's decoders would be found."""
    graph = saved.meta_graphs[0].graph_def
    graph.node.add(name="first", op="IO>AudioDecodeMP3")
    graph.library.function[-1].node_def.add(name="second", op="IO>AudioResample")
    saved.meta_graphs.add().graph_def.node.add(name="third", op="CaseFoldUTF8")
    saved.meta_graphs[-1].graph_def.versions.producer = core.graph_version
    assert not_served(saved, core) == ["CaseFoldUTF8", "IO>AudioDecodeMP3", "IO>AudioResample"]


def test_python_in_a_graph_is_found(tmp_path: pathlib.Path, core: Core) -> None:
    class Calling(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: tf.Tensor) -> tf.Tensor:
            return tf.py_function(lambda value: value, [x], tf.float32)

    module = Calling()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    assert not_served(read(tmp_path), core) == ["EagerPyFunc"]


def test_an_attribute_that_the_library_does_not_know_is_found(saved: Any, core: Core) -> None:
    node = saved.meta_graphs[0].graph_def.node[0]
    node.attr["newer"].i = 1
    node.attr["_private"].i = 1
    assert not_served(saved, core) == [f"{node.op}.newer"]


def test_graphs_of_other_versions_are_found(saved: Any, core: Core) -> None:
    versions = saved.meta_graphs[0].graph_def.versions
    assert versions.producer == core.graph_version
    versions.min_consumer = core.graph_version
    assert not_served(saved, core) == []
    versions.min_consumer = core.graph_version + 1
    versions.bad_consumers.append(core.graph_version)
    assert len(not_served(saved, core)) == 2


def test_a_call_of_a_function_by_its_name_is_no_operation_of_its_own(
    saved: Any, core: Core
) -> None:
    graph = saved.meta_graphs[0].graph_def
    graph.node.add(name="call", op=graph.library.function[0].signature.name)
    assert not_served(saved, core) == []
