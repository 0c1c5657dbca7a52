"""Audio in an object store: the same examples as from a disk, downloaded ahead, no files left."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from components.audio.decoding.decode import DecodeError
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.params import AudioParams
from components.common.errors import DataError
from components.datasets.files import fetching
from components.datasets.files.fetching import Fetcher
from components.datasets.track import SplitName, Track
from components.spectrogram_gen import wav_export
from components.spectrogram_gen.shards import Shard, WriteOptions, shard_path, write_shard
from components.storage import objects
from components.storage.errors import StorageError
from components.storage.objects import ObjectState
from pipeline.prepare import survey
from tests.support import s3_server

PARAMS = AudioParams(
    sample_rate_hz=8000, fft_samples=256, hop_samples=128, n_mels=16, clip_seconds=0.5,
    clips_per_track=3,
)  # fmt: skip
TRAIN: tuple[SplitName, ...] = ("train",) * 3


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.01
    )


def _wav(seed: int) -> bytes:
    buffer = io.BytesIO()
    samples = np.random.default_rng(seed).normal(0, 0.1, 16000)
    soundfile.write(buffer, samples, 8000, format="WAV")
    return buffer.getvalue()


def _remote(bucket: str, name: str, content: bytes) -> Track:
    uri = f"s3://{bucket}/data/{name}.wav"
    objects.write(uri, content)
    return Track(name, uri, "Folk", state=objects.find(uri))


def _shard(*tracks: Track) -> Shard:
    return Shard(0, 1, ("train",), tuple((track, TRAIN) for track in tracks))


def _options(directory: object, **changes: Any) -> WriteOptions:
    return WriteOptions(PARAMS, ("Folk", "Rock"), 7, str(directory), **changes)


@pytest.fixture
def remote(s3: Any, bucket: str) -> list[Track]:
    return [_remote(bucket, f"t{i}", _wav(i)) for i in range(5)]


def test_examples_from_a_store_and_into_one_are_those_of_local_files(
    remote: list[Track], bucket: str, tmp_path: pathlib.Path
) -> None:
    local = []
    for index, track in enumerate(remote):
        path = tmp_path / f"{track.track_id}.wav"
        path.write_bytes(_wav(index))
        local.append(dataclasses.replace(track, uri=str(path), state=None))
    here = write_shard(_shard(*local), _options(tmp_path / "out"))
    expected = pathlib.Path(shard_path(str(tmp_path / "out"), "train", 0, 1)).read_bytes()

    options = _options(f"s3://{bucket}/out", store=str(tmp_path / "store"))
    there = write_shard(_shard(*remote), options)
    assert objects.read(shard_path(f"s3://{bucket}/out", "train", 0, 1), 1 << 20) == expected
    assert (there.clips, there.tracks_read) == (here.clips, here.tracks_read)
    assert [entry[2] for entry in there.written] == [entry[2] for entry in here.written]
    assert [path for path in (tmp_path / "store").rglob("*") if "scratch" in str(path)] == [
        tmp_path / "store" / "scratch"
    ]


def test_only_what_changed_is_fetched_again(
    remote: list[Track], bucket: str, tmp_path: pathlib.Path, s3_proxy: s3_server.Proxy
) -> None:
    options = _options(tmp_path / "out", store=str(tmp_path / "store"), code="c")
    assert write_shard(_shard(*remote), options).tracks_decoded == 5
    s3_proxy.log.clear()
    assert write_shard(_shard(*remote), options).tracks_decoded == 0
    assert s3_proxy.log == []
    changed = [*remote[:2], _remote(bucket, "t2", _wav(99)), *remote[3:]]
    s3_proxy.log.clear()
    assert write_shard(_shard(*changed), options).tracks_decoded == 1
    assert [exchange.path for exchange in s3_proxy.requests("GET")] == [f"/{bucket}/data/t2.wav"]


def test_clips_in_an_object_store_replace_their_tracks_unless_they_are_damaged(
    remote: list[Track], bucket: str, tmp_path: pathlib.Path, s3_proxy: s3_server.Proxy
) -> None:
    options = _options(tmp_path / "out", store=f"s3://{bucket}/store", code="c")
    assert write_shard(_shard(*remote), options).tracks_decoded == 5
    s3_proxy.log.clear()
    assert write_shard(_shard(*remote), options).tracks_decoded == 0
    assert s3_proxy.requests("GET", "/data/") == []
    shard = pathlib.Path(shard_path(str(tmp_path / "out"), "train", 0, 1))
    written = shard.read_bytes()
    damaged = next(iter(objects.list_objects(f"s3://{bucket}/store/"))).uri
    objects.write(damaged, objects.read(damaged, 1 << 20)[:100])
    s3_proxy.log.clear()
    assert write_shard(_shard(*remote), options).tracks_decoded == 1
    assert shard.read_bytes() == written
    assert len(s3_proxy.requests("GET", "/data/")) == 1
    assert not [path for path in tmp_path.rglob("*") if "scratch" in str(path)]


def test_objects_that_cannot_be_had_are_rejects_with_reasons(
    remote: list[Track],
    bucket: str,
    s3: Any,
    tmp_path: pathlib.Path,
    s3_proxy: s3_server.Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.delete_object(Bucket=bucket, Key="data/t1.wav")
    words = _remote(bucket, "words", b"these are words, not music")
    large = _remote(bucket, "large", b"x" * 40_000)
    monkeypatch.setattr(fetching, "MAX_OBJECT_BYTES", 39_999)
    s3_proxy.fail(10, s3_server.DENIED, path="t3.wav")
    tracks = [*remote, words, large]
    result = write_shard(_shard(*tracks), _options(tmp_path / "out"))
    assert {reject.track_id: reject.reason for reject in result.rejects} == {
        "t1": "missing_file",
        "t3": "unreadable",
        "words": "undecodable",
        "large": "too_large",
    }
    assert all(reject.uri.startswith(f"s3://{bucket}/data/") for reject in result.rejects)
    assert [entry[0] for entry in result.written] == ["t0", "t2", "t4"]


def test_an_object_that_changes_while_the_run_goes_ends_it(
    remote: list[Track], bucket: str, tmp_path: pathlib.Path
) -> None:
    objects.write(remote[2].uri, _wav(99))
    with pytest.raises(DataError, match=r"t2\.wav: the object changed during the run"):
        write_shard(_shard(*remote), _options(tmp_path / "out"))
    assert not pathlib.Path(shard_path(str(tmp_path / "out"), "train", 0, 1)).exists()


@pytest.mark.parametrize("to_store", [False, True])
def test_a_server_that_stops_answering_ends_the_run_and_leaves_no_shard(
    remote: list[Track],
    bucket: str,
    tmp_path: pathlib.Path,
    s3_proxy: s3_server.Proxy,
    to_store: bool,
) -> None:
    s3_proxy.fail(10_000, s3_server.SLOW_DOWN, path="out/" if to_store else "t3.wav")
    place = f"s3://{bucket}/out" if to_store else str(tmp_path / "out")
    with pytest.raises(StorageError, match="503 SlowDown after 6 attempts"):
        write_shard(_shard(*remote), _options(place, store=str(tmp_path / "store")))
    s3_proxy.fault = lambda method, path: None
    assert list(objects.list_objects(f"s3://{bucket}/out/")) == []
    assert [path for path in tmp_path.rglob("*") if path.suffix in (".tfrecord", ".wav")] == []
    assert list((tmp_path / "store" / "scratch").iterdir()) == []


def test_a_throttled_fetch_is_tried_again(
    remote: list[Track], tmp_path: pathlib.Path, s3_proxy: s3_server.Proxy
) -> None:
    s3_proxy.fail(4, s3_server.SLOW_DOWN, method="GET", path="/data/")
    result = write_shard(_shard(*remote), _options(tmp_path / "out"))
    assert result.rejects == ()
    assert s3_proxy.faults() == 4


def test_exported_wavs_go_to_the_store_and_can_be_removed_there(
    remote: list[Track], bucket: str
) -> None:
    options = _options(f"s3://{bucket}/out", export_wav="tracks")
    write_shard(_shard(*remote[:2]), options)
    names = [
        item.uri.rpartition("/")[2] for item in objects.list_objects(f"{options.wav_directory}/")
    ]
    assert names == ["t0.wav", "t1.wav"]
    exported = objects.read(f"{options.wav_directory}/Folk/t1.wav", 1 << 20)
    theirs, _ = soundfile.read(io.BytesIO(_wav(1)), dtype="float32")
    ours, _ = soundfile.read(io.BytesIO(exported), dtype="float32")
    np.testing.assert_array_equal(ours, theirs)
    wav_export.remove(options.wav_directory, remote[1], "tracks")
    left = [item.uri for item in objects.list_objects(f"{options.wav_directory}/")]
    assert left == [f"{options.wav_directory}/Folk/t0.wav"]


class _Downloads:
    """Fake of components.storage.objects.download that records its calls and waits."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, uri: str, path: Any, state: ObjectState, max_bytes: int) -> None:
        with self.lock:
            self.begun.append(uri)
        assert self.go.wait(30)
        pathlib.Path(path).write_text(uri)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> _Downloads:
    made = _Downloads()
    monkeypatch.setattr(objects, "download", made)
    return made


