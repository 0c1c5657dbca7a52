"""The planning and the writing of shards."""

from __future__ import annotations

import dataclasses
import pathlib

import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import given

from components.audio.clips import clip_starts
from components.audio.decoding.decode import decode
from components.audio.params import AudioParams
from components.audio.spectrogram import mel
from components.audio.spectrogram.stored import to_stored
from components.datasets.track import SPLITS, SplitName, Track
from components.spectrogram_gen import shards as shards_module
from components.spectrogram_gen import wav_export
from components.spectrogram_gen.shards import (
    Shard,
    WriteOptions,
    plan_shards,
    shard_path,
    write_shard,
)

PARAMS = AudioParams(
    sample_rate_hz=8000,
    fft_samples=256,
    hop_samples=128,
    n_mels=16,
    clip_seconds=0.5,
    clips_per_track=3,
)
GENRES = ("Folk", "Rock")


def _wav(path: pathlib.Path, seconds: float, *, rate_hz: int = 8000, seed: int = 0) -> str:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate_hz))
    soundfile.write(path, samples, rate_hz)
    return str(path)


def _track(name: str, uri: str, genre: str = "Folk") -> Track:
    return Track(name, uri, genre, artist_id=f"artist of {name}")


def _all_train(tracks: list[Track]) -> tuple[tuple[Track, tuple[SplitName, ...]], ...]:
    return tuple((track, ("train",) * PARAMS.clips_per_track) for track in tracks)


def _examples(path: str) -> list[tf.train.Example]:
    return [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(path)]


def _value(example: tf.train.Example, name: str) -> object:
    feature = example.features.feature[name]
    (value,) = getattr(feature, feature.WhichOneof("kind")).value
    return value


@given(
    splits=st.lists(st.sampled_from(SPLITS), max_size=40),
    shard_tracks=st.integers(1, 9),
    seed=st.randoms(use_true_random=False),
)
def test_every_track_is_in_one_shard_of_its_split_whatever_the_order(
    splits: list[SplitName], shard_tracks: int, seed: object
) -> None:
    tracks = [Track(f"t{i}", f"/x/{i}", "Folk") for i in range(len(splits))]
    clip_splits = {t.track_id: (s, s) for t, s in zip(tracks, splits, strict=True)}
    shards = plan_shards(tracks, clip_splits, shard_tracks)

    written = sorted((t.track_id, shard.splits) for shard in shards for t, _ in shard.tracks)
    assert written == sorted((t.track_id, (s,)) for t, s in zip(tracks, splits, strict=True))
    assert all(1 <= len(shard.tracks) <= shard_tracks for shard in shards)
    for split in SPLITS:
        numbered = [(s.index, s.total) for s in shards if s.splits == (split,)]
        assert numbered == [(i, len(numbered)) for i in range(len(numbered))]

    shuffled = list(tracks)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_shards(shuffled, clip_splits, shard_tracks) == shards


def test_shards_of_evaluation_tracks_may_be_smaller() -> None:
    tracks = [Track(f"t{i}", f"/x/{i}", "Folk") for i in range(30)]
    clip_splits: dict[str, tuple[SplitName, ...]] = {
        t.track_id: (SPLITS[i % 3],) for i, t in enumerate(tracks)
    }
    shards = plan_shards(tracks, clip_splits, 10, evaluation_shard_tracks=2)
    assert [(s.splits[0], len(s.tracks), s.evaluates) for s in shards] == [
        ("train", 10, False),
        *[("validation", 2, True)] * 5,
        *[("test", 2, True)] * 5,
    ]


def test_a_large_corpus_has_larger_shards_and_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "MAX_SHARDS", 5)
    tracks = [Track(f"t{i}", f"/x/{i}", "Folk") for i in range(50)]
    clip_splits: dict[str, tuple[SplitName, ...]] = {t.track_id: ("train",) for t in tracks}
    for given_size, expected in ((3, 10), (12, 12)):
        shards = plan_shards(tracks, clip_splits, given_size)
        assert max(len(shard.tracks) for shard in shards) == expected


def test_scattered_clips_share_shards_with_a_file_in_every_split() -> None:
    tracks = [Track("a", "/a", "Folk"), Track("b", "/b", "Folk")]
    clip_splits: dict[str, tuple[SplitName, ...]] = {
        "a": ("train", "test"),
        "b": ("train", "train"),
    }
    (shard,) = plan_shards(tracks, clip_splits, 10)
    assert shard.splits == SPLITS
    assert {t.track_id for t, _ in shard.tracks} == {"a", "b"}


