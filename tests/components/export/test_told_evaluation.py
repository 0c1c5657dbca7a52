"""Tests of the evaluation in a model's graph: told by `describe`, and nothing else changes."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError

from components.common.model_contract import EVALUATION
from components.common.model_evaluation import ModelEvaluation, parse_evaluation
from components.export.told_evaluation import write_evaluation
from serving.model.local import LocalModel
from tests.support.serving_toys import clips

TOLD = ModelEvaluation(0.56, 0.52, 0.6, 800, True, ())


@pytest.fixture
def exported(toy_models: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(toy_models / "1", tmp_path / "model"))


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_pushed_model_tells_its_evaluation_and_predicts_as_before(exported: pathlib.Path) -> None:
    before, sounds = LocalModel(exported), clips(3)
    assert write_evaluation(str(exported), TOLD.to_text())
    after = LocalModel(exported)  # which checks the graph's operations
    np.testing.assert_array_equal(after.predict_windows(sounds), before.predict_windows(sounds))
    said = tf.saved_model.load(str(exported)).signatures["describe"](query=tf.constant(["", "?"]))
    first, second = said[EVALUATION].numpy()
    assert first == second
    assert parse_evaluation(first.decode()) == TOLD


def test_one_constant_changes_and_the_same_evaluation_gives_the_same_bytes(
    exported: pathlib.Path,
) -> None:
    before = _files(exported)
    assert write_evaluation(str(exported), TOLD.to_text())
    once = _files(exported)
    assert [name for name in once if once[name] != before[name]] == ["saved_model.pb"]
    assert write_evaluation(str(exported), TOLD.to_text())
    assert _files(exported) == once
    assert write_evaluation(str(exported), "")
    assert _files(exported) == before


def test_a_model_of_an_earlier_version_is_left_as_it_is(tmp_path: pathlib.Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.meta_graphs.add().graph_def.library.function.add().node_def.add(op="Const", name="Const")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    assert not write_evaluation(str(tmp_path), TOLD.to_text())
    assert (tmp_path / "saved_model.pb").read_bytes() == saved.SerializeToString()
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(DecodeError):
        write_evaluation(str(tmp_path), TOLD.to_text())
