"""Tests of TensorFlow Serving's protos without TensorFlow, in separate processes."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_protos_start_no_tensorflow() -> None:
    program = (
        "import sys; from serving.protocol import protos, tensors; "
        "print('tensorflow' in sys.modules, 'keras' in sys.modules, 'numpy' in sys.modules)"
    )
    assert python(program) == "False False True"


@pytest.mark.parametrize("first", ["protos", "tensorflow"])
def test_tensorflow_is_whole_whichever_came_first(first: str) -> None:
    imports = ["from serving.protocol import protos, tensors", "import tensorflow as tf"]
    if first == "tensorflow":
        imports.reverse()
    program = "\n".join(
        [
            *imports,
            "request = protos.predict_pb2.PredictRequest()",
            "request.inputs['x'].CopyFrom(tf.make_tensor_proto([[1.5, 2.5]]))",
            "from tensorflow.core.framework import tensor_pb2",
            "assert tensor_pb2 is protos.tensor_pb2",
            "print(tensors.to_array(request.inputs['x']).tolist(), tf.add(1, 2).numpy())",
        ]
    )
    assert python(program) == "[[1.5, 2.5]] 3"
