"""Tests of the exported SavedModel: its signatures, their errors, agreement and files."""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from components.audio.clips import cut
from components.audio.decoding import decode
from components.audio.params import AudioParams
from components.audio.spectrogram import mel
from components.audio.spectrogram.stored import from_stored, to_stored
from components.examples.writer import Clip, serialize
from components.export.serving_module import CLIPS_AT_ONCE, ServingModule, pictures
from components.models import registry
from components.models.settings import ModelSettings
from components.trainer import export

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)
GENRES = ("Électro", "Folk", "Rock")
CLIP = PARAMS.clip_samples

Exported = dict[str, Callable[..., dict[str, tf.Tensor]]]


def small_network(params: AudioParams, genres: int, seed: int = 1) -> keras.Model:
    """Return a convolutional network whose predictions differ clearly between clips."""
    keras.utils.set_random_seed(seed)
    mel_db = keras.Input((params.n_mels, params.frames), name="mel_db")
    x = keras.layers.Rescaling(1 / 40, offset=1)(mel_db)
    x = keras.layers.Reshape((params.n_mels, params.frames, 1))(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(mel_db, keras.layers.Dense(genres, activation="softmax")(x))


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return small_network(PARAMS, len(GENRES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: keras.Model) -> pathlib.Path:
    path = tmp_path_factory.mktemp("export") / "model"
    card = {"architecture": "test", "note": "naïve"}
    export.export_saved_model(network, str(path), params=PARAMS, genres=GENRES, model_card=card)
    return path


@pytest.fixture(scope="module")
def loaded(folder: pathlib.Path) -> Any:
    return tf.saved_model.load(str(folder))


@pytest.fixture(scope="module")
def signatures(loaded: Any) -> Exported:
    return dict(loaded.signatures)


def sound(samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """16-bit noise in an octave band, as float32: the same through a WAV file."""
    rng = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples) * rng.uniform(0.05, 1.5)) * 0.5
    return (np.round((tone + rng.normal(0, 0.05, samples)) * 20000) / 32768).astype(np.float32)


def wav_bytes(samples: npt.NDArray[Any], rate_hz: int = 8000, subtype: str = "PCM_16") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, subtype=subtype, format="WAV")
    return stream.getvalue()


