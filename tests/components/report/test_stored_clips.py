"""Tests of reading the examples for the report: their tracks, and a few spectrograms."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from components.common.errors import DataError
from components.report import stored_clips
from tests.components.report import plausible


def test_the_survey_counts_every_track_of_every_split(small: plausible.Artifacts) -> None:
    tracks = stored_clips.survey(small.folder("examples"))
    assert len(tracks) == 2 * (4 + 1 + 3)
    assert tracks == sorted(tracks, key=lambda track: (track.split, track.track_id))
    first = next(track for track in tracks if track.split == "train")
    assert (first.track_id, first.artist_id, first.label) == (
        "train/0.00000", "artist train 0 0", 0,
    )  # fmt: skip
    assert (first.clips, first.first_clip) == (2, 0)
    assert {pathlib.Path(track.file).parent.name for track in tracks} == {
        "Split-train", "Split-validation", "Split-test",
    }  # fmt: skip


def test_only_the_wanted_spectrograms_are_read_and_only_from_their_files(
    small: plausible.Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = {t.track_id: t for t in stored_clips.survey(small.folder("examples"))}
    chosen = tracks["test/1.00002"]
    opened: list[str] = []
    records = stored_clips._records

    def spied(path: str, compression: str) -> object:
        opened.append(path)
        return records(path, compression)

    monkeypatch.setattr(stored_clips, "_records", spied)
    key = ("test", chosen.track_id, 1)
    found = stored_clips.read_mels({key: chosen.file}, small.params)
    assert opened == [chosen.file]
    assert list(found) == [key]
    written = plausible.mel_of(chosen.track_id, 1, 1, small.params)
    assert np.abs(found[key] - written).max() <= 1 / 1024


def test_a_clip_that_is_not_there_is_told_with_its_file(small: plausible.Artifacts) -> None:
    track = stored_clips.survey(small.folder("examples"))[0]
    with pytest.raises(DataError, match=r"clip 7 of track .* different runs"):
        stored_clips.read_mels({(track.split, track.track_id, 7): track.file}, small.params)


def test_a_damaged_file_is_told_in_words(
    small: plausible.Artifacts, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "Split-train" / "data-00000-of-00001"
    path.parent.mkdir()
    source = pathlib.Path(stored_clips.survey(small.folder("examples"))[0].file)
    path.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"data-00000-of-00001.*damaged"):
        stored_clips.survey(str(tmp_path))
