"""Tracks that crash or hang the decoder or exhaust its memory, in shards, Beam and survey."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pytest
import soundfile

from components.artifacts import files
from components.audio.decoding import isolation
from components.audio.decoding.decoder import InProcessDecoder
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.duplicates import find_duplicates
from components.audio.params import AudioParams
from components.common.errors import DecoderUnavailableError
from components.datasets.corpus import load_corpus
from components.datasets.settings import DatasetSettings, SplitSettings
from components.datasets.track import Track
from components.spectrogram_gen.shards import Shard, WriteOptions, shard_path, write_shard
from pipeline.config.beam import NO_PACKAGES
from pipeline.prepare.survey import survey_files

PARAMS = AudioParams(
    sample_rate_hz=8000,
    fft_samples=256,
    hop_samples=128,
    n_mels=16,
    clip_seconds=0.5,
    clips_per_track=3,
)
LIMITS = DecodeLimits(timeout_seconds=2.0, memory_mib=256)

pytestmark = pytest.mark.usefixtures("faulty_decoder")


def _song(folder: pathlib.Path, name: str, seed: int = 0) -> Track:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.wav"
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, 12000), 8000)
    return Track(name, str(path), "Folk")


def _shard(tracks: Sequence[Track]) -> Shard:
    return Shard(0, 1, ("train",), tuple((track, ("train",) * 3) for track in tracks))


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_shard_leaves_out_what_fails_and_keeps_the_bytes_and_the_order_of_the_rest(
    tmp_path: pathlib.Path,
) -> None:
    names = ("a", "segfault", "b", "hang-busy", "bomb", "c", "poison", "d")
    tracks = [_song(tmp_path, name, seed) for seed, name in enumerate(names)]
    bad = ("segfault", "hang-busy", "bomb")
    # For comparison, the good tracks alone, decoded in this process.
    good = [track for track in tracks if track.track_id not in bad]
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "here"))
    write_shard(_shard(good), options)

    for _ in range(2):
        there = dataclasses.replace(options, directory=str(tmp_path / "there"))
        with IsolatedDecoder(LIMITS) as decoder:
            result = write_shard(_shard(tracks), there, decoder)
        assert [(reject.track_id, reject.reason) for reject in result.rejects] == [
            ("segfault", "decoder_crashed"),
            ("hang-busy", "timed_out"),
            ("bomb", "too_large"),
        ]
        assert result.tracks_read["train"] == len(good)
        assert [entry[0] for entry in result.written] == [track.track_id for track in good]
        assert _files(tmp_path / "there") == _files(tmp_path / "here")


def test_nothing_half_made_is_left_of_an_export_that_crashes(tmp_path: pathlib.Path) -> None:
    tracks = [_song(tmp_path, "export-segfault"), _song(tmp_path, "a", 1)]
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "out"), export_wav="tracks")
    with IsolatedDecoder(LIMITS) as decoder:
        result = write_shard(_shard(tracks), options, decoder)
    assert [(r.track_id, r.reason) for r in result.rejects] == [
        ("export-segfault", "decoder_crashed")
    ]
    assert set(_files(tmp_path / "out")) == {
        os.path.relpath(shard_path(options.directory, "train", 0, 1), options.directory),
        "wav/Folk/a.wav",
    }


def test_an_export_that_cannot_be_written_is_no_fault_of_the_track(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = _song(tmp_path, "a")
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "out"), export_wav="tracks")
    folder = pathlib.Path(options.wav_directory, "Folk")
    folder.mkdir(parents=True)
    # File permissions would not stop root.
    monkeypatch.setattr(files.secrets, "token_hex", lambda length: "0")
    (folder / ".a.wav.0.tmp").symlink_to("/no/such/folder/a.wav")
    with IsolatedDecoder(LIMITS) as decoder, pytest.raises(OSError, match=r"a\.wav.*Error opening"):
        write_shard(_shard([track]), options, decoder)


def test_without_a_process_a_shard_is_an_error_and_not_a_list_of_rejects(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "SERVER_COMMAND", ("/no/such/python",))
    options = WriteOptions(PARAMS, ("Folk", "Rock"), 0, str(tmp_path / "out"))
    with IsolatedDecoder(LIMITS) as decoder, pytest.raises(DecoderUnavailableError):
        write_shard(_shard([_song(tmp_path, "a")]), options, decoder)
    assert not os.path.exists(shard_path(options.directory, "train", 0, 1))


def test_a_suspect_that_crashes_as_a_whole_is_no_duplicate(tmp_path: pathlib.Path) -> None:
    tracks = [_song(tmp_path, name) for name in ("copy", "original", "segfault")]
    entries = [(track.track_id, track.uri, "same") for track in tracks]
    with IsolatedDecoder(LIMITS) as decoder:
        assert find_duplicates(entries, decoder) == {"original": "copy"}


@pytest.mark.parametrize("full", [False, True])
def test_the_survey_reports_what_a_run_would_leave_out(tmp_path: pathlib.Path, full: bool) -> None:
    names = ("a", "segfault", "b", "hang-native", "c", "surprise", "d")
    tracks = [_song(tmp_path, name, seed) for seed, name in enumerate(names)]
    looked: list[None] = []
    found = survey_files(
        tracks,
        PARAMS,
        full=full,
        clip_seed=0,
        limits=LIMITS,
        advance=lambda: looked.append(None),
        workers=3,
    )
    assert [(reject.track_id, reject.reason) for reject in found.rejects] == [
        ("segfault", "decoder_crashed"),
        ("hang-native", "timed_out"),
        ("surprise", "decoder_crashed"),
    ]
    assert len(looked) == len(tracks)
    assert found.seconds_per_track is not None


def _children() -> str:
    return "".join(
        (task / "children").read_text() for task in pathlib.Path("/proc/self/task").iterdir()
    )


@pytest.fixture
def corpus(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return two genres of eight songs, with a file that crashes and one that hangs."""
    for seed, name in enumerate([f"{n:02d}" for n in range(16)]):
        _song(tmp_path / "corpus" / ("Folk" if seed % 2 else "Rock"), name, seed)
    _song(tmp_path / "corpus" / "Folk", "segfault", 100)
    _song(tmp_path / "corpus" / "Rock", "hang-asleep", 101)
    return tmp_path / "corpus"


