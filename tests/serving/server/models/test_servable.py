"""Tests of a loaded version: its outputs, and its errors for bad requests."""

from __future__ import annotations

import gc
import pathlib
import shutil
import struct
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import classification_pb2, prediction_log_pb2

from components.common.model_contract import WARMUP_FILE
from components.export.warmup import warmup_inputs
from serving.model.model_files import ModelFolderError
from serving.server.config.settings import Batching, Limits
from serving.server.errors import ServingError
from serving.server.models import failures, warmup
from serving.server.models.checking import can_be_batched
from serving.server.models.servable import Servable
from tests.support.serving_toys import CLIP, GENRES, PARAMS, clips

pytestmark = pytest.mark.memory

C = grpc.StatusCode
SMALL = Limits(waveform_samples=20 * CLIP, rows=10)


@pytest.fixture(scope="module")
def path(toy_models: pathlib.Path) -> pathlib.Path:
    return toy_models / "1"


@pytest.fixture(scope="module")
def servable(path: pathlib.Path) -> Servable:
    return Servable("genreflow", 1, path, limits=SMALL)


@pytest.fixture(scope="module")
def batched(path: pathlib.Path) -> Servable:
    return Servable("genreflow", 1, path, batching=Batching(max_batch_size=8))


@pytest.fixture
def copy(path: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(path, tmp_path / "genreflow" / "1"))


@pytest.fixture(scope="module")
def by_hand(path: pathlib.Path) -> Any:
    """Return the SavedModel, loaded by TensorFlow, as a function from waveform to probabilities."""
    model = tf.saved_model.load(str(path))
    return lambda waveform: model.signatures["serving_default"](waveform=tf.constant(waveform))[
        "probabilities"
    ].numpy()


def refusal(servable: Servable, signature: str, inputs: dict[str, Any], *rest: Any) -> ServingError:
    with pytest.raises(ServingError) as caught:
        servable.predict(signature, inputs, *rest)
    assert "\n" not in caught.value.message
    for clutter in ("Graph execution", "node", "[[", "{{", "Op:", "assertion failed", "Error"):
        assert clutter not in caught.value.message
    return caught.value


