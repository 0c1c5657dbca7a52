"""Tests of well-formed requests with hostile contents: each gets a clear error or right outputs."""

from __future__ import annotations

import concurrent.futures
import json
import struct
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from serving.protocol import protos
from tests.conformance.conftest import Direct
from tests.conformance.hostile import assert_clear
from tests.conformance.served import (
    DEADLINE_S,
    MAX_MESSAGE_MB,
    MAX_WAVEFORM_SECONDS,
    Served,
    curl,
    predict_request,
)
from tests.support.serving_toys import CLIP, PARAMS, clips

INVALID = grpc.StatusCode.INVALID_ARGUMENT
RATE = PARAMS.sample_rate_hz
MAX_SAMPLES = MAX_WAVEFORM_SECONDS * RATE


def refusal(served: Served, request: Any, code: grpc.StatusCode = INVALID) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        served.prediction.Predict(request, timeout=DEADLINE_S)
    message = str(caught.value.details())
    assert caught.value.code() == code, message
    assert_clear(message, str(served.root))
    return message


def assert_right_or_refused(served: Served, request: Any) -> None:
    try:
        answer = served.predict(request)
    except grpc.RpcError as error:
        code, message = error.code(), error.details()
    else:
        probabilities = answer["probabilities"]
        assert np.isfinite(probabilities).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
        return
    assert code == INVALID, message
    assert_clear(message, str(served.root))


