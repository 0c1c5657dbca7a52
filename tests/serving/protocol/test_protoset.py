"""Tests of the descriptors for clients in other languages."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from serving.protocol import protos, protoset
from tests.support.protobuf_messages import message_class


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the file's descriptors, without those of this process's modules."""
    path = tmp_path_factory.mktemp("protoset") / "genreflow.protoset"
    assert protoset.main([str(path)]) == 0
    fresh = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        fresh.Add(file)
    return fresh


def test_each_file_comes_once_and_after_what_it_imports() -> None:
    seen: list[str] = []
    for file in protoset.file_descriptor_set().file:
        assert set(file.dependency) <= set(seen), file.name
        seen.append(file.name)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("service", "methods"),
    [
        (
            "PredictionService",
            {"Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"},
        ),
        ("ModelService", {"GetModelStatus", "HandleReloadConfigRequest"}),
    ],
)
def test_both_services_have_their_methods(pool: Any, service: str, methods: set[str]) -> None:
    found = pool.FindServiceByName(f"tensorflow.serving.{service}")
    assert set(found.methods_by_name) >= methods


def test_a_request_of_another_reader_is_what_the_stubs_send(pool: Any) -> None:
    descriptor = pool.FindMessageTypeByName("tensorflow.serving.PredictRequest")
    theirs = message_class(descriptor)()
    theirs.model_spec.name = "genreflow"
    theirs.model_spec.version.value = 7
    theirs.inputs["waveform"].float_val.extend([0.5, -0.5])
    ours = protos.predict_pb2.PredictRequest.FromString(theirs.SerializeToString())
    assert (ours.model_spec.name, ours.model_spec.version.value) == ("genreflow", 7)
    assert list(ours.inputs["waveform"].float_val) == [0.5, -0.5]


def test_what_metadata_answers_in_an_any_can_be_unpacked(pool: Any) -> None:
    assert pool.FindMessageTypeByName("tensorflow.serving.SignatureDefMap")


def test_json_has_the_names_that_protobuf_itself_gives() -> None:
    from google.protobuf import json_format

    request = protos.predict_pb2.PredictRequest(output_filter=["genres"])
    request.model_spec.signature_name = "describe"
    request.inputs["x"].tensor_content = b"1"
    message = json_format.MessageToDict(request)
    named = {
        field.json_name
        for file in protoset.file_descriptor_set().file
        for declared in file.message_type
        for field in declared.field
    }
    assert set(message) | set(message["modelSpec"]) | set(message["inputs"]["x"]) <= named


def test_the_file_is_the_same_every_time(tmp_path: pathlib.Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    protoset.write(first)
    subprocess.run([sys.executable, "-m", "serving.protocol.protoset", str(second)], check=True)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.parametrize("arguments", [[], ["-h"], ["a", "b"], [""], ["/"]])
def test_a_wrong_command_line_shows_its_form(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert protoset.main(arguments) == 2
    assert capsys.readouterr().err.strip() == protoset.USAGE


def test_a_file_that_cannot_be_written_is_said(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert protoset.main([str(tmp_path / "none" / "file")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