def expected(network: keras.Model, clips: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Predict `[clips, samples]` by librosa and Keras alone: `[clips, genres]`."""
    pictures = from_stored(to_stored(mel.log_mel(clips, PARAMS)))
    return np.asarray(network(pictures, training=False))


def from_waveform(signatures: Exported, waveform: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    answer = signatures["serving_default"](waveform=tf.constant(waveform, tf.float32))
    return answer["probabilities"].numpy()


def from_wav(signatures: Exported, files: list[bytes]) -> npt.NDArray[np.float32]:
    return signatures["serving_wav"](audio=tf.constant(files, tf.string))["probabilities"].numpy()


def test_the_signatures_are_exactly_those_of_the_design(signatures: Exported) -> None:
    inputs = {
        name: {key: (spec.dtype, spec.shape.rank) for key, spec in arguments.items()}
        for name, function in signatures.items()
        for arguments in [function.structured_input_signature[1]]  # type: ignore[attr-defined]
    }
    assert inputs == {
        "serving_default": {"waveform": (tf.float32, 2)},
        "serving_wav": {"audio": (tf.string, 1)},
        "serving_examples": {"examples": (tf.string, 1)},
        "describe": {"query": (tf.string, 1)},
    }
    for name in ("serving_default", "serving_wav", "serving_examples"):
        outputs = signatures[name].structured_outputs  # type: ignore[attr-defined]
        found = {key: (spec.dtype, spec.shape.as_list()) for key, spec in outputs.items()}
        counts = {} if name == "serving_examples" else {"audible_windows": (tf.int64, [None])}
        assert found == {
            "probabilities": (tf.float32, [None, 3]),
            "genres": (tf.string, [None, 3]),
            **counts,
        }
    outputs = signatures["describe"].structured_outputs  # type: ignore[attr-defined]
    assert {key: (spec.dtype, spec.shape.as_list()) for key, spec in outputs.items()} == {
        "genres": (tf.string, [None, 3]),
        "sample_rate_hz": (tf.int64, [None]),
        "clip_samples": (tf.int64, [None]),
        "audio_params": (tf.string, [None]),
        "model_card": (tf.string, [None]),
        "evaluation": (tf.string, [None]),
    }


@pytest.mark.parametrize("questions", [[], [""], ["what?", b"\xff\0", ""]])
def test_describe_says_the_same_to_every_question(
    signatures: Exported, questions: list[str | bytes]
) -> None:
    answer = signatures["describe"](query=tf.constant(questions, tf.string))
    said = {name: value.numpy().tolist() for name, value in answer.items()}
    rows = len(questions)
    cards = [json.loads(card) for card in said.pop("model_card")]
    assert [len(card.pop("model_digest")) for card in cards] == [64] * rows
    assert cards == [{"architecture": "test", "note": "naïve"}] * rows
    assert said == {
        "genres": [[name.encode() for name in GENRES]] * rows,
        "sample_rate_hz": [8000] * rows,
        "clip_samples": [CLIP] * rows,
        "audio_params": [PARAMS.digest().encode()] * rows,
        "evaluation": [b""] * rows,
    }


def test_the_assets_lie_beside_the_graph_and_no_id_is_left(folder: pathlib.Path) -> None:
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets/genres.json",
        "assets/audio_params.json",
        "assets/model_card.json",
        "assets.extra/tf_serving_warmup_requests",
    }
    assets = {p.stem: json.loads(p.read_text("utf-8")) for p in (folder / "assets").iterdir()}
    assert assets["genres"] == list(GENRES)
    assert assets["audio_params"] == {"digest": PARAMS.digest(), "params": PARAMS.to_json()}
    assert assets["model_card"]["architecture"] == "test"
    assert list(folder.parent.iterdir()) == [folder]


def test_one_clip_gives_what_librosa_and_keras_give(
    signatures: Exported, network: keras.Model
) -> None:
    clips = np.stack([sound(CLIP, seed) for seed in range(5)])
    reference = expected(network, clips)
    assert np.ptp(reference, axis=0).max() > 0.05  # it does depend on the sound
    np.testing.assert_allclose(from_waveform(signatures, clips), reference, atol=1e-4)


def test_waveforms_get_the_rounding_of_stored_examples(tmp_path: pathlib.Path) -> None:
    # Stored values are whole steps of 1/512 dB; this network answers how far off such a
    # grid its input is, 0.5 for not at all.
    mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames))
    off_grid = keras.ops.abs(mel_db * 512.0 - keras.ops.round(mel_db * 512.0))
    p = keras.ops.sigmoid(keras.ops.sum(off_grid, axis=(1, 2)))
    model = keras.Model(mel_db, keras.ops.stack([p, 1 - p], axis=1))
    tone = np.sin(np.arange(CLIP) * 0.3).astype(np.float32)[np.newaxis]
    picture = mel.log_mel(tone, PARAMS)
    assert float(np.asarray(model(picture))[0, 0]) > 0.9
    export.export_saved_model(
        model, str(tmp_path / "m"), params=PARAMS, genres=("a", "b"), model_card={}
    )
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    np.testing.assert_array_equal(from_waveform(dict(loaded.signatures), tone), [[0.5, 0.5]])


@pytest.mark.parametrize("extra", [0, 1, CLIP - 1])
def test_longer_waveforms_are_averaged_over_whole_clips(
    signatures: Exported, network: keras.Model, extra: int
) -> None:
    waveform = np.stack([sound(3 * CLIP + extra, seed) for seed in (1, 2)])
    clips = waveform[:, : 3 * CLIP].reshape(6, CLIP)
    mean = expected(network, clips).reshape(2, 3, 3).mean(axis=1)
    np.testing.assert_allclose(from_waveform(signatures, waveform), mean, atol=1e-4)


@pytest.mark.parametrize("clips", [CLIPS_AT_ONCE, CLIPS_AT_ONCE + 1, 50])
def test_any_number_of_clips_goes_through_in_chunks(
    signatures: Exported, network: keras.Model, clips: int
) -> None:
    waveform = sound(clips * CLIP)[np.newaxis]
    mean = expected(network, waveform.reshape(clips, CLIP)).mean(axis=0, keepdims=True)
    np.testing.assert_allclose(from_waveform(signatures, waveform), mean, atol=1e-4)


def test_answers_are_probabilities_with_their_genres(signatures: Exported) -> None:
    answer = signatures["serving_default"](waveform=tf.constant([sound(CLIP)] * 2))
    np.testing.assert_allclose(answer["probabilities"].numpy().sum(axis=1), 1, atol=1e-5)
    names = [[name.decode() for name in row] for row in answer["genres"].numpy()]
    assert names == [list(GENRES)] * 2


def test_silent_clips_are_left_out_of_the_average(
    signatures: Exported, network: keras.Model
) -> None:
    loud, other = sound(CLIP, 1), sound(CLIP, 2)
    level = np.sqrt(np.mean(np.square(loud)))
    quiet, almost = loud * (10**-3.01 / level), other * (10**-2.99 / np.std(other))
    rows = [[loud, other], [quiet, loud], [np.zeros(CLIP), quiet], [quiet, almost]]
    waveform = np.array([np.concatenate(row) for row in rows], np.float32)
    answer = signatures["serving_default"](waveform=tf.constant(waveform))
    assert answer["audible_windows"].numpy().tolist() == [2, 1, 0, 1]
    assert answer["audible_windows"].dtype == tf.int64
    of_loud, of_other, of_almost = expected(network, np.stack([loud, other, almost]))
    np.testing.assert_allclose(
        answer["probabilities"],
        [(of_loud + of_other) / 2, of_loud, np.zeros(3), of_almost],
        atol=1e-4,
    )
    wav = signatures["serving_wav"](audio=tf.constant([wav_bytes(row) for row in waveform]))
    assert wav["audible_windows"].numpy().tolist() == [2, 1, 0, 1]
    np.testing.assert_allclose(wav["probabilities"][:3], answer["probabilities"][:3], atol=1e-4)


def test_clips_of_a_wav_file_whose_channels_cancel_are_left_out(
    signatures: Exported, network: keras.Model
) -> None:
    left, right = sound(3 * CLIP, 1), sound(3 * CLIP, 1)
    right[CLIP : 2 * CLIP] *= -1
    pairs = ((left, right), (left, -0.8 * left), (left, 0 * left))
    files = [np.stack(pair, axis=1) for pair in pairs]
    answer = signatures["serving_wav"](audio=tf.constant([wav_bytes(file) for file in files]))
    assert answer["audible_windows"].numpy().tolist() == [2, 0, 3]
    first, _, last = expected(network, left.reshape(3, CLIP))
    np.testing.assert_allclose(
        answer["probabilities"][:2], [(first + last) / 2, [0] * 3], atol=1e-3
    )


def test_empty_batches_get_empty_answers(signatures: Exported) -> None:
    assert from_waveform(signatures, np.zeros((0, CLIP))).shape == (0, 3)
    assert from_wav(signatures, []).shape == (0, 3)
    answer = signatures["serving_examples"](examples=tf.constant([], tf.string))
    assert answer["genres"].shape == (0, 3)


@pytest.mark.parametrize("samples", [0, 1, CLIP - 1])
def test_less_than_one_clip_says_how_many_samples_are_needed(
    signatures: Exported, samples: int
) -> None:
    needs = f"needs {CLIP} samples.*{samples}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=needs):
        from_waveform(signatures, np.zeros((1, samples)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=needs):
        from_wav(signatures, [wav_bytes(np.zeros(samples))])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -1e7])
@pytest.mark.parametrize("where", [0, CLIP, 2 * CLIP + 1])
def test_samples_that_are_no_sound_are_refused_even_in_the_tail(
    signatures: Exported, bad: float, where: int
) -> None:
    waveform = np.stack([sound(2 * CLIP + 5)] * 2)
    waveform[1, where] = bad
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite, or far beyond"):
        from_waveform(signatures, waveform)


def test_wav_files_of_different_lengths_go_in_one_batch(signatures: Exported) -> None:
    sounds = [sound(CLIP, 1), sound(4 * CLIP + 7, 2), sound(2 * CLIP, 3)]
    together = from_wav(signatures, [wav_bytes(s) for s in sounds])
    for row, one in zip(together, sounds, strict=True):
        np.testing.assert_allclose(row, from_waveform(signatures, one[np.newaxis])[0], atol=1e-5)


def test_all_channels_of_a_wav_file_are_averaged(signatures: Exported) -> None:
    left, right = sound(CLIP, 1), sound(CLIP, 2)
    stereo = from_wav(signatures, [wav_bytes(np.stack([left, right], axis=1))])
    mean = from_waveform(signatures, ((left + right) / 2)[np.newaxis])
    np.testing.assert_allclose(stereo, mean, atol=1e-4)
    assert np.abs(stereo - from_waveform(signatures, left[np.newaxis])).max() > 1e-3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav_bytes(sound(9000), 44100), "8000 Hz; this one has 44100 Hz"),
        (
            wav_bytes(sound(9000), subtype="PCM_24"),
            "16-bit PCM WAV files at 8000 Hz; this one has 24 bits",
        ),
        (wav_bytes(sound(9000), subtype="FLOAT"), "16-bit PCM WAV files.*format code 3"),
        (wav_bytes(sound(9000), subtype="ULAW"), "16-bit PCM WAV files.*format code 7"),
        (b"ID3 this is an mp3", "16-bit PCM WAV files.*this is no WAV file"),
        (b"", "this is no WAV file"),
    ],
)
def test_other_rates_and_codings_are_refused_with_the_reason(
    signatures: Exported, content: bytes, message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        from_wav(signatures, [wav_bytes(sound(CLIP)), content])


def example(picture: npt.NDArray[np.uint16]) -> bytes:
    return serialize(Clip("t", "a", GENRES[0], 0, 0, 0.0, picture), PARAMS)


def test_examples_need_only_their_spectrogram(signatures: Exported, network: keras.Model) -> None:
    clips = np.stack([sound(CLIP, seed) for seed in range(20)])
    pictures = to_stored(mel.log_mel(clips, PARAMS))
    labelled = [example(picture) for picture in pictures]
    unlabelled = []
    for serialized in labelled:
        bare = tf.train.Example()
        source = tf.train.Example.FromString(serialized)
        bare.features.feature["mel_db"].CopyFrom(source.features.feature["mel_db"])
        unlabelled.append(bare.SerializeToString())
    for batch in (labelled, unlabelled):
        answer = signatures["serving_examples"](examples=tf.constant(batch))
        np.testing.assert_allclose(
            answer["probabilities"].numpy(), expected(network, clips), atol=1e-5
        )


@pytest.mark.parametrize("content", [b"", b"\0" * (PARAMS.mel_bytes // 2), b"\0" * 3])
def test_spectrograms_of_another_size_are_refused(signatures: Exported, content: bytes) -> None:
    bare = tf.train.Example()
    bare.features.feature["mel_db"].bytes_list.value.append(content)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"needs {PARAMS.mel_bytes} bytes"):
        signatures["serving_examples"](examples=tf.constant([bare.SerializeToString()] * 2))


@pytest.mark.parametrize("bad", [40961, 65535])
def test_spectrograms_that_no_front_end_made_are_refused(signatures: Exported, bad: int) -> None:
    picture = np.zeros((PARAMS.n_mels, PARAMS.frames), np.uint16)
    picture[3, 3] = bad
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"outside \[-80, 0\] dB"):
        signatures["serving_examples"](examples=tf.constant([example(picture)]))


def test_what_is_not_an_example_is_refused(signatures: Exported) -> None:
    for content in (b"", b"nonsense"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            signatures["serving_examples"](examples=tf.constant([content]))


def operations(folder: pathlib.Path) -> set[str]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    found = {node.op for node in graph.node}
    return found | {node.op for f in graph.library.function for node in f.node_def}


def test_the_graph_runs_no_python_and_no_plugin(folder: pathlib.Path) -> None:
    found = operations(folder)
    assert {"RFFT", "DecodeRaw", "ParseExampleV2", "Conv2D", "Assert"} <= found
    assert not [op for op in found if "Py" in op or op.startswith("IO>")]
    assert not found & {"ReadFile", "WriteFile", "MatchingFiles", "PrintV2", "LoadLibrary"}
    # What tf.raw_ops has is TensorFlow's own.
    assert all(hasattr(tf.raw_ops, op) for op in found - {"DisableCopyOnRead"})


def test_the_same_model_has_the_same_digest_and_another_one_has_not(network: keras.Model) -> None:
    def digest(model: keras.Model) -> str:
        return export.model_digest(model, PARAMS, GENRES)

    assert digest(network) == digest(network)
    # Keras numbers the new layers on; the weights are the same.
    assert digest(small_network(PARAMS, 3)) == digest(small_network(PARAMS, 3))
    changed = small_network(PARAMS, 3)
    before = digest(changed)
    weights = changed.get_weights()
    weights[-1][0] = np.nextafter(weights[-1][0], np.float32(1))
    changed.set_weights(weights)
    assert digest(changed) != before
    assert export.model_digest(network, PARAMS, GENRES[::-1]) != digest(network)


def test_the_digest_sees_what_is_no_weight() -> None:
    def scaled(scale: float) -> str:
        mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames))
        x = keras.layers.Flatten()(keras.layers.Rescaling(scale)(mel_db))
        dense = keras.layers.Dense(3, activation="softmax", kernel_initializer="ones")
        return export.model_digest(keras.Model(mel_db, dense(x)), PARAMS, GENRES)

    assert scaled(0.1) == scaled(0.1)
    assert scaled(0.1) != scaled(0.2)


def refused(tmp_path: pathlib.Path, model: keras.Model, **changes: Any) -> str:
    arguments = {"params": PARAMS, "genres": GENRES, "model_card": {}, **changes}
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is the answer
        export.export_saved_model(model, str(tmp_path / "model"), **arguments)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_a_model_that_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: pathlib.Path, network: keras.Model
) -> None:
    assert "not (3, 2)" in refused(tmp_path, network, genres=("a", "b"))
    assert "distinct" in refused(tmp_path, network, genres=("a", "b", "a"))
    assert "distinct" in refused(tmp_path, network, genres=())
    assert "does not take pictures of (16, 18)" in refused(
        tmp_path, network, params=AudioParams(**{**PARAMS.to_json(), "clip_seconds": 0.275})
    )
    assert "not JSON" in refused(tmp_path, network, model_card={"loss": float("nan")})
    assert "not JSON" in refused(tmp_path, network, model_card={"path": tmp_path})


@pytest.mark.parametrize("activation", ["linear", "sigmoid"])
def test_a_model_whose_answers_are_no_probabilities_is_refused(
    tmp_path: pathlib.Path, activation: str
) -> None:
    mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames))
    x = keras.layers.Dense(3, activation=activation)(keras.layers.Flatten()(mel_db))
    assert "does not return probabilities" in refused(tmp_path, keras.Model(mel_db, x))


def test_an_existing_model_is_never_written_over(
    tmp_path: pathlib.Path, network: keras.Model
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"another one")
    with pytest.raises(FileExistsError, match="holds files already"):
        export.export_saved_model(
            network, str(tmp_path / "model"), params=PARAMS, genres=GENRES, model_card={}
        )
    assert (tmp_path / "model" / "saved_model.pb").read_bytes() == b"another one"


def test_an_export_that_dies_leaves_nothing_half_written(
    tmp_path: pathlib.Path, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space"):
        export.export_saved_model(
            network, str(tmp_path / "model"), params=PARAMS, genres=GENRES, model_card={}
        )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_and_missing_parents_are_fine(
    tmp_path: pathlib.Path, network: keras.Model
) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b"):
        export.export_saved_model(network, str(path), params=PARAMS, genres=GENRES, model_card={})
        assert (path / "saved_model.pb").is_file()


def test_on_a_store_without_renames_the_graph_comes_last(
    network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "ram://genreflow-test/model"
    written: list[str] = []
    real = tf.io.gfile.GFile

    def noting(name: str, mode: str) -> Any:
        written.append(name.removeprefix(url + "/"))
        return real(name, mode)

    monkeypatch.setattr(tf.io.gfile, "GFile", noting)
    export.export_saved_model(network, url, params=PARAMS, genres=GENRES, model_card={})
    assert len(written) == 7
    assert written[-1] == "saved_model.pb"
    model = tf.saved_model.load(url)
    assert from_waveform(dict(model.signatures), sound(CLIP)[np.newaxis]).shape == (1, 3)
    for name in written:  # rmtree takes "assets.extra" for a part of "assets" there
        tf.io.gfile.remove(f"{url}/{name}")


REAL_PARAMS = AudioParams()
MUSICNN_PARAMS = AudioParams.of_front_end("musicnn")


@pytest.mark.parametrize(
    ("architecture", "params"),
    [("cnn_small", REAL_PARAMS), ("toy", REAL_PARAMS), ("toy", MUSICNN_PARAMS)],
    ids=["cnn_small", "toy", "toy-musicnn"],
)
def test_on_real_audio_waveform_wav_and_example_agree(
    real_data: pathlib.Path, tmp_path: pathlib.Path, architecture: str, params: AudioParams
) -> None:
    paths = [
        *sorted(real_data.glob("gtzan/*/*.wav"))[::11],
        *sorted(real_data.glob("fma/fma_small/*/*.mp3")),
    ]
    clips = np.concatenate([sixteen_bit_clips(path, params)[:3] for path in paths])
    pictures = to_stored(mel.log_mel(clips, params))
    genres = tuple("abcd")
    if architecture == "toy":
        model = small_network(params, len(genres))
    else:
        model = registry.build(
            architecture, ModelSettings(), n_mels=128, frames=87, genres=len(genres), seed=0
        ).model
    # Random weights would say nearly the same of every clip.
    model.compile("adam", "sparse_categorical_crossentropy")
    labels = np.arange(len(clips)) // 3 % len(genres)
    model.fit(from_stored(pictures), labels, epochs=3, batch_size=8, verbose=0)
    folder = tmp_path / "model"
    export.export_saved_model(model, str(folder), params=params, genres=genres, model_card={})
    loaded = tf.saved_model.load(str(folder))
    signatures = dict(loaded.signatures)
    examples = [serialize(Clip("t", "", "a", 0, 0, 0.0, picture), params) for picture in pictures]
    answer = signatures["serving_examples"](examples=tf.constant(examples))
    from_examples = answer["probabilities"].numpy()
    waveforms = from_waveform(signatures, clips)
    wavs = from_wav(signatures, [wav_bytes(clip, params.sample_rate_hz) for clip in clips])
    assert np.ptp(from_examples, axis=0).max() > 0.01
    worst = np.abs(waveforms - from_examples).max()
    print(f"{architecture}: {len(clips)} clips, waveform against example {worst:.1e}")
    assert worst <= 1e-4
    assert np.abs(wavs - from_examples).max() <= 1e-4


def sixteen_bit_clips(path: pathlib.Path, params: AudioParams) -> npt.NDArray[np.float32]:
    samples, rate_hz = decode.decode(path)
    at_rate = decode.resample(samples, rate_hz, params.sample_rate_hz)
    pcm = np.clip(np.round(at_rate * 32768), -32768, 32767) / 32768
    return cut(pcm.astype(np.float32), params.clip_samples)


@pytest.mark.parametrize(("loudest", "accepted"), [(10.0, True), (10.1, False), (32768.0, False)])
def test_a_front_end_of_absolute_levels_refuses_samples_far_beyond_full_scale(
    loudest: float, accepted: bool
) -> None:
    module = ServingModule(
        tf.function(
            lambda mel_db: tf.fill([tf.shape(mel_db)[0], 2], 0.5),
            input_signature=[pictures(MUSICNN_PARAMS)],
        ),
        [],
        MUSICNN_PARAMS,
        ("a", "b"),
        "{}",
    )
    waveform = np.zeros((1, MUSICNN_PARAMS.clip_samples), np.float32)
    waveform[0, ::2] = loudest
    if accepted:
        assert module.waveform(tf.constant(waveform))["probabilities"].numpy().tolist() == [
            [0.5, 0.5]
        ]
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match="far beyond full scale"):
        module.waveform(tf.constant(waveform))
