"""Tests of predictions in process, and of the models that are refused."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from components.audio.decoding.decode import DecodeError
from components.audio.params import AudioParams
from components.trainer import export
from serving.model import model_files, prediction
from serving.model.local import LocalModel
from serving.model.model_files import ModelFolderError
from serving.model.prediction import GenreModel
from tests.support import ROOT

pytestmark = pytest.mark.memory

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.25
)
CLIP = PARAMS.clip_samples
GENRES = ("Folk", "Rock", "Jazz")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return an exported version. Copy it before changing it."""
    keras.utils.set_random_seed(3)
    mel_db = keras.Input((PARAMS.n_mels, PARAMS.frames))
    x = keras.layers.Rescaling(1 / 40, offset=1)(mel_db)
    x = keras.layers.Flatten()(x)
    model = keras.Model(mel_db, keras.layers.Dense(3, activation="softmax")(x))
    path = tmp_path_factory.mktemp("served") / "1"
    export.export_saved_model(
        model, str(path), params=PARAMS, genres=GENRES, model_card={"architecture": "test"}
    )
    return path


@pytest.fixture(scope="module")
def model(exported: pathlib.Path) -> LocalModel:
    return LocalModel(exported.parent)


@pytest.fixture
def copy(exported: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(exported, tmp_path / "models" / "1"))