def _listed(count: int, size_bytes: int = 10) -> list[Track]:
    return [
        Track(str(i), f"s3://bucket/{i}.wav", "Folk", state=ObjectState(size_bytes, "e"))
        for i in range(count)
    ]


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never happened")


def test_as_many_as_allowed_are_fetched_ahead_and_no_more(
    downloads: _Downloads, tmp_path: pathlib.Path
) -> None:
    tracks = _listed(10)
    with Fetcher(tracks, ahead=3, scratch=str(tmp_path)) as fetcher:
        _until(lambda: len(downloads.begun) == 3)
        downloads.go.set()
        for index, track in enumerate(tracks):
            with fetcher.local(track.uri) as path:
                assert pathlib.Path(path).read_text() == track.uri
                assert path.endswith(".wav")
                # The current one and three more.
                assert len(list(tmp_path.rglob("*.wav"))) <= 4
            assert not pathlib.Path(path).exists()
            assert len(downloads.begun) <= index + 1 + 3
    assert sorted(downloads.begun) == sorted(track.uri for track in tracks)
    assert list(tmp_path.iterdir()) == []


def test_large_objects_are_fetched_one_by_one(
    downloads: _Downloads, tmp_path: pathlib.Path
) -> None:
    downloads.go.set()
    tracks = _listed(4, fetching.MAX_AHEAD_BYTES)
    with Fetcher(tracks, ahead=8, scratch=str(tmp_path)) as fetcher:
        for track in tracks:
            assert len(fetcher._waiting) == 1  # started or about to start
            with fetcher.local(track.uri) as path:
                assert pathlib.Path(path).read_text() == track.uri
    assert len(downloads.begun) == 4


