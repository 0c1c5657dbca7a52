"""Writer of a model's evaluation into its graph, when it is pushed.

The accuracy on test is known only after the export. So the signature `describe` has an empty
constant, and a push replaces it in saved_model.pb. No weights, no other operations, and none of the
predicting signatures change.

A text file in `assets/` that the graph reads would be the usual way, but is none here: a served
model's graph must not read files (serving/model/model_files.py refuses to load one), and it would
fail as soon as a prune deletes the files of a version that a server still serves.
"""

from __future__ import annotations

import os

from components.artifacts import files as artifact_files
from components.common.model_contract import EVALUATION_NODE, SAVED_MODEL


def write_evaluation(saved_model: str, text: str) -> bool:
    """Let a model tell its evaluation; return False if an earlier version exported it.

    Args:
      saved_model: folder of the SavedModel, which changes; a path or a URI.
      text: as ModelEvaluation.to_text returns it.

    Raises:
      DecodeError: `saved_model.pb` is no SavedModel.
    """
    from tensorflow.core.protobuf import saved_model_pb2  # imports TensorFlow: seconds

    path = os.path.join(saved_model, SAVED_MODEL)
    saved = saved_model_pb2.SavedModel.FromString(artifact_files.read_bytes(path))
    constants = [
        node
        for meta_graph in saved.meta_graphs
        for function in meta_graph.graph_def.library.function
        for node in function.node_def
        if node.op == "Const" and node.name == EVALUATION_NODE
    ]
    if len(constants) != 1:
        return False
    constants[0].attr["value"].tensor.string_val[:] = [text.encode()]
    artifact_files.write_bytes(path, saved.SerializeToString(deterministic=True))
    return True
