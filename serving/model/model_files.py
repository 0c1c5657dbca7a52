"""Files of an exported model: versions, assets, and a check that the model is safe to load.

Everything here happens before TensorFlow loads the model. A SavedModel is a program whose graph
can read and write files. So the operations that may run are listed, and others are refused.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.common.model_contract import (
    ASSETS_FOLDER,
    AUDIO_PARAMS_JSON,
    GENRES_JSON,
    MODEL_CARD_JSON,
    MODEL_NAME,
    SAVED_MODEL,
)
from components.common.version_files import PUSH_FOLDER, VARIABLES_INDEX, VERSION_NAME

if TYPE_CHECKING:
    from components.audio.params import AudioParams

# Folders of a model's versions, below a work folder and below the folder of the pushed models.
_MODEL_FOLDERS = (f"{PUSH_FOLDER}/{MODEL_NAME}", MODEL_NAME)
# Far above the sizes that are written (about 1 MB of graph, kilobytes of assets), and small
# enough that a wrong file cannot exhaust memory.
MAX_GRAPH_BYTES = 256 << 20
MAX_ASSET_BYTES = 1 << 20

# Operations of the front end, the networks and Keras's common layers (forward passes only).
# None of these reads a file, opens a connection, runs Python or loads code.
_COMPUTING = """
    Abs AddN AddV2 All Any ArgMax AsString Assert AssignVariableOp AvgPool AvgPool3D BatchMatMulV2
    BatchToSpaceND BiasAdd BroadcastArgs BroadcastTo Cast Ceil ClipByValue ComplexAbs ConcatV2 Const
    Conv2D Conv2DBackpropInput Cumsum DecodeRaw DecodeWav DepthwiseConv2dNative DisableCopyOnRead
    Einsum Elu EnsureShape Equal Erf Exp ExpandDims Expm1 Fill Floor FloorDiv FloorMod
    FusedBatchNormV3 GatherNd GatherV2 Greater GreaterEqual Identity IdentityN If Imag IsFinite
    IsNan LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max
    MaxPool MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mul Neg NoOp NotEqual OneHot OnesLike Pack
    Pad PadV2 ParseExampleV2 PartitionedCall Placeholder Pow Prod RFFT Range Rank ReadVariableOp
    Real RealDiv Reciprocal Relu Relu6 Reshape ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ReverseV2 Round Rsqrt ScaleAndTranslate ScatterNd Select SelectV2 Selu Shape Sigmoid Sign Size
    Slice Softmax Softplus Softsign SpaceToBatchND Split SplitV Sqrt Square SquaredDifference
    Squeeze StatefulPartitionedCall StatelessIf StatelessWhile StaticRegexFullMatch StopGradient
    StridedSlice StringJoin StringLength Sub Substr Sum Tanh TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGetItem TensorListLength TensorListReserve
    TensorListSetItem TensorListStack Tile TopKV2 Transpose Unpack VarHandleOp VarIsInitializedOp
    Where While Xlogy ZerosLike
"""
COMPUTING_OPERATIONS = frozenset(_COMPUTING.split())
# Operations that write and read checkpoints. Every SavedModel has them, in two functions that
# only its saver calls; anywhere else they are refused.
SAVER_OPERATIONS = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
# Python objects that loading restores. Others name classes registered by imported libraries.
OBJECT_KINDS = frozenset({"_generic_user_object", "signature_map", "trackable_list_wrapper"})


class ModelFolderError(ValueError):
    """Error for a folder that holds no usable model; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class ModelAssets:
    """Content of a model's assets.

    Attributes:
      genres: the genres in label order.
      params: the audio parameters.
      params_digest: their hash, as the file states it.
      model_card: JSON values.
    """

    genres: tuple[str, ...]
    params: AudioParams
    params_digest: str
    model_card: Mapping[str, Any]


