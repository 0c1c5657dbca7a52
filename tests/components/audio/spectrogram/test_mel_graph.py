"""The in-graph front end compared with librosa, on difficult sounds and on real music."""

from __future__ import annotations

import pathlib

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import tensorflow as tf

from components.audio.clips import cut
from components.audio.decoding import decode
from components.audio.params import AudioParams
from components.audio.spectrogram import mel, mel_graph

PARAMS = AudioParams()
SMALL = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=100, n_mels=16, clip_seconds=0.25
)
WIDE = AudioParams(
    sample_rate_hz=44100, fft_samples=4096, hop_samples=1024, n_mels=96, clip_seconds=1.0
)
MUSICNN = AudioParams.of_front_end("musicnn")

# The guaranteed bounds of "mel_db", by level below the clip's peak, and that of "musicnn".
BOUND_TO_60_DB = 1e-3
BOUND_TO_80_DB = 5e-3
MUSICNN_BOUND_DB = 1e-4


def errors_db(clips: npt.NDArray[np.float32], params: AudioParams) -> tuple[float, float]:
    """Return the largest differences from librosa in dB: down to 60 dB, and down to 80."""
    reference = mel.log_mel(clips, params)
    ours = mel_graph.log_mel(tf.constant(clips), params).numpy()
    assert ours.shape == reference.shape
    assert ours.dtype == np.float32
    difference = np.abs(ours - reference)
    return float(difference[reference >= -60].max(initial=0)), float(difference.max())


def hard_sounds(params: AudioParams) -> dict[str, npt.NDArray[np.float32]]:
    samples = params.clip_samples
    time_s = np.arange(samples) / params.sample_rate_hz
    half_hz = params.sample_rate_hz / 2
    rng = np.random.default_rng(0)
    sounds = {
        "silence": np.zeros(samples),
        "constant": np.ones(samples),
        "impulse at the start": np.eye(1, samples, 0)[0],
        "impulse in the middle": np.eye(1, samples, samples // 2)[0],
        "impulse at the end": np.eye(1, samples, samples - 1)[0],
        "noise": rng.normal(0, 0.1, samples),
        "almost silent noise": rng.normal(0, 1e-5, samples),
        "linear sweep": scipy.signal.chirp(time_s, 20, time_s[-1], half_hz),
        "slow sweep": scipy.signal.chirp(time_s, 20, time_s[-1], half_hz, method="logarithmic"),
        "square wave": np.sign(np.sin(2 * np.pi * 220 * time_s)),
        "full-scale 16-bit tone": np.round(np.sin(2 * np.pi * 440 * time_s) * 32767) / 32768,
        "16-bit scale": 32768 * np.sin(2 * np.pi * 440 * time_s),
        "half silence": np.where(time_s < time_s[-1] / 2, 0, rng.normal(0, 0.1, samples)),
    }
    for share in (0.0025, 0.01, 0.04, 0.0907, 0.2721, 0.5, 0.7256, 0.9976):
        for level in (1.0, 1e-3):
            tone = level * np.sin(2 * np.pi * share * half_hz * time_s)
            sounds[f"{share * half_hz:.1f} Hz at {level}"] = tone
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


@pytest.mark.parametrize("params", [PARAMS, SMALL, WIDE], ids=["default", "small", "wide"])
def test_hard_sounds_agree_with_librosa(params: AudioParams) -> None:
    for name, sound in hard_sounds(params).items():
        to_60, to_80 = errors_db(sound[np.newaxis], params)
        assert to_60 <= BOUND_TO_60_DB, name
        assert to_80 <= BOUND_TO_80_DB, name


def test_hard_sounds_agree_in_musicnns_front_end() -> None:
    for name, sound in hard_sounds(MUSICNN).items():
        assert errors_db(sound[np.newaxis], MUSICNN)[1] <= MUSICNN_BOUND_DB, name


def test_real_wavs_agree_with_librosa(real_data: pathlib.Path) -> None:
    paths = sorted(real_data.glob("gtzan/*/*.wav"))
    assert len(paths) == 55
    check_files(paths)


def test_real_wavs_agree_in_musicnns_front_end(real_data: pathlib.Path) -> None:
    for path in sorted(real_data.glob("gtzan/*/*.wav"))[::5]:
        samples, rate_hz = decode.decode(path)
        clips = cut(decode.resample(samples, rate_hz, 16000), MUSICNN.clip_samples)
        assert errors_db(clips, MUSICNN)[1] <= MUSICNN_BOUND_DB, path.name


def test_real_mp3s_agree_with_librosa(real_data: pathlib.Path) -> None:
    paths = sorted(real_data.glob("fma/fma_small/*/*.mp3"))
    assert len(paths) == 3
    check_files(paths)


def check_files(paths: list[pathlib.Path]) -> None:
    worst = (0.0, 0.0)
    for path in paths:
        samples, rate_hz = decode.decode(path)
        at_rate = decode.resample(samples, rate_hz, PARAMS.sample_rate_hz)
        to_60, to_80 = errors_db(cut(at_rate, PARAMS.clip_samples), PARAMS)
        assert to_60 <= BOUND_TO_60_DB, path.name
        assert to_80 <= BOUND_TO_80_DB, path.name
        worst = (max(worst[0], to_60), max(worst[1], to_80))
    print(f"{len(paths)} files: {worst[0]:.1e} dB down to 60, {worst[1]:.1e} dB down to 80")


def test_silence_is_zero_everywhere() -> None:
    silent = tf.zeros([2, SMALL.clip_samples])
    np.testing.assert_array_equal(mel_graph.log_mel(silent, SMALL).numpy(), 0.0)


def test_clips_of_a_batch_do_not_touch_each_other() -> None:
    clips = np.stack(list(hard_sounds(SMALL).values()))
    batch = mel_graph.log_mel(tf.constant(clips), SMALL).numpy()
    for index in range(len(clips)):
        one = mel_graph.log_mel(tf.constant(clips[index : index + 1]), SMALL).numpy()[0]
        np.testing.assert_allclose(batch[index], one, atol=1e-4)


def test_no_clips_make_no_pictures() -> None:
    shape = mel_graph.log_mel(tf.zeros([0, SMALL.clip_samples]), SMALL).shape
    assert shape == (0, SMALL.n_mels, SMALL.frames)


@pytest.mark.parametrize("missing", [-1, 1])
def test_clips_of_another_length_are_refused_when_the_graph_runs(missing: int) -> None:
    anything = tf.function(
        lambda waveform: mel_graph.log_mel(waveform, SMALL),
        input_signature=[tf.TensorSpec([None, None])],
    )
    with pytest.raises(tf.errors.InvalidArgumentError):
        anything(tf.zeros([1, SMALL.clip_samples - missing]))


def test_the_graph_is_core_operations_and_constants() -> None:
    function = tf.function(lambda waveform: mel_graph.log_mel(waveform, SMALL))
    concrete = function.get_concrete_function(tf.TensorSpec([None, SMALL.clip_samples]))
    definition = concrete.graph.as_graph_def()
    operations = {node.op for node in definition.node}
    operations |= {node.op for f in definition.library.function for node in f.node_def}
    assert "RFFT" in operations
    assert not {op for op in operations if "Py" in op or op.startswith("IO>")}
    assert concrete.variables == ()