def sound(samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.uniform(0.02, 1.5, samples // 1000 + 1)).repeat(1000)[:samples]
    return (0.5 * np.sin(np.arange(samples) * steps / 10)).astype(np.float32)


def write(path: pathlib.Path, samples: npt.NDArray[np.float32], rate_hz: int = 8000) -> str:
    soundfile.write(path, samples, rate_hz)
    return str(path)


def test_an_average_of_models_may_be_loaded_as_one_of_them(
    exported: pathlib.Path, model: LocalModel, tmp_path: pathlib.Path
) -> None:
    """Load an ensemble, whose graph contains those of its members."""
    from components.ensemble.export import export_average

    other = tmp_path / "other"
    export.export_saved_model(
        keras.Sequential(
            [
                keras.Input((PARAMS.n_mels, PARAMS.frames)),
                keras.layers.Flatten(),
                keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros"),
            ]
        ),
        str(other),
        params=PARAMS,
        genres=GENRES,
        model_card={"parameters": 1},
        seen={"train": [], "validation": []},
    )
    again = tmp_path / "again"
    shutil.copytree(other, again)
    export_average(
        {"one": str(other), "two": str(again)},
        str(tmp_path / "models" / "1"),
        name="ensemble_networks",
        genres=GENRES,
        model_card={},
    )
    average = LocalModel(tmp_path / "models")
    windows = sound(3 * CLIP).reshape(3, CLIP)
    np.testing.assert_allclose(average.predict_windows(windows), 1 / 3, atol=1e-6)


def test_the_model_says_what_it_is(model: LocalModel, exported: pathlib.Path) -> None:
    assert model.path == exported
    assert model.genres == GENRES
    assert model.params == PARAMS
    assert model.model_card["architecture"] == "test"


@pytest.mark.parametrize(
    "clips", [1, 2, prediction.MAX_WINDOWS_PER_CALL, prediction.MAX_WINDOWS_PER_CALL + 1]
)
@pytest.mark.parametrize("tail", [0, 1, CLIP - 1])
def test_a_file_is_the_mean_of_its_windows(
    model: LocalModel, tmp_path: pathlib.Path, clips: int, tail: int
) -> None:
    path = write(tmp_path / "a.wav", sound(clips * CLIP + tail))
    got = model.predict_file(path)
    assert (got.path, got.windows) == (path, clips)
    assert got.seconds == pytest.approx((clips * CLIP + tail) / 8000)
    assert got.window_probabilities.shape == (clips, 3)
    assert got.window_probabilities.dtype == np.float32
    by_hand = dict(zip(GENRES, got.window_probabilities.mean(axis=0), strict=True))
    assert got.probabilities == pytest.approx(by_hand, abs=1e-6)
    assert list(got.probabilities.values()) == sorted(got.probabilities.values(), reverse=True)
    assert sum(got.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_each_window_is_predicted_from_its_own_sound(
    model: LocalModel, tmp_path: pathlib.Path
) -> None:
    samples = sound(20 * CLIP)
    got = model.predict_file(write(tmp_path / "a.wav", samples)).window_probabilities
    for window in (0, 7, 16, 19):
        alone = samples[window * CLIP : (window + 1) * CLIP]
        one = model.predict_file(write(tmp_path / "b.wav", alone)).window_probabilities[0]
        np.testing.assert_allclose(got[window], one, atol=1e-5)
    assert np.ptp(got, axis=0).max() > 0.01


def test_a_long_file_goes_in_calls_of_at_most_16_windows(
    model: LocalModel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[list[int]] = []
    real = model._signature

    def noting(waveform: tf.Tensor) -> Any:
        sizes.append(waveform.shape.as_list())
        return real(waveform=waveform)

    monkeypatch.setattr(model, "_signature", noting)
    model.predict_file(write(tmp_path / "a.wav", sound(35 * CLIP)))
    assert sizes == [[16, CLIP], [16, CLIP], [3, CLIP]]


def test_the_same_music_at_another_rate_in_stereo_as_mp3_gets_about_the_same_answer(
    model: LocalModel, tmp_path: pathlib.Path
) -> None:
    time_s = np.arange(2 * 44100) / 44100
    tones = [np.sin(2 * np.pi * hz * time_s) for hz in (220, 554, 1318)]
    chord = (sum(tones) / 4).astype(np.float32)
    wav = model.predict_file(write(tmp_path / "a.wav", chord, 44100))
    mp3 = model.predict_file(write(tmp_path / "a.mp3", np.stack([chord] * 2, axis=1), 44100))
    assert wav.windows == mp3.windows == 8
    assert mp3.probabilities == pytest.approx(wav.probabilities, abs=0.15)


def test_equal_probabilities_come_in_label_order(
    model: LocalModel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    even = np.array([[0.25, 0.5, 0.25]], np.float32)
    monkeypatch.setattr(model, "predict_windows", lambda windows: even)
    got = model.predict_file(write(tmp_path / "a.wav", sound(CLIP)))
    assert list(got.probabilities) == ["Rock", "Folk", "Jazz"]


def test_silence_gets_its_reason_in_place_of_genres(
    model: LocalModel, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(DecodeError, match="digital silence") as caught:
        model.predict_file(write(tmp_path / "a.wav", np.zeros(CLIP, np.float32)))
    assert caught.value.reason == "near_silent"
    both = np.concatenate([np.zeros(CLIP, np.float32), sound(CLIP)])
    got = model.predict_file(write(tmp_path / "a.wav", both))
    assert got.left_out == ("near_silent", "")
    alone = model.predict_file(write(tmp_path / "b.wav", sound(CLIP)))
    assert got.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    # The graph itself leaves out what is sent to it.
    sent = np.stack([np.zeros(CLIP, np.float32), sound(CLIP)])
    assert model.predict_windows(sent).sum(axis=1) == pytest.approx([0, 1], abs=1e-5)


def test_exactly_one_clip_is_enough_and_one_sample_less_is_not(
    model: LocalModel, tmp_path: pathlib.Path
) -> None:
    assert model.predict_file(write(tmp_path / "a.wav", sound(CLIP))).windows == 1
    with pytest.raises(DecodeError, match=r"needs at least 0\.25 s") as caught:
        model.predict_file(write(tmp_path / "a.wav", sound(CLIP - 1)))
    assert caught.value.reason == "too_short"


def test_bad_files_say_why(model: LocalModel, tmp_path: pathlib.Path) -> None:
    (tmp_path / "text.mp3").write_text("not music\n" * 100)
    for name, reason in (("text.mp3", "undecodable"), ("none.mp3", "missing_file")):
        with pytest.raises(DecodeError) as caught:
            model.predict_file(tmp_path / name)
        assert caught.value.reason == reason


@pytest.mark.usefixtures("faulty_decoder")
def test_a_file_that_crashes_the_decoder_costs_its_own_prediction_alone(
    exported: pathlib.Path, model: LocalModel, tmp_path: pathlib.Path
) -> None:
    from typer.testing import CliRunner

    from genreflow.cli.app import app

    crash = write(tmp_path / "segfault.wav", sound(CLIP))
    songs = [write(tmp_path / f"{name}.wav", sound(4 * CLIP, n)) for n, name in enumerate("ab")]
    files = [songs[0], crash, songs[1]]
    done = CliRunner().invoke(app, ["predict", *files, "-m", str(exported), "--json"])
    assert done.exit_code == 1
    answers = json.loads(done.stdout)
    assert [answer["file"] for answer in answers] == songs
    for answer in answers:
        expected = model.predict_file(answer["file"]).probabilities
        assert answer["probabilities"] == pytest.approx(expected, abs=1e-6)
    (line,) = [line for line in done.stderr.splitlines() if "segfault" in line]
    assert line == f"genreflow: {crash}: the decoder ended by SIGSEGV (decoder_crashed)"


def test_real_mp3s_get_predictions(real_data: pathlib.Path, model: LocalModel) -> None:
    for path in sorted(real_data.glob("fma/fma_small/*/*.mp3")):
        got = model.predict_file(path)
        assert got.windows == int(got.seconds / 0.25)
        assert np.isfinite(got.window_probabilities).all()


# Choice of the version


def test_the_highest_complete_version_is_taken_by_number(copy: pathlib.Path) -> None:
    root = copy.parent
    for name in ("9", "10"):
        shutil.copytree(copy, root / name)
    (root / "11").mkdir()  # a copy that has just begun
    shutil.copytree(copy, root / "12")
    (root / "12" / "saved_model.pb").unlink()  # written last
    shutil.copytree(copy, root / "99x")
    (root / "13").write_text("a file")
    assert model_files.resolve_version(root) == root / "10"


def test_one_version_can_be_given_itself(copy: pathlib.Path) -> None:
    assert model_files.resolve_version(copy) == copy
    assert model_files.resolve_version(str(copy) + "/") == copy


def test_a_link_to_the_whole_folder_is_followed(copy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(copy.parent)
    assert model_files.resolve_version(tmp_path / "link") == copy


def test_a_link_between_versions_stays_inside(copy: pathlib.Path) -> None:
    (copy.parent / "2").symlink_to("1")
    assert model_files.resolve_version(copy.parent) == copy


def test_links_that_lead_out_are_refused(copy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    outside = shutil.copytree(copy, tmp_path / "outside")
    (copy.parent / "2").symlink_to(outside)
    with pytest.raises(ModelFolderError, match="2 is a link that leads out"):
        model_files.resolve_version(copy.parent)
    (copy.parent / "2").unlink()
    (copy / "assets" / "genres.json").unlink()
    (copy / "assets" / "genres.json").symlink_to("/etc/hostname")
    with pytest.raises(ModelFolderError, match=r"genres\.json is a link that leads out"):
        model_files.resolve_version(copy.parent)


def test_links_in_a_circle_are_refused(copy: pathlib.Path) -> None:
    (copy / "assets" / "round.json").symlink_to("round.json")
    with pytest.raises(ModelFolderError, match=r"round\.json is a link that leads to itself"):
        model_files.resolve_version(copy)


def test_folders_without_a_model_say_what_they_lack(
    copy: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    cases = {tmp_path / "nothing": "no such folder", copy / "saved_model.pb": "not a folder"}
    (tmp_path / "empty").mkdir()
    cases[tmp_path / "empty"] = "contains no model"
    versions = tmp_path / "work" / "serving_models" / "genreflow"
    (versions / "7").mkdir(parents=True)
    for above in (versions.parent, versions.parent.parent):
        cases[above] = f"contains no model: .*; give the folder of its versions, {versions}$"
    for path, message in cases.items():
        with pytest.raises(ModelFolderError, match=message):
            model_files.resolve_version(path)
    (copy / "saved_model.pb").unlink()
    with pytest.raises(ModelFolderError, match=r"no complete version: 1 is .*saved_model\.pb"):
        model_files.resolve_version(copy.parent)
    with pytest.raises(ModelFolderError, match=r"incomplete model: saved_model\.pb is missing"):
        model_files.resolve_version(copy)


# Assets and description


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("genres.json", "[", "not JSON"),
        ("genres.json", "[" * 100_000, "not JSON"),
        ("genres.json", "{}", "distinct names"),
        ("genres.json", "[]", "distinct names"),
        ("genres.json", '["a", "a", "b"]', "distinct names"),
        ("genres.json", '["a", 3, "b"]', "distinct names"),
        ("genres.json", '"' + "x" * 2**20 + '"', "larger than 1048576 bytes"),
        ("genres.json", '["Rock", "Folk", "Jazz"]', "belong to another model"),
        ("audio_params.json", "[]", "digest and params"),
        ("audio_params.json", '{"digest": "x", "params": {"n_mels": 3}}', "need exactly"),
        ("audio_params.json", '{"digest": "x", "params": null}', "must be an object"),
        ("model_card.json", "[]", "must be an object"),
        ("model_card.json", b"\xff\xfe\x00", "not JSON"),
        ("model_card.json", None, "No such file"),
    ],
)
def test_bad_assets_are_named(
    copy: pathlib.Path, name: str, content: str | bytes | None, message: str
) -> None:
    path = copy / "assets" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ModelFolderError, match=message):
        LocalModel(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sample_rate_hz", "8000"), ("n_mels", 16.5), ("sample_rate_hz", 10**9), ("hop_samples", 512),
     ("clip_seconds", None), ("sample_rate_hz", 16000)],
)  # fmt: skip
def test_impossible_or_foreign_audio_parameters_are_refused(
    copy: pathlib.Path, key: str, value: object
) -> None:
    values = {"digest": PARAMS.digest(), "params": {**PARAMS.to_json(), key: value}}
    (copy / "assets" / "audio_params.json").write_text(json.dumps(values))
    with pytest.raises(ModelFolderError):
        LocalModel(copy)


# Safety


class Hostile(tf.Module):  # type: ignore[misc]
    def __init__(self, act: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__()
        self.variable = tf.Variable(0.0)
        self.act = act

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="waveform")])
    def serve(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": self.act(waveform) + self.variable}


def read_file(waveform: tf.Tensor) -> tf.Tensor:
    content = tf.io.read_file("/etc/hostname")
    return waveform + tf.cast(tf.strings.length(content), tf.float32)


def write_file(waveform: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file("/nonexistent/x", "x")]):
        return tf.identity(waveform)


def run_python(waveform: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.py_function(lambda x: x, [waveform], tf.float32), [None, None])


def run_numpy(waveform: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda x: x, [waveform], tf.float32), [None, None])


def print_it(waveform: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.print("hello", output_stream="file:///tmp/x")]):
        return tf.identity(waveform)


def read_checkpoint(waveform: tf.Tensor) -> tf.Tensor:
    return (
        waveform
        + tf.raw_ops.RestoreV2(
            prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
        )[0]
    )


def in_a_loop(waveform: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda x: tf.reduce_sum(x) < 1, lambda x: (read_file(x),), [waveform])[0]


@pytest.mark.parametrize(
    ("act", "operation"),
    [
        (read_file, "ReadFile"),
        (write_file, "WriteFile"),
        (run_python, "EagerPyFunc"),
        (run_numpy, "PyFunc"),
        (print_it, "PrintV2"),
        (read_checkpoint, "RestoreV2"),
        (in_a_loop, "ReadFile"),
    ],
)
def test_a_model_that_does_more_than_compute_is_refused_before_it_is_loaded(
    exported: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[tf.Tensor], tf.Tensor],
    operation: str,
) -> None:
    module = Hostile(act)
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.serve})
    shutil.copytree(exported / "assets", tmp_path / "1" / "assets", dirs_exist_ok=True)
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(ModelFolderError, match=f"refused.*operation '{operation}'"):
        LocalModel(tmp_path)