def test_tracks_in_another_order_or_never_asked_for_do_no_harm(
    downloads: _Downloads, tmp_path: pathlib.Path
) -> None:
    downloads.go.set()
    tracks = _listed(8)
    with Fetcher(tracks, ahead=2, scratch=str(tmp_path)) as fetcher:
        for track in [tracks[7], tracks[3], tracks[3], tracks[0]]:
            with fetcher.local(track.uri) as path:
                assert pathlib.Path(path).read_text() == track.uri
        with fetcher.local("/a/local/file.wav") as path:
            assert path == "/a/local/file.wav"
    assert list(tmp_path.iterdir()) == []


def test_check_data_looks_into_objects_and_finds_what_a_run_would_leave_out(
    remote: list[Track], bucket: str
) -> None:
    words = _remote(bucket, "words", b"these are words, not music")
    gone = dataclasses.replace(remote[0], track_id="gone", uri=f"s3://{bucket}/data/gone.wav")
    for full in (False, True):
        found = survey.survey_files(
            [*remote, words, gone],
            PARAMS,
            full=full,
            clip_seed=0,
            limits=None,
            advance=lambda: None,
            workers=2,
        )
        assert sorted((r.track_id, r.reason) for r in found.rejects) == [
            ("gone", "missing_file"),
            ("words", "undecodable"),
        ]
        assert found.seconds_per_track is not None


def test_a_digest_of_an_object_is_that_of_its_audio(remote: list[Track]) -> None:
    with fetching.fetching(InProcessDecoder(), remote, ahead=0) as decoder:
        digests = {decoder.digest(track.uri) for track in [*remote, remote[0]]}
        assert len(digests) == 5
        with pytest.raises(DecodeError) as caught:
            decoder.digest(f"{remote[0].uri}.nowhere")
    assert caught.value.reason == "missing_file"
    assert all(len(digest) == hashlib.sha256().digest_size * 2 for digest in digests)