def test_a_shard_holds_each_clip_with_its_label_offset_and_spectrogram(
    tmp_path: pathlib.Path,
) -> None:
    uri = _wav(tmp_path / "a.wav", 2.0)
    options = WriteOptions(PARAMS, GENRES, clip_seed=7, directory=str(tmp_path / "out"))
    track = _track("a", uri, "Rock")
    result = write_shard(Shard(0, 1, ("train",), _all_train([track])), options)

    assert result.clips == {"train": 3, "validation": 0, "test": 0}
    assert result.tracks_read == {"train": 1, "validation": 0, "test": 0}
    samples, _ = soundfile.read(uri, dtype="float32")
    starts = clip_starts(16000, 4000, 3, track_id="a", seed=7)
    examples = _examples(shard_path(options.directory, "train", 0, 1))
    assert [_value(e, "clip_index") for e in examples] == [0, 1, 2]
    for example, start in zip(examples, starts, strict=True):
        assert _value(example, "track_id") == b"a"
        assert _value(example, "artist_id") == b"artist of a"
        assert _value(example, "genre") == b"Rock"
        assert _value(example, "label") == 1
        assert _value(example, "clip_start_s") == pytest.approx(start / 8000)
        expected = mel.log_mel(samples[None, start : start + 4000], PARAMS)[0]
        stored = np.frombuffer(_value(example, "mel_db"), "<u2").reshape(expected.shape) / 512 - 80
        np.testing.assert_allclose(stored, expected, atol=1 / 512)


def test_a_shard_to_evaluate_on_holds_every_window_and_a_rerun_the_same_bytes(
    tmp_path: pathlib.Path,
) -> None:
    params = dataclasses.replace(PARAMS, evaluation_clips="all")
    uri = _wav(tmp_path / "a.wav", 2.7)
    samples, _ = soundfile.read(uri, dtype="float32")
    samples[4000:8000] = 0  # the second window
    soundfile.write(uri, samples, 8000, subtype="FLOAT")
    options = WriteOptions(params, GENRES, 0, str(tmp_path / "out"), store=str(tmp_path / "store"))
    splits: tuple[SplitName, ...] = ("test",) * 300
    contents = []
    for decoded in (1, 0):
        result = write_shard(Shard(0, 1, ("test",), ((_track("a", uri), splits),)), options)
        assert result.clips == {"train": 0, "validation": 0, "test": 4}
        assert result.clips_left_out == {"near_silent": 1}
        assert result.tracks_decoded == decoded
        path = shard_path(options.directory, "test", 0, 1)
        contents.append(pathlib.Path(path).read_bytes())
    assert contents[0] == contents[1]
    examples = _examples(path)
    assert [_value(e, "clip_index") for e in examples] == [0, 2, 3, 4]
    assert [_value(e, "clip_start_s") for e in examples] == [0.0, 1.0, 1.5, 2.0]
    for example in examples:
        start = 4000 * _value(example, "clip_index")  # type: ignore[operator]
        expected = to_stored(mel.log_mel(samples[None, start : start + 4000], params))[0]
        assert _value(example, "mel_db") == expected.tobytes()


def test_a_track_that_moves_to_another_split_is_decoded_for_it(tmp_path: pathlib.Path) -> None:
    params = dataclasses.replace(PARAMS, evaluation_clips=5)
    track = _track("a", _wav(tmp_path / "a.wav", 10.0))
    options = WriteOptions(params, GENRES, 0, str(tmp_path / "out"), store=str(tmp_path / "store"))
    for split, clips in (("train", 3), ("test", 5)):
        for decoded in (1, 0):
            result = write_shard(Shard(0, 1, (split,), ((track, (split,) * 5),)), options)
            assert (result.tracks_decoded, result.clips[split]) == (decoded, clips)
    # The training clips are those of a run that evaluates on random clips.
    plain = dataclasses.replace(options, params=PARAMS)
    for split, decoded in (("train", 0), ("test", 0)):
        result = write_shard(Shard(0, 1, (split,), ((track, (split,) * 3),)), plain)
        assert (result.tracks_decoded, result.clips[split]) == (decoded, 3)


