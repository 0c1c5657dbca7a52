"""One pass over the examples, and what is kept of it."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from components.audio.params import AudioParams
from components.audio.spectrogram.stored import STORED_DTYPE, from_stored
from components.common.errors import DataError
from components.examples.writer import Clip, serialize
from components.storage import objects
from genreflow.exploring.label_check.features import clip_features
from genreflow.exploring.preparation import make, prepare
from genreflow.exploring.run import ExploredRun, explore
from genreflow.exploring.spectrograms import read_clips
from pipeline.results.run_file import write_run_file
from tests.support.s3_server import DENIED, Proxy


def _mels(params: AudioParams, label: int, number: int) -> np.ndarray:
    """Return two clips of faint noise whose bands of the label are loud."""
    rng = np.random.default_rng(number)
    shape = (2, params.n_mels, params.frames)
    mels = rng.integers(0, 3000, shape, dtype=STORED_DTYPE)
    mels[:, 40 * label : 40 * label + 40] += 25000
    return mels


@pytest.fixture
def run(work: pathlib.Path) -> ExploredRun:
    """Return a run whose examples are on disk; train5 sounds as the first genre."""
    import tensorflow as tf

    run = explore(str(work))
    params = run.config.audio
    writers = {}
    for split in ("train", "validation", "test"):
        folder = pathlib.Path(run.examples, f"Split-{split}")
        folder.mkdir(parents=True)
        writers[split] = [
            tf.io.TFRecordWriter(str(folder / f"data-{shard}-of-2")) for shard in (0, 1)
        ]
    for number, song in enumerate(run.songs):
        label = int(run.labels[number])
        mels = _mels(params, 0 if song.track_id == "train5" else label, number)
        for index in (1, 0):
            clip = Clip(
                song.track_id, song.artist_id, song.genre, label, index, 2.5 * index, mels[index]
            )
            writers[song.split][number % 2].write(serialize(clip, params))
    for writer in (one for pair in writers.values() for one in pair):
        writer.close()
    return run


@pytest.fixture
def events(
    run: ExploredRun, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> pathlib.Path:
    path = tmp_path / "events"
    monkeypatch.setenv("GENREFLOW_EVENT_FILE", str(path))
    return path


def test_features_spectrograms_and_judgements_come_from_the_stored_clips(
    run: ExploredRun, events: pathlib.Path
) -> None:
    from genreflow.exploring import examples_pass

    params = run.config.audio
    found = examples_pass.read(run.examples, run.index, params)
    number = run.index["t003"]
    stored = _mels(params, int(run.labels[number]), number)
    expected = clip_features(from_stored(stored)).mean(axis=0)
    assert np.allclose(found.features[number], expected, rtol=1e-4, atol=1e-4)
    clips = read_clips(found.clips, number, run.examples, params)
    assert clips is not None
    assert clips.starts_s == (0.0, 2.5)
    levels = np.minimum(stored.astype(np.float32) * np.float32(255 / 40960), 255).astype(np.uint8)
    assert (clips.levels == levels.transpose(0, 2, 1)).all()

    make(run.folder)
    assert '"stage": "judging"' in events.read_text()
    prepared = prepare(run, lambda event: pytest.fail("made again"))
    first = prepared.issues(run)[0]
    assert run.songs[first.track].track_id == "train5"
    assert run.genres[first.suggested] == run.genres[0]


def test_examples_in_an_object_store_are_judged_and_their_spectrograms_read_there(
    run: ExploredRun, bucket: str, work: pathlib.Path, s3_proxy: Proxy
) -> None:
    examples = f"s3://{bucket}/runs/examples/1"
    for path in pathlib.Path(run.examples).rglob("data-*"):
        objects.upload(path, f"{examples}/{path.relative_to(run.examples).as_posix()}")
    write_run_file(
        str(work), run_id=run.results.run_id, config=run.config.to_json(), examples=examples
    )
    make(str(work))
    prepared = prepare(explore(str(work)), lambda event: pytest.fail("made again"))
    assert np.isfinite(prepared.out_of_fold).all()
    assert not (work / "explore" / "copies").exists()
    params = run.config.audio
    number = run.index["t003"]
    there = read_clips(prepared.clips, number, examples, params)
    here = read_clips(prepared.clips, number, run.examples, params)
    assert there is not None
    assert here is not None
    assert there.starts_s == here.starts_s == (0.0, 2.5)
    assert (there.levels == here.levels).all()
    s3_proxy.fail(99, DENIED, path="/runs/")
    assert read_clips(prepared.clips, number, examples, params) is None


def test_a_kept_result_of_another_run_or_damaged_is_made_anew(
    run: ExploredRun, events: pathlib.Path
) -> None:
    seen: list[str] = []
    make(run.folder)
    prepare(run, lambda event: pytest.fail("made again"))
    file = pathlib.Path(run.folder, "explore", "prepared.npz")
    again = dataclasses.replace(run, results=dataclasses.replace(run.results, run_id="later"))
    with pytest.raises(DataError, match="was not written"):
        prepare(again, lambda event: seen.append(event["event"]))  # which reads its folder's run
    assert "preparing" in seen
    file.write_bytes(file.read_bytes()[:100])
    seen.clear()
    prepare(run, lambda event: seen.append(event["event"]))
    assert "preparing" in seen


def test_examples_that_are_gone_are_an_error_that_names_them(run: ExploredRun) -> None:
    for path in pathlib.Path(run.examples, "Split-test").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no files match.*Split-test"):
        prepare(run, lambda event: None)