def test_it_answers_what_the_model_alone_answers(servable: Servable, by_hand: Any) -> None:
    sounds = clips(3)
    answer = servable.predict("", {"waveform": sounds})
    assert set(answer) == {"probabilities", "genres", "audible_windows"}
    assert answer["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answer["probabilities"], by_hand(sounds), atol=1e-6)
    assert answer["genres"].tolist() == [[genre.encode() for genre in GENRES]] * 3


def test_all_four_signatures_answer(servable: Servable) -> None:
    for signature, inputs in warmup_inputs(PARAMS, 2).items():
        answer = servable.predict(signature, dict(inputs))
        assert {len(values) for values in answer.values()} == {2}
        if signature != "describe":
            assert answer["probabilities"].shape == (2, 3)
    described = servable.predict("describe", {"query": np.array([b"", b"?"], object)})
    assert described["genres"].tolist() == [[genre.encode() for genre in GENRES]] * 2
    assert described["sample_rate_hz"].tolist() == [PARAMS.sample_rate_hz] * 2
    assert described["clip_samples"].tolist() == [CLIP] * 2


def test_no_rows_get_no_answers(servable: Servable, batched: Servable) -> None:
    for one in (servable, batched):
        answer = one.predict("", {"waveform": np.zeros((0, CLIP), np.float32)})
        assert answer["probabilities"].shape == (0, 3)


def test_output_filter_picks_and_refuses(servable: Servable) -> None:
    inputs = {"waveform": clips(1)}
    assert list(servable.predict("", inputs, ["genres"])) == ["genres"]
    assert list(servable.predict("", inputs, ["probabilities", "genres"])) == [
        "probabilities",
        "genres",
    ]
    error = refusal(servable, "", inputs, ["loudness"])
    assert (error.code, error.message) == (
        C.INVALID_ARGUMENT,
        "output tensor alias not found in signature: loudness "
        "Outputs expected to be in the set {audible_windows,genres,probabilities}.",
    )
    error = refusal(servable, "", inputs, ["genres", "genres"])
    assert (error.code, error.message) == (
        C.INVALID_ARGUMENT,
        "duplicate output tensor alias: genres",
    )


@pytest.mark.parametrize("name", ["nothing", "__saved_model_init_op"])
def test_unknown_signatures_fail_as_in_tensorflow_serving(servable: Servable, name: str) -> None:
    error = refusal(servable, name, {})
    assert error.code is C.FAILED_PRECONDITION
    assert error.message == f'Serving signature key "{name}" not found.'


ONE = np.zeros((1, CLIP), np.float32)


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        (
            "",
            {},
            "input size does not match signature: 0!=1 len({}) != len({waveform}). "
            "Sent extra: {}. Missing but required: {waveform}.",
        ),
        (
            "",
            {"waveform": ONE, "b": ONE, "a": ONE},
            "input size does not match signature: 3!=1 len({a,b,waveform}) != len({waveform}). "
            "Sent extra: {a,b}. Missing but required: {}.",
        ),
        (
            "serving_default",
            {"sound": ONE},
            "input size does not match signature: 1!=1 len({sound}) != len({waveform}). "
            "Sent extra: {sound}. Missing but required: {waveform}.",
        ),
        (
            "describe",
            {},
            "input size does not match signature: 0!=1 len({}) != len({query}). "
            "Sent extra: {}. Missing but required: {query}.",
        ),
        (
            "",
            {"waveform": ONE.astype(np.float64)},
            "Expects input waveform to be float but double is provided",
        ),
        (
            "",
            {"waveform": np.array([[b"x"]], object)},
            "Expects input waveform to be float but string is provided",
        ),
        (
            "serving_wav",
            {"audio": np.array([1], np.int64)},
            "Expects input audio to be string but int64 is provided",
        ),
        (
            "",
            {"waveform": ONE[0]},
            f"Expects input waveform to have shape [?,?] but [{CLIP}] is provided",
        ),
        (
            "serving_wav",
            {"audio": np.array(b"x", object)},
            "Expects input audio to have shape [?] but [] is provided",
        ),
        (
            "",
            {"waveform": np.zeros((11, 5), np.float32)},
            "input waveform has 11 rows; at most 10 are allowed",
        ),
        (
            "",
            {"waveform": np.zeros((2, 10 * CLIP + 1), np.float32)},
            f"input waveform has {20 * CLIP + 2} samples; at most {20 * CLIP} are allowed: "
            "send a long recording in parts",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_named(
    servable: Servable, signature: str, inputs: dict[str, Any], message: str
) -> None:
    error = refusal(servable, signature, inputs)
    assert (error.code, error.message) == (C.INVALID_ARGUMENT, message)


def wav(rate_hz: int, samples: int) -> bytes:
    size = 2 * samples
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1,
                       rate_hz, 2 * rate_hz, 2, 16, b"data", size)  # fmt: skip
    return head + bytes(size)


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        (
            "",
            {"waveform": np.zeros((2, CLIP - 1), np.float32)},
            f"waveform at 8000 Hz: shorter than one clip, which needs {CLIP} samples; "
            f"got {CLIP - 1}",
        ),
        (
            "",
            {"waveform": np.full((1, CLIP), np.nan, np.float32)},
            "waveform: samples are not finite, or far beyond full scale (1.0)",
        ),
        (
            "serving_wav",
            {"audio": np.array([wav(44100, 2 * CLIP)], object)},
            "audio: the model takes 16-bit PCM WAV files at 8000 Hz; this one has 44100 Hz",
        ),
        (
            "serving_wav",
            {"audio": np.array([b"junk of some length, but no WAV"], object)},
            "audio: the model takes 16-bit PCM WAV files at 8000 Hz; this is no WAV file, as it "
            "does not begin with RIFF and WAVE",
        ),
        (
            "serving_wav",
            {"audio": np.array([b""], object)},
            "audio: the model takes 16-bit PCM WAV files at 8000 Hz; this is no WAV file, as it "
            "does not begin with RIFF and WAVE",
        ),
        (
            "serving_examples",
            {"examples": np.array([b"junk"], object)},
            "Name: <unknown>, Feature: mel_db (data type: string) is required but could not be "
            "found.",
        ),
    ],
)
def test_what_the_model_refuses_is_said_in_its_own_words(
    servable: Servable, batched: Servable, signature: str, inputs: dict[str, Any], message: str
) -> None:
    for one in (servable, batched):
        error = refusal(one, signature, inputs)
        assert (error.code, error.message) == (C.INVALID_ARGUMENT, message)


def test_bytes_of_the_request_never_reach_a_terminal_as_they_are(servable: Servable) -> None:
    for junk in (b"\x1b[2J" * 9, b"\xff\xfe\x00\x80" * 9, b"\r\n\r\n" * 9):
        error = refusal(servable, "serving_wav", {"audio": np.array([junk], object)})
        assert error.code is C.INVALID_ARGUMENT
        assert error.message.isprintable()


