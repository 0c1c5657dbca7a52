"""Tests of the REST API with curl.

Formats, codes and messages are those of TensorFlow Serving's documentation ("RESTful API") and
sources (json_tensor.cc, http_rest_api_handler.cc). Where Genreflow's server differs is marked.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Direct
from tests.conformance.hostile import assert_clear
from tests.conformance.served import HttpAnswer, Served, curl
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips

Ask = Callable[..., HttpAnswer]
Inputs = dict[str, dict[str, Any]]

MODEL_PATH = "/v1/models/genreflow"
PREDICT_PATH = f"{MODEL_PATH}:predict"
SOUND: list[list[float]] = clips(2, seed=1).tolist()


@pytest.fixture(scope="session")
def ask(served: Served, requires_program: Callable[[str, str], str]) -> Ask:
    """Return `ask(path, body, *options of curl)`; it sends other bodies than text as JSON."""
    program = requires_program("curl", "curl")

    def send(path: str, body: Any = None, *options: str) -> HttpAnswer:
        is_raw = body is None or isinstance(body, (str, bytes))
        return curl(program, served, path, body if is_raw else json.dumps(body), *options)

    return send


def b64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


@pytest.mark.parametrize(
    ("path", "version"),
    [
        (PREDICT_PATH, 2),
        (f"{MODEL_PATH}/versions/1:predict", 1),
        (f"{MODEL_PATH}/versions/2:predict", 2),
        (f"{MODEL_PATH}/labels/stable:predict", 1),
        (f"{MODEL_PATH}/labels/canary:predict", 2),
        ("/v1/models/genre%66low:predict", 2),
    ],
)
def test_rows_are_answered_row_by_row(ask: Ask, direct: Direct, path: str, version: int) -> None:
    answer = ask(path, {"instances": SOUND})
    assert (answer.status, answer.content_type.split(";")[0]) == (200, "application/json")
    assert list(answer.document) == ["predictions"]
    rows = answer.document["predictions"]
    assert [sorted(row) for row in rows] == [["audible_windows", "genres", "probabilities"]] * 2
    assert [row["genres"] for row in rows] == [list(GENRES)] * 2
    expected = direct(version, "", waveform=np.array(SOUND, np.float32))["probabilities"]
    answered = np.array([row["probabilities"] for row in rows])
    np.testing.assert_allclose(answered, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"waveform": row} for row in SOUND]},
        {"signature_name": "serving_default", "instances": SOUND},
        {"instances": SOUND, "something else": [1, {"two": None}]},
    ],
    ids=["named", "signature", "more keys"],
)
def test_other_row_forms_say_the_same(ask: Ask, body: dict[str, Any]) -> None:
    assert ask(PREDICT_PATH, body).document == ask(PREDICT_PATH, {"instances": SOUND}).document


@pytest.mark.parametrize("inputs", [SOUND, {"waveform": SOUND}], ids=["plain", "named"])
def test_columns_are_answered_by_output(ask: Ask, direct: Direct, inputs: Any) -> None:
    answer = ask(PREDICT_PATH, {"inputs": inputs})
    assert answer.status == 200
    assert list(answer.document) == ["outputs"]
    outputs = answer.document["outputs"]
    assert sorted(outputs) == ["audible_windows", "genres", "probabilities"]
    assert outputs["genres"] == [list(GENRES)] * 2
    expected = direct(2, "", waveform=np.array(SOUND, np.float32))["probabilities"]
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("signature", ["serving_wav", "serving_examples"])
@pytest.mark.parametrize("form", ["rows", "named rows", "columns", "named columns"])
def test_bytes_come_as_base64(
    ask: Ask, direct: Direct, inputs: Inputs, signature: str, form: str
) -> None:
    ((name, values),) = inputs[signature].items()
    encoded = [b64(value) for value in values]
    sent: dict[str, Any] = {
        "rows": {"instances": encoded},
        "named rows": {"instances": [{name: value} for value in encoded]},
        "columns": {"inputs": encoded},
        "named columns": {"inputs": {name: encoded}},
    }[form]
    answer = ask(PREDICT_PATH, {"signature_name": signature, **sent})
    assert answer.status == 200
    if "rows" in form:
        answered = [row["probabilities"] for row in answer.document["predictions"]]
    else:
        answered = answer.document["outputs"]["probabilities"]
    expected = direct(2, signature, **{name: values})["probabilities"]
    np.testing.assert_allclose(answered, expected, rtol=1e-4, atol=1e-6)


def test_base64_may_come_in_lines(ask: Ask, inputs: Inputs) -> None:
    values = inputs["serving_wav"]["audio"]
    lines = [{"b64": base64.encodebytes(value).decode()} for value in values]
    assert len(lines[0]["b64"].splitlines()) > 1
    plain, wrapped = (
        ask(PREDICT_PATH, {"signature_name": "serving_wav", "instances": coded})
        for coded in ([b64(value) for value in values], lines)
    )
    assert (wrapped.status, wrapped.document) == (200, plain.document)


def test_a_gzip_body_is_inflated(ask: Ask) -> None:
    plain = ask(PREDICT_PATH, {"instances": SOUND})
    packed = gzip.compress(json.dumps({"instances": SOUND}).encode())
    answer = ask(PREDICT_PATH, packed, "--header", "Content-Encoding: gzip")
    assert (answer.status, answer.document) == (200, plain.document)
    assert ask(PREDICT_PATH, packed).status == 400
    assert ask(PREDICT_PATH, packed[:-9], "--header", "Content-Encoding: gzip").status == 400


def test_no_answer_is_compressed(ask: Ask) -> None:
    asked = ask(PREDICT_PATH, {"instances": SOUND}, "--header", "Accept-Encoding: gzip, br")
    assert asked.document == ask(PREDICT_PATH, {"instances": SOUND}).document


def test_the_model_says_what_it_is(ask: Ask) -> None:
    rows = ask(PREDICT_PATH, {"signature_name": "describe", "instances": [""]})
    (said,) = rows.document["predictions"]
    assert (said["genres"], said["clip_samples"]) == (list(GENRES), CLIP)
    columns = ask(PREDICT_PATH, {"signature_name": "describe", "inputs": {"query": ["a", "b"]}})
    outputs = columns.document["outputs"]
    assert outputs["genres"] == [list(GENRES)] * 2
    assert outputs["sample_rate_hz"] == [PARAMS.sample_rate_hz] * 2
    assert outputs["model_card"] == [said["model_card"]] * 2


def test_whole_numbers_are_samples_too(ask: Ask) -> None:
    assert (
        ask(PREDICT_PATH, {"instances": [[0] * CLIP]}).document
        == ask(PREDICT_PATH, {"instances": [[0.0] * CLIP]}).document
    )


@pytest.mark.parametrize(
    ("path", "versions"),
    [
        (MODEL_PATH, ["1", "2"]),
        (f"{MODEL_PATH}/versions/1", ["1"]),
        (f"{MODEL_PATH}/labels/canary", ["2"]),
    ],
)
def test_status_lists_the_versions(
    served: Served, ask: Ask, path: str, versions: list[str]
) -> None:
    if "labels" in path and not served.is_ours:
        pytest.skip("TensorFlow Serving takes no notice of a label here")
    answer = ask(path)
    assert (answer.status, answer.content_type.split(";")[0]) == (200, "application/json")
    found = sorted(answer.document["model_version_status"], key=lambda one: str(one["version"]))
    assert found == [
        {
            "version": version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for version in versions
    ]


@pytest.mark.parametrize(
    ("path", "version"),
    [
        (f"{MODEL_PATH}/metadata", "2"),
        (f"{MODEL_PATH}/versions/1/metadata", "1"),
        (f"{MODEL_PATH}/labels/stable/metadata", "1"),
    ],
)
def test_metadata_is_the_signatures_as_json(ask: Ask, path: str, version: str) -> None:
    answer = ask(path)
    assert answer.status == 200
    spec = answer.document["model_spec"]
    assert (spec["name"], spec["version"], spec["signature_name"]) == ("genreflow", version, "")
    signatures = answer.document["metadata"]["signature_def"]["signature_def"]
    waveform = signatures["serving_default"]["inputs"]["waveform"]
    assert waveform["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in waveform["tensor_shape"]["dim"]] == ["-1", "-1"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    assert {"serving_wav", "serving_examples", "describe"} <= set(signatures)


ONE = {"instances": SOUND[:1]}
WAV = "serving_wav"
# As FFmpeg writes it: an extensible header, with 40 bytes of format.
PACKED_24 = b64(
    b"RIFF\x3c\0\0\0WAVEfmt "
    + struct.pack("<IHHIIHHHHI", 40, 0xFFFE, 1, PARAMS.sample_rate_hz, 0, 3, 24, 22, 24, 4)
    + bytes.fromhex("0100000000001000800000aa00389b71")
    + b"data\0\0\0\0"
)

REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("unknown model", "/v1/models/nobody:predict", ONE, 404,
     "Servable not found for request: Latest(nobody)"),
    ("unknown version", f"{MODEL_PATH}/versions/99:predict", ONE, 404,
     "Servable not found for request: Specific(genreflow, 99)"),
    ("too large a version", f"{MODEL_PATH}/versions/{10**30}:predict", ONE, 400,
     "Failed to convert version"),
    ("unknown label", f"{MODEL_PATH}/labels/nobody:predict", ONE, 400,
     "Unrecognized servable version label: nobody"),
    ("unknown signature", PREDICT_PATH, {"signature_name": "nobody", **ONE}, 400, "nobody"),
    ("signature of a wrong type", PREDICT_PATH, {"signature_name": 1, **ONE}, 400,
     "'signature_name' key must be a string value"),
    ("sound for a question", PREDICT_PATH, {"signature_name": "describe", **ONE}, 400,
     "is not of expected type: string"),
    ("nothing", PREDICT_PATH, "", 400, "JSON Parse error"),
    ("not JSON", PREDICT_PATH, "{", 400, "JSON Parse error"),
    ("not UTF-8", PREDICT_PATH, b'{"instances": ["\xff"]}', 400, ""),
    ("a list", PREDICT_PATH, "[]", 400, "Is not object"),
    ("no rows and columns", PREDICT_PATH, {}, 400, "Missing 'inputs' or 'instances' key"),
    ("rows and columns", PREDICT_PATH, {"inputs": SOUND, **ONE}, 400,
     "expecting only one of 'inputs' or 'instances'"),
    ("rows that are no list", PREDICT_PATH, {"instances": 1.5}, 400, "'instances' to be an list"),
    ("no row", PREDICT_PATH, {"instances": []}, 400, "No values in 'instances' array"),
    ("text for samples", PREDICT_PATH, {"instances": [["a"]]}, 400,
     "is not of expected type: float"),
    ("null for samples", PREDICT_PATH, {"instances": [[None]]}, 400,
     "is not of expected type: float"),
    ("true for samples", PREDICT_PATH, {"instances": [[True]]}, 400,
     "is not of expected type: float"),
    ("rows of two lengths", PREDICT_PATH, {"instances": [[0.0] * CLIP, [0.0] * (CLIP + 1)]}, 400,
     "Expecting"),
    ("columns of two lengths", PREDICT_PATH, {"inputs": [[0.0] * CLIP, [0.0]]}, 400,
     "Encountered list at unexpected size: 1 at level: 1 expected size: 2000"),
    ("a list too deep", PREDICT_PATH, {"inputs": [[0.0, [0.0]]]}, 400, ""),
    ("unknown input", PREDICT_PATH, {"instances": [{"nobody": [0.0]}]}, 400,
     "does not have named input: nobody"),
    ("missing input", PREDICT_PATH, {"inputs": {"nobody": [0.0]}}, 400,
     "Missing named input: waveform in 'inputs' object"),
    ("no base64", PREDICT_PATH, {"signature_name": WAV, "instances": [{"b64": "%"}]}, 400,
     "Unable to base64 decode"),
    ("a WAV file of 24 bits", PREDICT_PATH, {"signature_name": WAV, "instances": [PACKED_24]}, 400,
     f"audio: the model takes 16-bit PCM WAV files at {PARAMS.sample_rate_hz} Hz; this one has 24"),
    ("a number for bytes", PREDICT_PATH, {"signature_name": WAV, "instances": [1]}, 400,
     "is not of expected type: string"),
    ("one dimension", PREDICT_PATH, {"inputs": SOUND[0]}, 400, ""),
    ("a sample short", PREDICT_PATH, {"instances": [SOUND[0][1:]]}, 400,
     "shorter than one clip"),
    ("not a number", PREDICT_PATH, '{"instances": [[' + "NaN," * CLIP + "0.0]]}", 400,
     "not finite"),
    ("classify", f"{MODEL_PATH}:classify", {"examples": [{"x": 1.5}]}, 400,
     "Expected classification signature method_name"),
    ("regress", f"{MODEL_PATH}:regress", {"examples": [{"x": 1.5}]}, 400,
     "Expected regression signature method_name"),
    ("unknown method", f"{MODEL_PATH}:guess", ONE, 400, "Malformed request"),
    ("predict by GET", PREDICT_PATH, None, 400, "Malformed request"),
    ("no method", MODEL_PATH, ONE, 400, "Malformed request"),
    ("status of an unknown model", "/v1/models/nobody", None, 404,
     "Could not find any versions of model nobody"),
    ("status of an unknown version", f"{MODEL_PATH}/versions/99", None, 404,
     "Could not find version 99 of model genreflow"),
    ("metadata of an unknown model", "/v1/models/nobody/metadata", None, 404,
     "Servable not found for request: Latest(nobody)"),
    ("an unknown part", f"{MODEL_PATH}/nothing", None, 400, "Malformed request"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_what_is_refused(
    served: Served, ask: Ask, path: str, body: Any, status: int, words: str
) -> None:
    answer = ask(path, body)
    assert answer.status == status, answer.body[:500]
    assert answer.content_type.split(";")[0] == "application/json"
    assert list(answer.document) == ["error"]
    assert words in answer.error
    if served.is_ours:
        assert_clear(answer.error, str(served.root))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(served: Served, ask: Ask, method: str) -> None:
    answer = ask(PREDICT_PATH, ONE, "--request", method)
    # TensorFlow Serving uses one code for all unreadable requests; 405 is more specific.
    assert answer.status in ({400, 405} if served.is_ours else {400, 404, 501})
    if served.is_ours:
        assert_clear(answer.error)


@pytest.mark.parametrize("path", ["/", "/v2/models/genreflow", "/v1", "/favicon.ico"])
def test_what_is_no_part_of_the_api_is_not_found(served: Served, ask: Ask, path: str) -> None:
    answer = ask(path)
    assert answer.status == 404
    if served.is_ours:
        assert_clear(answer.error)


def test_a_connection_is_kept_for_further_requests(
    served: Served, requires_program: Callable[[str, str], str]
) -> None:
    program = requires_program("curl", "curl")
    url = f"http://127.0.0.1:{served.rest_port}{MODEL_PATH}"
    command = [program, "-s", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} "]
    done = subprocess.run([*command, url, url], capture_output=True, check=True)
    assert done.stdout.split() == [b"1", b"0"]  # connections made for each