def changed_graph(
    folder: pathlib.Path, change: Callable[[saved_model_pb2.SavedModel], None]
) -> pathlib.Path:
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved)
    path.write_bytes(saved.SerializeToString())
    return folder


def test_a_signature_that_calls_the_checkpoint_writer_is_refused(copy: pathlib.Path) -> None:
    def redirect(saved: saved_model_pb2.SavedModel) -> None:
        graph = saved.meta_graphs[0].graph_def
        saver = saved.meta_graphs[0].saver_def.save_tensor_name.split(":")[0]
        nodes = {node.name: node for node in graph.node}
        calls = [n for n in graph.node if n.op == "StatefulPartitionedCall" and n.name != saver]
        calls[0].attr["f"].func.name = nodes[saver].attr["f"].func.name

    with pytest.raises(ModelFolderError, match="a call to its own checkpoint writer"):
        model_files.check_graph(changed_graph(copy, redirect))


def test_a_signature_that_is_the_checkpoint_writer_is_refused(copy: pathlib.Path) -> None:
    def expose(saved: saved_model_pb2.SavedModel) -> None:
        meta = saved.meta_graphs[0]
        saver = meta.saver_def.save_tensor_name.split(":")[0]
        function = next(n for n in meta.graph_def.node if n.name == saver).attr["f"].func.name
        meta.object_graph_def.concrete_functions[function].SetInParent()

    with pytest.raises(ModelFolderError, match="a signature that is its own checkpoint"):
        model_files.check_graph(changed_graph(copy, expose))