def with_sample(value: float) -> Any:
    sound = clips(2)
    sound[1, CLIP // 2] = value
    return sound


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (with_sample(float("nan")), "not finite"),
        (with_sample(float("inf")), "not finite"),
        (with_sample(float("-inf")), "not finite"),
        (with_sample(1e30), "far beyond full scale"),
        (np.full((1, CLIP), np.finfo(np.float32).max, np.float32), "far beyond full scale"),
        (np.zeros((1, 0), np.float32), "shorter than one clip"),
        (np.zeros((3, CLIP - 1), np.float32), "shorter than one clip"),
        (np.zeros((1, MAX_SAMPLES + 1), np.float32), str(MAX_SAMPLES)),
        (np.zeros((MAX_SAMPLES // CLIP + 1, CLIP), np.float32), str(MAX_SAMPLES)),
        (np.zeros((5000, 2), np.float32), "5000 rows"),
        (np.zeros((0, 0), np.float32), ""),
        (np.zeros((), np.float32), "shape"),
    ],
    ids=[
        "NaN", "Inf", "-Inf", "1e30", "largest", "no sample", "a sample short", "too long",
        "too much", "too many rows", "nothing", "one number",
    ],
)  # fmt: skip
def test_a_waveform_that_is_no_sound_is_refused(ours: Served, waveform: Any, words: str) -> None:
    assert words in refusal(ours, predict_request({"waveform": waveform}))


def test_silence_is_left_out_and_refuses_no_row_beside_it(ours: Served, direct: Direct) -> None:
    rows = np.concatenate([np.zeros((1, 3 * CLIP)), clips(3).reshape(1, -1)]).astype(np.float32)
    rows[1, CLIP : 2 * CLIP] = 0
    answer = ours.predict(predict_request({"waveform": rows}))
    assert answer["audible_windows"].tolist() == [0, 2]
    np.testing.assert_array_equal(answer["probabilities"][0], 0)
    alone = direct(2, "", waveform=np.delete(rows[1:].reshape(3, CLIP), 1, 0).reshape(1, -1))
    np.testing.assert_allclose(answer["probabilities"][1:], alone["probabilities"], rtol=1e-4)


def test_as_much_sound_as_is_taken_is_answered(ours: Served) -> None:
    longest = np.tile(clips(1), (1, MAX_SAMPLES // CLIP))
    assert longest.size == MAX_SAMPLES
    answer = ours.predict(predict_request({"waveform": longest}))
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize("signature", ["serving_default", "serving_wav", "serving_examples"])
def test_no_rows_are_refused_or_no_answers(ours: Served, signature: str) -> None:
    name, none = {
        "serving_default": ("waveform", np.zeros((0, CLIP), np.float32)),
        "serving_wav": ("audio", np.zeros((0,), object)),
        "serving_examples": ("examples", np.zeros((0,), object)),
    }[signature]
    request = predict_request({name: none}, signature=signature)
    try:
        assert ours.predict(request)["probabilities"].shape == (0, 3)
    except grpc.RpcError as error:
        code, message = error.code(), error.details()
        assert (code, bool(message)) == (INVALID, True)
        assert_clear(message)


def test_a_bad_request_spoils_none_that_runs_with_it(ours: Served, direct: Direct) -> None:
    """Send requests of equal shapes, so that they are batched."""
    sounds = [clips(1, seed=index) for index in range(32)]
    for index in range(0, 32, 3):
        sounds[index][0, 7] = np.nan

    def ask(sound: Any) -> Any:
        try:
            return ours.predict(predict_request({"waveform": sound}))["probabilities"]
        except grpc.RpcError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(len(sounds)) as threads:
        answers = list(threads.map(ask, sounds))
    for index, (sound, answer) in enumerate(zip(sounds, answers, strict=True)):
        if index % 3:
            expected = direct(2, "", waveform=sound)["probabilities"]
            np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)
        else:
            assert isinstance(answer, grpc.RpcError)
            assert answer.code() == INVALID
            assert "not finite" in answer.details()
            assert_clear(answer.details())


def wav(
    samples: bytes | None = None,
    *,
    coding: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    says_bytes: int | None = None,
    says_riff: int | None = None,
) -> bytes:
    """Make a WAV file, whose header may be wrong; by default one clip of 16-bit samples."""
    if samples is None:
        samples = (clips(1)[0] * 32767).astype("<i2").tobytes()
    frame = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", coding, channels, rate, (rate * frame) & 0xFFFFFFFF, frame & 0xFFFF, bits
    )
    size = len(samples) if says_bytes is None else says_bytes
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", size) + samples
    riff = len(body) if says_riff is None else says_riff
    return b"RIFF" + struct.pack("<I", riff) + body


def audio_request(*files: bytes) -> Any:
    return predict_request({"audio": np.array(files, object)}, signature="serving_wav")


TAKES = f"audio: the model takes 16-bit PCM WAV files at {RATE} Hz"
SHORT = (clips(1)[0, 1:] * 32767).astype("<i2").tobytes()

WAVS: dict[str, tuple[bytes, str]] = {
    "another rate": (wav(rate=44100), f"{TAKES}; this one has 44100 Hz"),
    "no rate": (wav(rate=0), TAKES),
    "32-bit floats": (wav(bytes(4 * CLIP), coding=3, bits=32), f"{TAKES}; this one has the format"),
    "mu-law": (wav(bytes(CLIP), coding=7, bits=8), "format code 7"),
    "A-law": (wav(bytes(CLIP), coding=6, bits=8), "format code 6"),
    "24 bits": (wav(bytes(3 * CLIP), bits=24), f"{TAKES}; this one has 24 bits per sample"),
    "8 bits": (wav(bytes(CLIP), bits=8), f"{TAKES}; this one has 8 bits per sample"),
    "a sample short": (wav(SHORT), "shorter than one clip"),
    "no samples": (wav(b""), "shorter than one clip"),
    "more samples than there are": (wav(says_bytes=4 * CLIP), f"{TAKES}; this one is cut"),
    "no channels": (wav(channels=0), TAKES),
    "more channels than samples": (wav(channels=65535), TAKES),
    "no bits": (wav(bits=0), TAKES),
    "nothing": (b"", TAKES),
    "a name alone": (b"RIFF", TAKES),
    "a header alone": (wav(b"")[:36], TAKES),
    "an mp3 file": (b"ID3\x04" + bytes(4096), f"{TAKES}; this is no WAV file"),
    "a big-endian file": (b"RIFX" + wav()[4:], f"{TAKES}; this is no WAV file"),
    "zeros": (bytes(4096), f"{TAKES}; this is no WAV file"),
    "chunks without end": (b"RIFF\0\0\0\0WAVE" + bytes(1 << 20), TAKES),
}


@pytest.mark.parametrize("name", WAVS)
def test_a_file_that_the_model_does_not_take_is_refused(ours: Served, name: str) -> None:
    file, words = WAVS[name]
    assert words in refusal(ours, audio_request(file))
    # Also between valid files.
    assert words in refusal(ours, audio_request(wav(), file, wav()))


@pytest.mark.parametrize("says", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_file_whose_length_was_unknown_when_it_was_written_is_read_to_its_end(
    ours: Served, says: int
) -> None:
    expected = ours.predict(audio_request(wav()))["probabilities"]
    answer = ours.predict(audio_request(wav(says_bytes=says, says_riff=says)))
    np.testing.assert_array_equal(answer["probabilities"], expected)


def test_a_file_of_two_channels_is_their_mean(ours: Served, direct: Direct) -> None:
    left, right = clips(2, seed=4)
    both = (np.stack([left, right], axis=1) * 32767).astype("<i2")
    answer = ours.predict(audio_request(wav(both.tobytes(), channels=2)))
    mean = both.astype(np.float32).mean(axis=1)[None] / 32768
    expected = direct(2, "", waveform=mean)["probabilities"]
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("says", [0, 1, 2, 2 * CLIP - 1, 2 * CLIP + 1, 0x7FFFFFFF])
def test_a_file_that_lies_about_its_length_is_answered_right_or_refused(
    ours: Served, says: int
) -> None:
    assert_right_or_refused(ours, audio_request(wav(says_bytes=says)))
    assert_right_or_refused(ours, audio_request(wav(says_riff=says)))


def test_a_truncated_file_is_answered_right_or_refused(ours: Served) -> None:
    whole = wav()
    for length in (*range(60), len(whole) // 2, len(whole) - 1):
        assert_right_or_refused(ours, audio_request(whole[:length]))


def example(**features: Any) -> bytes:
    made = protos.example_pb2.Example()
    for name, values in features.items():
        kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}[type(values[0])]
        getattr(made.features.feature[name], kind).value.extend(values)
    return bytes(made.SerializeToString())


MEL = bytes(PARAMS.mel_bytes)

EXAMPLES = {
    "nothing": (b"", "mel_db"),
    "no example": (b"\xff\xfe\xfd", "Could not parse example"),
    "no mel_db": (example(other=[1.0]), "mel_db"),
    "numbers": (example(mel_db=[1.0, 2.0]), "mel_db"),
    "whole numbers": (example(mel_db=[1]), "mel_db"),
    "a byte short": (example(mel_db=[MEL[:-1]]), f"mel_db: each example needs {len(MEL)} bytes"),
    "a byte more": (example(mel_db=[MEL + b"\0"]), f"got {len(MEL) + 1}"),
    "two": (example(mel_db=[MEL, MEL]), "mel_db"),
    "half and half": (example(mel_db=[MEL[: len(MEL) // 2], MEL[len(MEL) // 2 :]]), "mel_db"),
    "not a number": (example(mel_db=[b"\xff" * len(MEL)]), "outside [-80, 0] dB"),
    "cut off": (example(mel_db=[MEL])[:-5], "Could not parse example"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_malformed_example_is_refused(ours: Served, name: str) -> None:
    value, words = EXAMPLES[name]
    request = predict_request({"examples": np.array([value], object)}, signature="serving_examples")
    assert words in refusal(ours, request)


def tensor(dtype: int, sizes: list[int], **values: Any) -> Any:
    made = protos.tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in sizes:
        made.tensor_shape.dim.add().size = size
    return made


FLOAT, STRING = protos.types_pb2.DT_FLOAT, protos.types_pb2.DT_STRING
BYTES = clips(1).astype("<f4").tobytes()

TENSORS = {
    "no type": tensor(0, [1, CLIP], tensor_content=BYTES),
    "an unknown type": tensor(4242, [1, CLIP], tensor_content=BYTES),
    "a reference": tensor(101, [1, CLIP], tensor_content=BYTES),
    "half floats": tensor(19, [1, CLIP], half_val=[1]),
    "a variant": tensor(21, [1, CLIP]),
    "a resource": tensor(20, [1, CLIP]),
    "negative": tensor(FLOAT, [-1, CLIP], tensor_content=BYTES),
    "all negative": tensor(FLOAT, [-1, -CLIP], tensor_content=BYTES),
    "a byte short": tensor(FLOAT, [1, CLIP], tensor_content=BYTES[:-1]),
    "a byte more": tensor(FLOAT, [1, CLIP], tensor_content=BYTES + b"\0"),
    "two rows of one": tensor(FLOAT, [2, CLIP], tensor_content=BYTES),
    "no values": tensor(FLOAT, [1, CLIP]),
    "too many values": tensor(FLOAT, [1, 1], float_val=[1, 2]),
    "values of another type": tensor(FLOAT, [1, CLIP], double_val=[1]),
    "a great lie": tensor(FLOAT, [1, 1 << 40], float_val=[0.5]),
    "a lie beyond all numbers": tensor(FLOAT, [1 << 62, 1 << 62], float_val=[0.5]),
    "a lie beside a zero": tensor(FLOAT, [0, 1 << 62]),
    "40 dimensions": tensor(FLOAT, [1] * 40, float_val=[0.5]),
    "300 dimensions": tensor(FLOAT, [1] * 300, float_val=[0.5]),
    "many strings": tensor(STRING, [1 << 40], string_val=[b"x"]),
    "few strings": tensor(STRING, [3, 3], string_val=[b"x"]),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize(
    ("signature", "alias"), [("", "waveform"), ("serving_wav", "audio"), ("describe", "nobody")]
)
def test_a_tensor_that_lies_is_refused(ours: Served, name: str, signature: str, alias: str) -> None:
    request = predict_request({}, signature=signature)
    request.inputs[alias].CopyFrom(TENSORS[name])
    refusal(ours, request)


def test_a_shape_without_a_rank_is_refused(ours: Served) -> None:
    request = predict_request({"waveform": clips(1)})
    shape = request.inputs["waveform"].tensor_shape
    shape.Clear()
    shape.unknown_rank = True
    refusal(ours, request)


def test_names_full_of_control_characters_are_refused(ours: Served) -> None:
    for text in ("\x1b[2J\n\r\0", "\u202e\u2028", "../../etc/passwd", "n" * 100_000):
        for field in ("name", "signature_name", "version_label"):
            request = predict_request({"waveform": clips(1)})
            setattr(request.model_spec, field, text)
            with pytest.raises(grpc.RpcError) as caught:
                ours.prediction.Predict(request, timeout=DEADLINE_S)
            assert caught.value.code().name in (
                "NOT_FOUND",
                "INVALID_ARGUMENT",
                "FAILED_PRECONDITION",
            )
            assert len(caught.value.details()) < 2000


def test_a_message_that_is_too_large_is_refused(
    ours: Served, requires_program: Callable[[str, str], str]
) -> None:
    too_large = np.zeros((1, (MAX_MESSAGE_MB << 20) // 4 + 1), np.float32)
    with pytest.raises(grpc.RpcError) as caught:
        ours.prediction.Predict(predict_request({"waveform": too_large}), timeout=DEADLINE_S)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert_clear(caught.value.details())
    program = requires_program("curl", "curl")
    body = json.dumps({"instances": [[0.0] * (MAX_MESSAGE_MB << 18)]})
    assert len(body) > MAX_MESSAGE_MB << 20
    for more in ((), ("--header", "Transfer-Encoding: chunked")):
        answer = curl(program, ours, "/v1/models/genreflow:predict", body, *more)
        assert answer.status == 413
        assert_clear(answer.error)


def test_deep_and_wide_json_is_refused(
    ours: Served, requires_program: Callable[[str, str], str]
) -> None:
    program = requires_program("curl", "curl")
    bodies = [
        '{"instances":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"instances":' + '{"a":' * 90_000 + "1" + "}" * 90_000 + "}",
        '{"instances":[' + "[]," * 2_000_000 + "[]]}",
        '{"instances":[[' + "1" * 100_000 + "]]}",
        '{"instances":[[1e999999]]}',
        '{"instances":[[' + "0," * 2_000_000 + "0]]}",
        '{"a":' * 200 + "1" + "}" * 200,
        json.dumps({"signature_name": "s" * 1_000_000, "instances": [[1.0]]}),
        json.dumps({"instances": [{"n" * 1_000_000: [1.0]}]}),
        json.dumps({"instances": [["x" * 1_000_000]]}),
    ]
    for body in bodies:
        answer = curl(program, ours, "/v1/models/genreflow:predict", body)
        assert answer.status == 400, body[:40]
        assert_clear(answer.error)