def test_bad_tracks_are_rejected_with_reasons_and_the_others_written(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "text.mp3").write_text("these are words, not music")
    (tmp_path / "empty.wav").write_bytes(b"")
    tracks = [
        _track("text", str(tmp_path / "text.mp3")),
        _track("empty", str(tmp_path / "empty.wav")),
        _track("gone", str(tmp_path / "gone.wav")),
        _track("short", _wav(tmp_path / "short.wav", 0.5 - 1 / 8000)),
        _track("one clip", _wav(tmp_path / "one.wav", 0.5)),
    ]
    options = WriteOptions(PARAMS, GENRES, clip_seed=0, directory=str(tmp_path / "out"))
    result = write_shard(Shard(0, 1, ("train",), _all_train(tracks)), options)

    assert {r.track_id: r.reason for r in result.rejects} == {
        "text": "undecodable",
        "empty": "empty_file",
        "gone": "missing_file",
        "short": "too_short",
    }
    assert all(r.detail for r in result.rejects)
    written = _examples(shard_path(options.directory, "train", 0, 1))
    assert {_value(e, "track_id") for e in written} == {b"one clip"}
    assert result.tracks_read["train"] == 1


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_else(
    tmp_path: pathlib.Path,
) -> None:
    tracks = [_track(f"t{i}", _wav(tmp_path / f"{i}.wav", 1.0, seed=i)) for i in range(3)]
    shard = Shard(0, 1, ("train",), _all_train(tracks))
    contents = []
    for name in ("first", "second", "second"):
        options = WriteOptions(PARAMS, GENRES, clip_seed=0, directory=str(tmp_path / name))
        write_shard(shard, options)
        folder = pathlib.Path(shard_path(options.directory, "train", 0, 1)).parent
        assert [p.name for p in folder.iterdir()] == ["part-00000-of-00001.tfrecord"]
        contents.append(next(folder.iterdir()).read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_clips_that_scatter_go_to_the_split_of_each(tmp_path: pathlib.Path) -> None:
    track = _track("a", _wav(tmp_path / "a.wav", 2.0))
    options = WriteOptions(PARAMS, GENRES, clip_seed=0, directory=str(tmp_path / "out"))
    shard = Shard(0, 1, SPLITS, ((track, ("test", "train", "test")),))
    result = write_shard(shard, options)
    assert result.clips == {"train": 1, "validation": 0, "test": 2}
    found = {
        split: [
            _value(e, "clip_index") for e in _examples(shard_path(options.directory, split, 0, 1))
        ]
        for split in SPLITS
    }
    assert found == {"train": [1], "validation": [], "test": [0, 2]}


@pytest.mark.parametrize("kind", ["silent", "cancelling"])
def test_silent_clips_of_a_track_are_left_out_and_counted(
    tmp_path: pathlib.Path, kind: str
) -> None:
    starts = clip_starts(40_000, 4000, 3, track_id="a", seed=0)
    silent = int(np.argmax(starts))
    assert sorted(starts)[1] + 4000 <= starts[silent]  # it overlaps no other
    samples = np.random.default_rng(0).normal(0, 0.1, 40_000)[:, None] * [1.0, 1.0]
    samples[starts[silent] :] *= 0 if kind == "silent" else [1, -1]
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    track = _track("a", str(tmp_path / "a.wav"))
    options = WriteOptions(
        PARAMS, GENRES, 0, str(tmp_path / "out"), "clips", store=str(tmp_path / "store")
    )
    for export_wav in ("clips", "none"):  # the second time from the store
        options = dataclasses.replace(options, export_wav=export_wav)
        result = write_shard(Shard(0, 1, SPLITS, ((track, SPLITS),)), options)
        reason = "near_silent" if kind == "silent" else "channels_cancel"
        assert result.clips_left_out == {reason: 1}
        assert result.rejects == ()
        heard = [index for index in range(3) if index != silent]
        counts = {split: int(index in heard) for index, split in enumerate(SPLITS)}
        assert result.clips == result.tracks_read == counts
        for index, split in enumerate(SPLITS):  # one clip in each
            examples = _examples(shard_path(options.directory, split, 0, 1))
            assert [_value(e, "clip_index") for e in examples] == [index] * counts[split]
            for example in examples:
                assert _value(example, "clip_start_s") == pytest.approx(starts[index] / 8000)
    assert result.tracks_decoded == 0
    names = sorted(path.name for path in pathlib.Path(options.wav_directory, "Folk").iterdir())
    assert names == [f"a-{index:02d}.wav" for index in heard]


def test_exported_wav_files_decode_to_the_samples_that_were_read(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "a.mp3", rng.normal(0, 0.2, (44100 * 2, 2)), 44100)
    track = _track("folder/a\n", str(tmp_path / "a.mp3"), "Rock")

    options = WriteOptions(PARAMS, GENRES, 0, str(tmp_path / "tracks"), export_wav="tracks")
    write_shard(Shard(0, 1, ("train",), _all_train([track])), options)
    (exported,) = pathlib.Path(options.directory, "wav", "Rock").iterdir()
    ours, rate_hz = decode(exported)
    theirs, their_rate_hz = decode(track.uri)
    assert rate_hz == their_rate_hz
    np.testing.assert_array_equal(ours, theirs)

    options = WriteOptions(PARAMS, GENRES, 0, str(tmp_path / "clips"), export_wav="clips")
    write_shard(Shard(0, 1, ("train",), _all_train([track])), options)
    files = sorted(pathlib.Path(options.directory, "wav", "Rock").iterdir())
    assert len(files) == PARAMS.clips_per_track
    for path, example in zip(
        files, _examples(shard_path(options.directory, "train", 0, 1)), strict=True
    ):
        clip, rate_hz = decode(path)
        assert rate_hz == PARAMS.sample_rate_hz
        made = to_stored(mel.log_mel(clip[None], PARAMS))[0]
        assert made.tobytes() == _value(example, "mel_db")


def test_a_genre_outside_the_labels_is_a_defect_not_a_label(tmp_path: pathlib.Path) -> None:
    track = _track("a", _wav(tmp_path / "a.wav", 1.0), "Jazz")
    options = WriteOptions(PARAMS, GENRES, 0, str(tmp_path / "out"))
    with pytest.raises(ValueError, match="not in tuple"):
        write_shard(Shard(0, 1, ("train",), _all_train([track])), options)


@pytest.mark.parametrize(
    ("kind", "gone"),
    [("tracks", {"a.wav"}), ("clips", {"a-00.wav", "a-01.wav", "a-02.wav"})],
)
def test_what_was_exported_of_a_track_can_be_removed_and_nothing_else(
    tmp_path: pathlib.Path, kind: str, gone: set[str]
) -> None:
    for track_id in ("a", "a-1", "a-01", "b"):
        track = _track(track_id, _wav(tmp_path / f"{track_id}.wav", 1.0))
        options = WriteOptions(PARAMS, GENRES, 0, str(tmp_path / "out"), export_wav=kind)
        write_shard(Shard(0, 1, ("train",), _all_train([track])), options)
    folder = pathlib.Path(options.wav_directory, "Folk")
    before = {path.name for path in folder.iterdir()}
    wav_export.remove(options.wav_directory, _track("a", ""), kind)
    assert before - {path.name for path in folder.iterdir()} == gone
    wav_export.remove(str(tmp_path / "nowhere"), _track("a", ""), kind)


def test_only_the_files_of_test_clips_are_recorded_with_the_state_they_had(
    tmp_path: pathlib.Path,
) -> None:
    good = _track("a", _wav(tmp_path / "a.wav", 2.0))
    # Of a song in two formats, the one that was read.
    (tmp_path / "b.mp3").write_text("words")
    copy = _track("b", _wav(tmp_path / "b.wav", 2.0, seed=1))
    two = dataclasses.replace(copy, uri=str(tmp_path / "b.mp3"), copies=(copy,))
    short = _track("c", _wav(tmp_path / "c.wav", 0.3))
    options = WriteOptions(PARAMS, GENRES, clip_seed=7, directory=str(tmp_path / "out"))

    tested = tuple((track, ("test",) * 3) for track in (good, two, short))
    found = write_shard(Shard(0, 1, ("test",), tested), options).test_sources
    assert [(source.track_id, source.uri) for source in found] == [
        ("a", good.uri),
        ("b", copy.uri),
    ]
    status = pathlib.Path(good.uri).stat()
    assert (found[0].size_bytes, found[0].version) == (status.st_size, status.st_mtime_ns)

    assert write_shard(Shard(0, 1, ("train",), _all_train([good])), options).test_sources == ()
    scattered = ((good, ("train", "test", "train")), (copy, ("train",) * 3))
    (source,) = write_shard(Shard(0, 1, SPLITS, scattered), options).test_sources
    assert source == found[0]