def test_a_saver_that_names_a_hostile_function_does_not_excuse_it(copy: pathlib.Path) -> None:
    def add(saved: saved_model_pb2.SavedModel) -> None:
        meta = saved.meta_graphs[0]
        saver = (
            next(n for n in meta.graph_def.node if n.name == meta.saver_def.restore_op_name)
            .attr["f"]
            .func.name
        )
        body = next(f for f in meta.graph_def.library.function if f.signature.name == saver)
        body.node_def.add(name="leak", op="WriteFile")

    with pytest.raises(ModelFolderError, match="operation 'WriteFile'"):
        model_files.check_graph(changed_graph(copy, add))


def test_an_object_that_would_revive_a_class_is_refused(copy: pathlib.Path) -> None:
    def name_class(saved: saved_model_pb2.SavedModel) -> None:
        node = saved.meta_graphs[0].object_graph_def.nodes[0]
        node.user_object.identifier = "_tf_keras_layer"

    with pytest.raises(ModelFolderError, match="the object '_tf_keras_layer'"):
        model_files.check_graph(changed_graph(copy, name_class))


@pytest.mark.parametrize("content", [b"", b"not a protocol buffer", b"\x08\x01"])
def test_a_graph_that_is_none_says_so(copy: pathlib.Path, content: bytes) -> None:
    (copy / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"saved_model\.pb: (not a SavedModel|contains no)"):
        LocalModel(copy)


