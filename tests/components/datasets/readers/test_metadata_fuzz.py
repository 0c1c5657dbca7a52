"""A short, deterministic part of benchmarks/fuzz_metadata.py, and regressions that it found."""

from __future__ import annotations

import os
import pathlib
import random
import resource
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from benchmarks import fuzz_metadata
from components.common.errors import DatasetError
from components.datasets.corpus import read_tracks
from components.datasets.readers.csvfile import MAX_ROW_CHARACTERS
from components.datasets.settings import DatasetSettings
from components.datasets.track import Track

pytestmark = pytest.mark.memory
# As it is before the tests have a folder of their own, which only their user can enter.
OPEN_FOLDER = tempfile.gettempdir()


@pytest.fixture
def open_folder() -> Iterator[pathlib.Path]:
    """Return a folder that other users can enter, unlike tmp_path, to drop root's rights in."""
    with tempfile.TemporaryDirectory(dir=OPEN_FOLDER) as folder:
        pathlib.Path(folder).chmod(0o755)
        yield pathlib.Path(folder)
        shutil.rmtree(pathlib.Path(folder, "tree"), ignore_errors=True)


def test_hostile_metadata_ends_as_tracks_and_rejects_or_as_one_error(
    open_folder: pathlib.Path,
) -> None:
    ends = fuzz_metadata.campaign(cases=300, seed=7, folder=open_folder)
    assert sum(ends.values()) == 300
    # Otherwise the fuzzing would test only one outcome of a kind.
    for kind in ("fma", "manifest", "folder", "gtzan"):
        assert ends[f"{kind}: read and split"] > 5
        assert ends[f"{kind}: DatasetError"] > 5


def test_a_folder_that_may_not_be_read_is_one_reject(open_folder: pathlib.Path) -> None:
    for name in ("Folk", "Rock"):
        (open_folder / name).mkdir()
        (open_folder / name / "song.wav").write_bytes(b"x")
    dataset = DatasetSettings(kind="folder", data_dir=str(open_folder))
    assert len(list(read_tracks(dataset, dataset.data_dir))) == 2  # and late imports are done
    (open_folder / "Rock").chmod(0)
    with fuzz_metadata.as_nobody():
        items = list(read_tracks(dataset, dataset.data_dir))
    (open_folder / "Rock").chmod(0o755)
    assert [type(item).__name__ for item in items] == ["Track", "Reject"]
    assert items[1].reason == "missing_file"
    assert "Permission denied" in items[1].detail


@pytest.mark.parametrize("filling", ["x", "x,", '"\n",', "🎷"])
def test_a_row_without_end_is_an_error_before_it_fills_the_memory(
    filling: str, tmp_path: pathlib.Path
) -> None:
    giant = filling * (20 * MAX_ROW_CHARACTERS // len(filling))
    (tmp_path / "manifest.csv").write_text(f"uri,genre\na.wav,{giant}\n", encoding="utf-8")
    del giant
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DatasetError, match="a row is longer than"):
        list(read_tracks(DatasetSettings(kind="manifest"), str(tmp_path)))
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 8 * MAX_ROW_CHARACTERS / 2**20 * 4


def test_a_row_is_measured_alone_and_not_with_those_before_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    note = "x" * (MAX_ROW_CHARACTERS // 3)
    rows = "".join(f"a.wav,Rock,{note}\n" for _ in range(4))
    (tmp_path / "manifest.csv").write_text(f"uri,genre,note\n{rows}")
    items = list(read_tracks(DatasetSettings(kind="manifest"), str(tmp_path)))
    assert sum(isinstance(item, Track) for item in items) == 1
    assert len(items) == 4


def test_a_path_of_very_many_folders_is_refused_without_walking_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.lstat
    walked: list[int] = []
    monkeypatch.setattr(
        os, "lstat", lambda path, **more: walked.append(len(path)) or real(path, **more)
    )
    path = "a/" * 20_000
    (tmp_path / "manifest.csv").write_text(f"uri,genre,track_id\n{path}x.wav,Rock,t\n")
    (item,) = read_tracks(DatasetSettings(kind="manifest"), str(tmp_path))
    assert (item.reason, item.detail) == ("bad_metadata", "its path is longer than 4096 characters")
    assert max(walked) < 4096


@pytest.mark.parametrize("seed", range(8))
def test_what_is_read_can_be_written_as_an_example(seed: int, tmp_path: pathlib.Path) -> None:
    import numpy as np

    from components.audio.params import AudioParams
    from components.examples.writer import Clip, serialize

    fuzz_metadata.prepare(tmp_path)
    params = AudioParams()
    mel_db = np.zeros((params.n_mels, params.frames), np.uint16)
    written = 0
    for case in range(5):
        rng = random.Random(f"{seed} {case}")
        dataset = fuzz_metadata.make_case(rng.choice(["manifest", "folder"]), tmp_path, rng)
        try:
            items = list(read_tracks(dataset, dataset.data_dir))
        except DatasetError:
            continue
        for item in items:
            if isinstance(item, Track):
                clip = Clip(item.track_id, item.artist_id or "", item.genre, 0, 0, 0.0, mel_db)
                assert item.track_id.encode() in serialize(clip, params)
                written += 1
    assert written
