"""Tests of the WAV reader in the graph, on files built chunk by chunk and by libsndfile."""

from __future__ import annotations

import io
import random
import struct
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import tensorflow as tf

from components.export import wav_graph

RATE_HZ = 8000
TAKES = "audio: the model takes 16-bit PCM WAV files at 8000 Hz; "
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
SAMPLES = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, (50, 2)).astype("<i2")


@pytest.fixture(scope="module")
def decode() -> Any:
    spec = tf.TensorSpec([], tf.string)
    return tf.function(lambda wav: wav_graph.decode(wav, RATE_HZ), input_signature=[spec])


def chunk(name: bytes, content: bytes, says: int | None = None, *, pad: bytes = b"\0") -> bytes:
    size = len(content) if says is None else says
    return name + struct.pack("<I", size) + content + pad * (len(content) % 2)


def form(
    code: int = 1, bits: int = 16, *, rate: int = RATE_HZ, channels: int = 2, more: bytes = b""
) -> bytes:
    frame = channels * bits // 8
    fields = (code, channels, rate, rate * frame, frame, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *fields) + more)


def extensible(guid: bytes = PCM_GUID, bits: int = 16) -> bytes:
    return form(0xFFFE, bits, more=struct.pack("<HHI", 22, bits, 3) + guid)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def data(says: int | None = None) -> bytes:
    return chunk(b"data", SAMPLES.tobytes(), says)


def by_soundfile(
    subtype: str, kind: str = "WAV", rate_hz: int = RATE_HZ, columns: int = 2
) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, SAMPLES[:, :columns], rate_hz, subtype=subtype, format=kind)
    return stream.getvalue()


def refusal(decode: Any, file: bytes) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode(file)
    return caught.value.message