def follow_links(path: pathlib.Path) -> pathlib.Path:
    """Return a path with its links followed, as far as its parts exist.

    `Path.resolve` raises a RuntimeError for links in a circle until Python 3.12, and leaves them
    in the path from 3.13 on.

    Raises:
      OSError: ELOOP, links lead in a circle.
      ValueError: the path holds a NUL.
    """
    followed = pathlib.Path(os.path.realpath(path))
    try:
        followed.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return followed


def resolve_version(model_dir: str | pathlib.Path) -> pathlib.Path:
    """Return the SavedModel's folder: `model_dir` itself, or its highest complete version.

    Args:
      model_dir: one version (it holds saved_model.pb), or a folder of versions named by
        numbers. Versions that are still being copied are skipped.

    Raises:
      ModelFolderError: the folder does not exist, has no complete version, or holds a symbolic
        link that leads out of it.
    """
    given = pathlib.Path(model_dir)
    if not given.is_dir():
        raise ModelFolderError(
            f"{given}: {'not a folder' if given.exists() else 'no such folder'}; give the folder "
            "of a model's versions, or one version (a run whose candidate is refused pushes none)"
        )
    root = given.resolve()
    if (root / SAVED_MODEL).is_file() or (root / "variables").is_dir():
        missing = _missing(root)
        if missing:
            raise ModelFolderError(
                f"{given}: incomplete model: {missing} is missing; copy the model again"
            )
        _refuse_links_out(root, root, given)
        return root
    names = _version_names(root)
    if not names:
        below = [name for name in _MODEL_FOLDERS if _version_names(root / name)]
        remedy = f"; give the folder of its versions, {given / below[0]}" if below else ""
        raise ModelFolderError(
            f"{given}: contains no model: neither {SAVED_MODEL} nor a version folder such as 1/"
            f"{remedy}"
        )
    for name in sorted(names, key=lambda name: (int(name), name), reverse=True):
        if _missing(root / name) is None:
            _refuse_links_out(root / name, root, given)
            return (root / name).resolve()
    verb = "is" if len(names) == 1 else "are"
    raise ModelFolderError(
        f"{given}: no complete version: {', '.join(sorted(names))} {verb} incomplete or empty "
        f"({SAVED_MODEL} or {VARIABLES_INDEX} is missing); wait until it is copied, or copy it "
        "again"
    )