def test_the_first_of_several_root_errors_is_told() -> None:
    text = (
        "Graph execution error:\n\nDetected at node map/while/Assert defined at (most recent call "
        'last):\n  File "x.py", line 3, in f\n<stack traces unavailable>\n'
        "2 root error(s) found.\n"
        "  (0) INVALID_ARGUMENT:  assertion failed: [the rate is] [8000] [Hz]\n"
        "\t [[{{node map/while/Assert}}]]\n"
        "  (1) INVALID_ARGUMENT:  assertion failed: [other]\n"
        "0 successful operations.\n0 derived errors ignored. [Op:__inference_1]"
    )
    assert failures.sentence(text) == "the rate is 8000 Hz"
    assert failures.to_serving_error(3, text).code is C.INVALID_ARGUMENT
    assert failures.to_serving_error(8, "OOM when allocating").code is C.RESOURCE_EXHAUSTED
    nothing = failures.to_serving_error(999, "Graph execution error:\n\n [Op:x]")
    assert (nothing.code, nothing.message) == (
        C.INTERNAL,
        "the model failed on this request, without a message",
    )


NODES = "\n\t [[{{node Assert/Assert}}]] [Op:__inference_signature_wrapper_examples_608]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("assertion failed: [needs 8 bytes, [2, 2]; got] [511]", "needs 8 bytes, [2, 2]; got 511"),
        ("{{function_node __inference_f_608}} Could not parse", "Could not parse"),
        ("{{function_node f}} {{node g}} the value: 'a\nb\n\nc'", "the value: 'a?b??c'"),
    ],
)
def test_what_a_message_quotes_stays_whole(text: str, sentence: str) -> None:
    assert failures.sentence(text + NODES) == sentence
    assert failures.sentence(f"Graph execution error:\n\n{text}{NODES}") == sentence


@pytest.mark.parametrize("junk", [b"\xff\xfe\xfd", b"\x0a\xff", b"\x0a\x80\n\n\xff"])
def test_bytes_that_are_no_text_in_a_message_are_the_request_s_fault(
    servable: Servable, junk: bytes
) -> None:
    error = refusal(servable, "serving_examples", {"examples": np.array([junk], object)})
    assert error.code is C.INVALID_ARGUMENT
    assert error.message.startswith("Could not parse example input")
    assert error.message.isprintable()


def test_only_signatures_with_an_open_first_dimension_are_batched(servable: Servable) -> None:
    assert {key for key, one in servable.signatures.items() if can_be_batched(one)} == {
        "serving_default",
        "serving_wav",
        "serving_examples",
        "describe",
    }
    whole = servable.signatures["describe"]
    for change in (
        lambda definition: definition.ClearField("inputs"),
        lambda definition: definition.outputs["genres"].tensor_shape.ClearField("dim"),
        lambda definition: setattr(definition.outputs["genres"].tensor_shape.dim[0], "size", 1),
        lambda definition: setattr(definition.inputs["query"].tensor_shape, "unknown_rank", True),
    ):
        other = type(whole).FromString(whole.SerializeToString())
        change(other)
        assert not can_be_batched(other)


def test_a_deadline_that_is_over_is_told(servable: Servable, batched: Servable) -> None:
    for one in (servable, batched):
        error = refusal(one, "", {"waveform": ONE}, (), 0.0)
        assert error.code is C.DEADLINE_EXCEEDED
        assert one.predict("", {"waveform": ONE}, (), 300.0)


@settings(max_examples=15)
@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()), min_size=2, max_size=10
    )
)
def test_requests_at_the_same_time_get_what_they_get_alone(
    batched: Servable, servable: Servable, sizes: list[tuple[int, int, bool]]
) -> None:
    """Send rows of one and of several clips, some of which the model refuses."""

    def sounds(number: int) -> npt.NDArray[np.float32]:
        rows, clips_each, is_bad = sizes[number]
        values = clips(rows * clips_each, seed=number).reshape(rows, clips_each * CLIP)
        return np.where(is_bad, np.float32(np.inf), values).astype(np.float32)

    def ask(number: int) -> npt.NDArray[Any] | str:
        try:
            return batched.predict("", {"waveform": sounds(number)})["probabilities"]
        except ServingError as error:
            return error.message

    with ThreadPoolExecutor(len(sizes)) as pool:
        answers = list(pool.map(ask, range(len(sizes)), timeout=120))
    for number, (*_, is_bad) in enumerate(sizes):
        answer = answers[number]
        if is_bad:
            assert answer == "waveform: samples are not finite, or far beyond full scale (1.0)"
        else:
            alone = servable.predict("", {"waveform": sounds(number)})["probabilities"]
            np.testing.assert_allclose(answer, alone, atol=1e-5)


# Loading