@pytest.mark.parametrize(
    "file",
    [
        riff(form(), data()),
        riff(form(more=b"\0\0"), data()),
        riff(extensible(), data()),
        riff(chunk(b"LIST", b"odd"), form(), data()),
        riff(form(), chunk(b"LIST", b"INFO"), chunk(b"id3 ", b"x" * 7), data()),
        riff(form(), chunk(b"LIST", b"odd", pad=b""), data()),
        riff(form(), data(), chunk(b"LIST", b"after")),
        riff(chunk(b"JUNK", bytes(28)), chunk(b"bext", bytes(602)), form(), data()),
        *(riff(form(), data(says)) for says in (0, 0x7FFF0000, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)),
        riff(extensible(), chunk(b"LIST", b"odd"), data(0xFFFFFFFF)),
        riff(form(), data())[:4] + b"\xff\xff\xff\xff" + riff(form(), data())[8:],
        by_soundfile("PCM_16"),
        by_soundfile("PCM_16", "WAVEX"),
    ],
)
def test_16_bit_pcm_is_read_from_every_header_that_programs_write(decode: Any, file: bytes) -> None:
    got = decode(file).numpy()
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, SAMPLES / np.float32(32768))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_it_reads_what_tensorflow_itself_reads(decode: Any, channels: int) -> None:
    file = riff(form(channels=channels), chunk(b"data", SAMPLES.tobytes()[: 12 * channels]))
    np.testing.assert_array_equal(decode(file), tf.audio.decode_wav(file).audio)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (by_soundfile("PCM_U8"), "this one has 8 bits per sample"),
        (by_soundfile("PCM_24"), "this one has 24 bits per sample"),
        (by_soundfile("PCM_32"), "this one has 32 bits per sample"),
        (by_soundfile("FLOAT"), "the format code 3 instead of 1, PCM"),
        (by_soundfile("DOUBLE"), "the format code 3 instead of 1, PCM"),
        (by_soundfile("ALAW"), "the format code 6 instead of 1, PCM"),
        (by_soundfile("ULAW"), "the format code 7 instead of 1, PCM"),
        (by_soundfile("IMA_ADPCM"), "the format code 17 instead of 1, PCM"),
        (by_soundfile("GSM610", columns=1), "the format code 49 instead of 1, PCM"),
        (by_soundfile("PCM_24", "WAVEX"), "this one has 24 bits per sample"),
        (by_soundfile("FLOAT", "WAVEX"), "the format code 3 instead of 1, PCM"),
        (riff(extensible(PCM_GUID[:-1] + b"x"), data()), "the format code 65534"),
        (riff(form(0xFFFE), data()), "the format code 65534"),
        (riff(form(0x55), data()), "the format code 85"),  # mp3 in WAV
        (by_soundfile("PCM_16", rate_hz=44100), "this one has 44100 Hz"),
        (by_soundfile("PCM_24", rate_hz=44100), "this one has 24 bits per sample"),
        (by_soundfile("PCM_16", "RF64"), "this is no WAV file"),
        (by_soundfile("PCM_16", "W64"), "this is no WAV file"),
        (by_soundfile("PCM_16", "AIFF"), "this is no WAV file"),
        (by_soundfile("PCM_16", "FLAC"), "this is no WAV file"),
        (b"", "this is no WAV file"),
        (b"RIFF", "this is no WAV file"),
        (b"<!DOCTYPE html><html></html>" * 9, "this is no WAV file"),
        (riff(), "no format chunk"),
        (riff(data()), "no format chunk"),
        (riff(data(), form()), "no format chunk"),
        (riff(chunk(b"fmt ", bytes(15)), data()), "no format chunk"),
        (riff(form())[:30], "no format chunk"),
        (riff(form()), "no samples"),
        (riff(form(), chunk(b"LIST", b"x" * 9, 0xFFFFFFFF), data()), "no samples"),
        (riff(form(channels=0), data()), "is damaged"),
        (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, RATE_HZ, 0, 2, 16)), data()), "damaged"),
        (riff(form(), data(201)), "is cut: 200 bytes of samples of 201 are there"),
        (riff(form(), data())[:-50], "is cut: 150 bytes of samples of 200 are there"),
        (riff(form(), *[chunk(b"JUNK", b"")] * wav_graph.MAX_CHUNKS, data()), "no samples"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_the_promised_words(
    decode: Any, file: bytes, words: str
) -> None:
    message = refusal(decode, file)
    assert TAKES in message
    assert words in message


def test_a_frame_that_is_not_whole_is_dropped(decode: Any) -> None:
    file = riff(form(), chunk(b"data", SAMPLES.tobytes()[:11]))
    np.testing.assert_array_equal(decode(file), SAMPLES[:2] / np.float32(32768))
    assert decode(riff(form(), chunk(b"data", b"abc"))).shape == (0, 2)
    assert decode(riff(form(), chunk(b"data", b""))).shape == (0, 2)


def test_a_file_of_endless_chunks_costs_no_time(decode: Any) -> None:
    refusal(decode, riff(b""))
    begun = time.monotonic()
    refusal(decode, riff(form(), bytes(8 << 20)))
    assert time.monotonic() - begun < 2


def test_a_mutated_file_is_read_or_refused_in_words(decode: Any) -> None:
    chance = random.Random(0)
    seeds = [riff(form(), chunk(b"LIST", b"odd"), data()), riff(extensible(), data())]
    read, refusals = 0, []
    for _ in range(400):
        file = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 5))):
            file[chance.randrange(min(len(file), 80))] = chance.choice((0, 1, 2, 16, 127, 255))
        whole = bytes(file[: chance.choice((len(file), chance.randrange(len(file))))])
        try:
            read += decode(whole).shape[0] >= 0
        except tf.errors.InvalidArgumentError as error:
            refusals.append(error.message)
    assert [message for message in refusals if TAKES not in message] == []
    assert min(read, len(refusals)) > 20


def test_numbers_beyond_the_range_of_a_signed_one_are_read(decode: Any) -> None:
    fields = struct.pack("<HHIIHH", 1, 2, 0xFFFFFFFF, 0, 4, 16)
    assert "has 4294967295 Hz" in refusal(decode, riff(chunk(b"fmt ", fields), data()))
    whole: npt.NDArray[Any] = decode(riff(form(channels=30000), data(0xFFFFFFFF))).numpy()
    assert whole.shape == (0, 30000)