def _version_names(folder: pathlib.Path) -> list[str]:
    """Return the names of the version folders in a folder; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return [
        entry.name
        for entry in folder.iterdir()
        if VERSION_NAME.fullmatch(entry.name) and entry.is_dir()
    ]


def read_assets(version: pathlib.Path) -> ModelAssets:
    """Read and check genres.json, audio_params.json and model_card.json.

    Raises:
      ModelFolderError: a file is missing, too large, not JSON, or has invalid content.
    """
    genres = _read_json(version, GENRES_JSON)
    are_names = isinstance(genres, list) and all(isinstance(name, str) and name for name in genres)
    if not are_names or not genres or len(set(genres)) != len(genres):
        raise _bad_asset(version, GENRES_JSON, "must be a list of distinct names")
    audio = _read_json(version, AUDIO_PARAMS_JSON)
    if not isinstance(audio, dict) or not isinstance(audio.get("digest"), str):
        raise _bad_asset(version, AUDIO_PARAMS_JSON, "must be an object with digest and params")
    card = _read_json(version, MODEL_CARD_JSON)
    if not isinstance(card, dict):
        raise _bad_asset(version, MODEL_CARD_JSON, "must be an object")
    params = _audio_params(version, audio.get("params"))
    return ModelAssets(tuple(genres), params, audio["digest"], card)


def check_graph(version: pathlib.Path) -> None:
    """Check, without loading a SavedModel, that it can only compute.

    Raises:
      ModelFolderError: `saved_model.pb` is not a SavedModel, or its graph has an operation or
        object that is not on this module's lists.
    """
    from google.protobuf.message import DecodeError

    from serving.protocol.protos import saved_model_pb2  # a tenth of a second

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(_read_limited(version / SAVED_MODEL, MAX_GRAPH_BYTES))
    except DecodeError as error:
        raise ModelFolderError(
            f"{version / SAVED_MODEL}: not a SavedModel; copy it again"
        ) from error
    if not saved.meta_graphs:
        raise ModelFolderError(f"{version / SAVED_MODEL}: contains no graph; copy it again")
    for meta_graph in saved.meta_graphs:
        refused = sorted(set(_refused(meta_graph)))
        if refused:
            raise ModelFolderError(
                f"{version / SAVED_MODEL}: refused, because its graph has {', '.join(refused)}, "
                "which no genreflow model uses: loading it could access files or run code"
            )


def _refused(meta_graph: Any) -> Iterator[str]:
    """Yield the parts of `meta_graph` that are not allowed."""
    graph, saver = meta_graph.graph_def, meta_graph.saver_def
    saver_nodes = {saver.save_tensor_name.split(":")[0], saver.restore_op_name}
    saver_functions = {
        name
        for node in graph.node
        if node.name in saver_nodes and node.op in {"PartitionedCall", "StatefulPartitionedCall"}
        for name in _functions_named_by(node)
    }
    callers = [("", node) for node in graph.node if node.name not in saver_nodes]
    for function in graph.library.function:
        callers.extend((function.signature.name, node) for node in function.node_def)
    for inside, node in callers:
        if saver_functions.intersection([node.op, *_functions_named_by(node)]):
            yield "a call to its own checkpoint writer or reader"
        if node.op in COMPUTING_OPERATIONS:
            continue
        if not (node.op in SAVER_OPERATIONS and inside in saver_functions):
            yield f"the operation {node.op!r}"
    if saver_functions.intersection(meta_graph.object_graph_def.concrete_functions):
        yield "a signature that is its own checkpoint writer or reader"
    for node in meta_graph.object_graph_def.nodes:
        if node.WhichOneof("kind") == "user_object":
            identifier = node.user_object.identifier
            if identifier not in OBJECT_KINDS:
                yield f"the object {identifier!r}"


def _functions_named_by(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name


def _missing(version: pathlib.Path) -> str | None:
    """Return the first file that a SavedModel needs and this one lacks, or None."""
    for name in (SAVED_MODEL, VARIABLES_INDEX):
        if not (version / name).is_file():
            return name
    return None


def _refuse_links_out(version: pathlib.Path, root: pathlib.Path, given: pathlib.Path) -> None:
    for path in [version, *sorted(version.rglob("*"))]:
        if not path.is_symlink():
            continue
        try:
            leads = None if follow_links(path).is_relative_to(root) else "out of the folder"
        except OSError:  # links in a circle
            leads = "to itself"
        if leads:
            raise ModelFolderError(
                f"{given}: {path.relative_to(root)} is a link that leads {leads}; "
                "replace it with the files themselves"
            )


def _read_limited(path: pathlib.Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelFolderError(f"{path}: {error.strerror}; copy the model again") from error
    if len(content) > max_bytes:
        raise ModelFolderError(f"{path}: larger than {max_bytes} bytes; copy the model again")
    return content


def _read_json(version: pathlib.Path, name: str) -> Any:
    text = _read_limited(version / ASSETS_FOLDER / name, MAX_ASSET_BYTES)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad_asset(version, name, f"not JSON ({error})") from error


def _audio_params(version: pathlib.Path, values: object) -> AudioParams:
    from serving.model.audio_params import checked_params

    try:
        return checked_params(values)
    except ValueError as error:
        raise _bad_asset(version, AUDIO_PARAMS_JSON, str(error)) from error


def _bad_asset(version: pathlib.Path, name: str, why: str) -> ModelFolderError:
    return ModelFolderError(f"{version / ASSETS_FOLDER / name}: {why}; export the model again")