@pytest.mark.e2e
@pytest.mark.parametrize(
    "mode", ["in_memory", pytest.param("multi_processing", marks=pytest.mark.slow)]
)
def test_a_corpus_with_a_crashing_and_a_hanging_track_ends_with_both_in_the_rejects(
    corpus: pathlib.Path, tmp_path: pathlib.Path, mode: str
) -> None:
    from tfx.types import standard_artifacts

    from components.artifacts.types import Rejects
    from components.spectrogram_gen.executor import Executor

    dataset = DatasetSettings(
        kind="folder",
        data_dir=str(corpus),
        decode_timeout_seconds=2.0,
        decode_memory_mib=256,
        export_wav="tracks",
    )
    split = SplitSettings(policy="by_track", validation_fraction=0.2, test_fraction=0.2)
    before = _children()
    examples, rejects = standard_artifacts.Examples(), Rejects()
    examples.uri, rejects.uri = str(tmp_path / "examples"), str(tmp_path / "rejects")
    context = Executor.Context(
        beam_pipeline_args=[
            NO_PACKAGES,
            f"--direct_running_mode={mode}",
            "--direct_num_workers=2",
        ],
        tmp_dir=str(tmp_path / "tmp"),
        unique_id="1",
    )
    Executor(context).Do(
        {},
        {"examples": [examples], "rejects": [rejects]},
        {
            "dataset": json.dumps(dataclasses.asdict(dataset)),
            "split": json.dumps(dataclasses.asdict(split)),
            "audio": json.dumps(PARAMS.to_json()),
            "shard_tracks": 4,
            "manifest_digest": load_corpus(dataset, split).digest,
            "store": str(tmp_path / "store"),
        },
    )
    with open(tmp_path / "rejects" / "rejects.csv", newline="") as file:
        rows = {pathlib.Path(row["uri"]).stem: row for row in csv.DictReader(file)}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "segfault": "decoder_crashed",
        "hang-asleep": "timed_out",
    }
    assert "SIGSEGV" in rows["segfault"]["detail"]
    summary = json.loads((tmp_path / "rejects" / "summary.json").read_text())
    assert (summary["tracks_read"], summary["tracks_listed"]) == (16, 18)
    assert len(list(pathlib.Path(examples.uri, "wav").rglob("*.wav"))) == 16
    assert not [name for name in _files(tmp_path) if ".tmp" in name]
    # All decoding processes end with the run; Beam's workers may end later.
    if mode == "in_memory":
        assert _children() == before


def test_the_decoders_of_all_parts_are_in_process_where_that_is_asked_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(isolation.subprocess, "Popen", never)
    dataset = DatasetSettings(isolate_decoding=False)
    assert dataset.decode_limits is None
    found = survey_files(
        [_song(tmp_path, "a")],
        PARAMS,
        full=True,
        clip_seed=0,
        limits=dataset.decode_limits,
        advance=lambda: None,
        workers=1,
    )
    assert found.rejects == ()
    assert isinstance(isolation.make_decoder(dataset.decode_limits), InProcessDecoder)