def test_a_graph_of_absurd_size_is_not_read(
    copy: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "MAX_GRAPH_BYTES", 1000)
    with pytest.raises(ModelFolderError, match="larger than 1000 bytes"):
        LocalModel(copy)


def test_damaged_weights_say_that_the_copy_is_bad(copy: pathlib.Path) -> None:
    data = next((copy / "variables").glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:10])
    with pytest.raises(ModelFolderError, match=r"cannot be loaded .*; copy the model again"):
        LocalModel(copy)


def test_a_harmless_model_of_another_kind_is_refused(
    exported: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    module = Hostile(lambda waveform: waveform * 2)
    shutil.rmtree(tmp_path / "1", ignore_errors=True)
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.serve})
    shutil.copytree(exported / "assets", tmp_path / "1" / "assets", dirs_exist_ok=True)
    with pytest.raises(ModelFolderError, match="not a genreflow model: its signature describe"):
        LocalModel(tmp_path)
    module = Hostile(lambda waveform: waveform)
    tf.saved_model.save(module, str(tmp_path / "2"), signatures={"other": module.serve})
    shutil.copytree(exported / "assets", tmp_path / "2" / "assets", dirs_exist_ok=True)
    with pytest.raises(ModelFolderError, match="no signature serving_default"):
        LocalModel(tmp_path)


def test_every_operation_of_the_list_exists() -> None:
    listed = model_files.COMPUTING_OPERATIONS | model_files.SAVER_OPERATIONS
    assert sorted(op for op in listed if not hasattr(tf.raw_ops, op)) in ([], ["DisableCopyOnRead"])
    assert not model_files.COMPUTING_OPERATIONS & model_files.SAVER_OPERATIONS


def test_importing_it_loads_no_tensorflow() -> None:
    # In another process, as this one has TensorFlow already.
    program = "import sys, serving.model.local; sys.exit('tensorflow' in sys.modules)"
    root = ROOT
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


class _Constant(GenreModel):
    """Model of a front end with absolute levels, which takes samples up to 10."""

    genres = ("a", "b")
    sample_rate_hz, clip_samples = 8000, 800
    max_sample = 10.0

    def predict_windows(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.full((len(windows), 2), 0.5, np.float32)


@pytest.mark.parametrize("loudest", [10.0, 10.5, 32768.0])
def test_samples_that_a_front_end_does_not_take_are_a_reject_and_no_crash(
    tmp_path: pathlib.Path, loudest: float
) -> None:
    samples = np.zeros(1600, np.float32)
    samples[1000::2] = loudest
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    if loudest <= 10:
        assert _Constant().predict_file(tmp_path / "a.wav").windows == 2
        return
    for predict in (
        lambda: _Constant().predict_file(tmp_path / "a.wav"),
        lambda: _Constant().predict_waveform(samples, 8000),
    ):
        with pytest.raises(DecodeError, match="full scale is 1; normalise it") as caught:
            predict()
        assert caught.value.reason == "not_finite"


def test_a_local_model_knows_what_its_front_end_takes(exported: pathlib.Path) -> None:
    model = LocalModel(exported.parent)
    assert model.max_sample == model.params.max_sample == 1e6