def test_what_is_closed_answers_no_more_and_is_freed(path: pathlib.Path) -> None:
    servable = Servable("genreflow", 1, path, batching=Batching())
    model = weakref.ref(servable._model)
    servable.predict("", {"waveform": ONE})
    assert model() is not None
    servable.close()
    error = refusal(servable, "", {"waveform": ONE})
    assert (error.code, error.message) == (
        C.UNAVAILABLE,
        "version 1 of model genreflow was unloaded",
    )
    gc.collect()
    assert model() is None


def test_loading_starts_no_threads_of_ours(path: pathlib.Path) -> None:
    before = threading.active_count()
    servable = Servable("genreflow", 1, path, batching=Batching())
    servable.predict("", {"waveform": ONE})
    assert threading.active_count() == before


def test_an_unsafe_model_or_one_without_assets_is_not_loaded(
    copy: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
    module = tf.Module()
    module.serve = tf.function(
        lambda waveform: {"p": waveform + tf.strings.to_number(tf.io.read_file("/etc/hostname"))},
        input_signature=[tf.TensorSpec([None, None], tf.float32, name="waveform")],
    )
    hostile = tmp_path / "hostile"
    tf.saved_model.save(module, str(hostile), signatures={"serving_default": module.serve})
    shutil.copytree(copy / "assets", hostile / "assets", dirs_exist_ok=True)
    with pytest.raises(ModelFolderError, match=r"refused.*operation 'ReadFile'"):
        Servable("genreflow", 1, hostile)
    (copy / "assets" / "genres.json").unlink()
    with pytest.raises(ModelFolderError, match=r"genres\.json"):
        Servable("genreflow", 1, copy)


def test_a_truncated_model_says_that_it_cannot_be_loaded(copy: pathlib.Path) -> None:
    (data,) = (copy / "variables").glob("variables.data*")
    data.write_bytes(data.read_bytes()[:10])
    with pytest.raises(
        ModelFolderError, match=r"cannot be loaded .*copy the model again"
    ) as caught:
        Servable("genreflow", 1, copy)
    assert "\n" not in str(caught.value)


# Warm-up


def write_warmup(version: pathlib.Path, records: list[bytes]) -> None:
    with tf.io.TFRecordWriter(str(version / WARMUP_FILE)) as writer:
        for record in records:
            writer.write(record)


def predict_log(inputs: dict[str, Any], signature: str = "") -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    for name, values in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return log.SerializeToString()


def test_all_warmup_requests_are_run_before_it_serves(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, list[int]]] = []
    real = Servable._run

    def noting(self: Servable, key: str, inputs: Any) -> Any:
        ran.append((key, [len(values) for values in inputs.values()]))
        return real(self, key, inputs)

    monkeypatch.setattr(Servable, "_run", noting)
    Servable("genreflow", 1, path)
    names = ["serving_default", "serving_wav", "serving_examples", "describe"]
    assert sorted(ran) == sorted((name, [rows]) for name in names for rows in (1, 15))


def test_a_model_without_warmup_requests_serves(copy: pathlib.Path) -> None:
    shutil.rmtree(copy / "assets.extra")
    assert Servable("genreflow", 1, copy).predict("", {"waveform": ONE})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (predict_log({"waveform": ONE[:, :9]}), "request 1 fails: waveform at 8000 Hz: shorter"),
        (predict_log({"sound": ONE}), "request 1 fails: input size does not match"),
        (predict_log({}, "nothing"), 'request 1 fails: Serving signature key "nothing" not found'),
        (b"\xff\xff", "damaged, or not TFRecords"),
        (
            prediction_log_pb2.PredictionLog(
                classify_log=prediction_log_pb2.ClassifyLog(
                    request=classification_pb2.ClassificationRequest()
                )
            ).SerializeToString(),
            "record 1 is not a Predict request",
        ),
    ],
)
def test_a_version_whose_warmup_fails_is_not_served(
    copy: pathlib.Path, record: bytes, message: str
) -> None:
    """Refuse a version as TensorFlow Serving does: the same request from a client would fail."""
    write_warmup(copy, [record])
    with pytest.raises(ModelFolderError, match=message):
        Servable("genreflow", 1, copy)


def test_warmup_files_have_bounds(copy: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / WARMUP_FILE).write_bytes(b"no TFRecord at all")
    with pytest.raises(ModelFolderError, match="damaged, or not TFRecords"):
        list(warmup.read_warmup(copy))
    write_warmup(copy, [predict_log({}, "describe")] * (warmup.MAX_RECORDS + 1))
    with pytest.raises(ModelFolderError, match="more than 1000 records"):
        list(warmup.read_warmup(copy))
    monkeypatch.setattr(warmup, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelFolderError, match="larger than 100 bytes"):
        list(warmup.read_warmup(copy))
