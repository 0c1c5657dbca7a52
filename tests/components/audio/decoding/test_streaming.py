"""Streaming: the same samples as the whole recording's, in this process and in another."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from components.audio.decoding import decode, streaming
from components.audio.decoding.decode import MAX_SECONDS, DecodeError
from components.audio.decoding.decode_tasks import TASKS, DecodeResult
from components.audio.decoding.decoder import (
    MAX_DETAIL_CHARACTERS,
    Decoder,
    InProcessDecoder,
    _part,
)
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits


@pytest.fixture(scope="module", params=["in process", "isolated"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    one = InProcessDecoder() if request.param == "in process" else IsolatedDecoder(DecodeLimits())
    with one as opened:
        yield opened


def noise(samples: int, channels: int = 2, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(0, 0.2, (samples, channels)), -1, 1).astype(np.float32)


def joined(decoder: Decoder, path: pathlib.Path, rate_hz: int, size: int) -> list[streaming.Part]:
    found = list(decoder.stream(path, rate_hz, size))
    assert [len(part.samples) for part in found[:-1]] == [size] * (len(found) - 1)
    assert len(found[-1].samples) < size
    return found


@pytest.mark.parametrize("name", ["a.wav", "a.au", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100])
def test_the_parts_are_the_whole_to_the_last_bit(
    decoder: Decoder, tmp_path: pathlib.Path, name: str, rate_hz: int
) -> None:
    path = tmp_path / name
    soundfile.write(path, noise(3 * 44100 + 17), 44100)
    whole = decoder.decode(path, rate_hz)
    for size in (997, 65536, len(whole.samples), len(whole.samples) + 1):
        found = joined(decoder, path, rate_hz, size)
        np.testing.assert_array_equal(np.concatenate([p.samples for p in found]), whole.samples)
        assert found[-1].seconds == whole.seconds


@pytest.mark.parametrize("rates_hz", [(44100, 22050), (22050, 22050), (48000, 22050)])
def test_windows_whose_channels_cancel_are_marked(
    decoder: Decoder, tmp_path: pathlib.Path, rates_hz: tuple[int, int]
) -> None:
    file_rate_hz, rate_hz = rates_hz
    samples = noise(7 * file_rate_hz + 100, channels=1) * np.float32([1, 1])
    for second in (1, 2, 5):
        samples[second * file_rate_hz : (second + 1) * file_rate_hz, 1] *= -1
    soundfile.write(tmp_path / "a.wav", samples, file_rate_hz)
    for windows in (1, 2, 3, 7, 8):
        found = list(decoder.stream(tmp_path / "a.wav", rate_hz, rate_hz, windows))
        assert [len(part.cancelled) for part in found] == [
            len(part.samples) // rate_hz for part in found
        ]
        cancelled = [one for part in found for one in part.cancelled]
        assert cancelled == [False, True, True, False, False, True, False]


def test_more_blocks_than_one_and_every_channel_count(
    decoder: Decoder, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", 1000)  # in this process
    for channels, samples in itertools.product((1, 2, 3), (999, 1000, 1001, 200_001)):
        soundfile.write(tmp_path / "a.wav", noise(samples, channels), 48000)
        whole = decoder.decode(tmp_path / "a.wav", 22050).samples
        found = joined(decoder, tmp_path / "a.wav", 22050, 300)
        np.testing.assert_array_equal(np.concatenate([p.samples for p in found]), whole)


def test_a_file_is_never_sought_in(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """soundfile seeks after every read, and seeks in mp3 are not exact."""
    soundfile.write(tmp_path / "a.mp3", noise(3 * 44100), 44100)
    monkeypatch.setattr(soundfile.SoundFile, "seek", lambda *_: pytest.fail("sought"))
    assert sum(len(part.samples) for part in streaming.parts(tmp_path / "a.mp3", 8000, 999))


def test_progress_is_told_in_seconds_of_the_file(decoder: Decoder, tmp_path: pathlib.Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(10 * 44100), 44100)
    found = joined(decoder, tmp_path / "a.wav", 22050, 2 * 22050)
    assert {part.claimed_seconds for part in found} == {10.0}
    seconds = [part.seconds for part in found]
    assert seconds == sorted(seconds)
    # Reading a part takes its own length of the file, plus at most a block and a filter.
    for index, part in enumerate(found):
        assert 2 * (index + 1) <= part.seconds + 1e-9 or part.seconds == 10.0
        assert part.seconds <= 2 * (index + 1) + 2 * decode.BLOCK_SAMPLES / 44100
    assert seconds[-1] == 10.0


def test_two_recordings_in_turns_keep_apart(decoder: Decoder, tmp_path: pathlib.Path) -> None:
    paths = [tmp_path / "a.wav", tmp_path / "b.mp3"]
    for seed, path in enumerate(paths):
        soundfile.write(path, noise(44100, seed=seed), 44100)
    wholes = [decoder.decode(path, 22050).samples for path in paths]
    streams = [decoder.stream(path, 22050, 5000) for path in paths]
    turns = list(zip(*streams, strict=True))
    for index, whole in enumerate(wholes):
        parts = [turn[index].samples for turn in turns]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_process_that_never_gave_the_part_before_gives_the_same(tmp_path: pathlib.Path) -> None:
    """A process that replaces a dead one gets no earlier parts."""
    soundfile.write(tmp_path / "a.mp3", noise(44100), 44100)
    path = str(tmp_path / "a.mp3")
    in_order = [TASKS["part"](path, 8000, 1000, 1, index).samples for index in range(9)]
    for index in (5, 0, 8, 2):
        np.testing.assert_array_equal(TASKS["part"](path, 8000, 1000, 1, index).samples,
                                      in_order[index])  # fmt: skip


@pytest.mark.usefixtures("faulty_decoder")
def test_a_crash_costs_the_file_alone(tmp_path: pathlib.Path) -> None:
    crash, good = tmp_path / "segfault.wav", tmp_path / "good.wav"
    for path in (crash, good):
        soundfile.write(path, noise(8000), 8000)
    with IsolatedDecoder(DecodeLimits()) as isolated:
        for path, parts in ((good, 5), (crash, 0), (good, 5)):
            if parts:
                assert len(list(isolated.stream(path, 8000, 2000))) == parts
                continue
            with pytest.raises(DecodeError) as caught:
                next(isolated.stream(path, 8000, 2000))
            assert caught.value.reason == "decoder_crashed"


def test_bad_samples_and_broken_files_are_found_where_they_come(
    decoder: Decoder, tmp_path: pathlib.Path
) -> None:
    samples = noise(200_000, 1)
    samples[150_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 8000, subtype="FLOAT")
    stream = decoder.stream(tmp_path / "nan.wav", 8000, 10_000)
    assert len(next(stream).samples) == 10_000
    with pytest.raises(DecodeError) as caught:
        list(stream)
    assert caught.value.reason == "not_finite"
    (tmp_path / "text.mp3").write_text("not music\n" * 100)
    for name, reason in (("none.mp3", "missing_file"), ("text.mp3", "undecodable")):
        with pytest.raises(DecodeError) as caught:
            list(decoder.stream(tmp_path / name, 8000, 1000))
        assert caught.value.reason == reason


def test_nothing_at_all_is_one_empty_part(decoder: Decoder, tmp_path: pathlib.Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.empty((0, 1), np.float32), 44100)
    (part,) = decoder.stream(tmp_path / "a.wav", 22050, 100)
    assert (len(part.samples), part.seconds, part.claimed_seconds) == (0, 0.0, 0.0)


def test_longer_than_what_is_decoded_at_once_and_not_without_end(
    decoder: Decoder, tmp_path: pathlib.Path
) -> None:
    hours = tmp_path / "hours.wav"
    soundfile.write(hours, np.zeros(int(1.5 * MAX_SECONDS) * 4000, np.int16), 4000, "PCM_U8")
    with pytest.raises(DecodeError) as caught:
        decoder.decode(hours, 4000)
    assert caught.value.reason == "too_long"
    assert sum(len(p.samples) for p in decoder.stream(hours, 4000, 1 << 20)) == 5400 * 4000
    header = hours.read_bytes()[:40]
    endless = tmp_path / "endless.wav"
    size = (24 * 3600 + 1) * 4000
    with endless.open("wb") as file:  # a sparse file, which needs no disk space
        file.write(header[:4] + (size + 36).to_bytes(4, "little") + header[8:])
        file.write(size.to_bytes(4, "little"))
        file.truncate(size + 44)
    with pytest.raises(DecodeError) as caught:
        next(decoder.stream(endless, 4000, 1000))
    assert caught.value.reason == "too_long"


def test_real_songs_by_parts_are_the_whole(decoder: Decoder, real_data: pathlib.Path) -> None:
    songs = sorted(real_data.glob("fma/fma_small/*/*.mp3")) + sorted(real_data.glob("gtzan/*/*"))
    assert songs
    for path in songs:
        whole = decoder.decode(path, 22050)
        found = joined(decoder, path, 22050, 16 * 44100)
        np.testing.assert_array_equal(np.concatenate([p.samples for p in found]), whole.samples)


def test_a_cut_file_is_read_as_far_as_it_goes_and_says_so(
    decoder: Decoder, tmp_path: pathlib.Path
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(10 * 8000, 1), 8000)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[: 44 + 4 * 8000 * 2])
    found = joined(decoder, tmp_path / "a.wav", 8000, 3 * 8000)
    assert sum(len(part.samples) for part in found) == 4 * 8000
    assert [len(part.faults) for part in found] == [0, 1]
    (fault,) = found[-1].faults
    assert fault.reason == "truncated"
    assert fault.detail == "4.0 s of audio, but its header says 10.0 s"
    with pytest.raises(DecodeError) as caught:
        decoder.header(tmp_path / "a.wav")
    assert (caught.value.reason, caught.value.detail) == (fault.reason, fault.detail)


def test_faults_from_the_decoding_process_are_checked() -> None:
    values = {
        "seconds": 1.0,
        "claimed_seconds": None,
        "cancelled": [],
        "faults": [["truncated", "x" * 9999]],
    }
    (fault,) = _part(DecodeResult(values), 8000).faults
    assert len(fault.detail) == MAX_DETAIL_CHARACTERS
    for bad in ([["unknown", "x"]], [["truncated", 3]], [["truncated"]], [[[], "x"]], None):
        with pytest.raises((TypeError, ValueError)):
            _part(DecodeResult({**values, "faults": bad}), 8000)
    with pytest.raises(ValueError, match="1 windows"):
        _part(DecodeResult({**values, "cancelled": [True]}), 8000)
