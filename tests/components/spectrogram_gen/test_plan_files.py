"""Shards as files: what is read is what was written, and no message holds all tracks."""

from __future__ import annotations

import pathlib
import pickle
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets.track import SPLITS, Track
from components.spectrogram_gen import plan_files
from components.spectrogram_gen.plan_files import read_shard, write_plan
from components.spectrogram_gen.shards import Shard, plan_shards
from components.storage.objects import ObjectState

_TEXT = st.text(max_size=20)
_FILES = st.builds(
    Track,
    track_id=_TEXT,
    uri=_TEXT,
    genre=_TEXT,
    artist_id=st.none() | _TEXT,
    split_hint=st.none() | st.sampled_from(SPLITS),
    state=st.none() | st.builds(ObjectState, st.integers(0, 1 << 40), _TEXT),
)
_TRACKS = st.builds(
    lambda track, copies: Track(**{**vars(track), "copies": tuple(copies)}),
    _FILES,
    st.lists(_FILES, max_size=2),
)
_SHARDS = st.builds(
    Shard,
    index=st.integers(0, 99999),
    total=st.integers(1, 99999),
    splits=st.just(("train",)) | st.just(SPLITS),
    tracks=st.lists(
        st.tuples(_TRACKS, st.lists(st.sampled_from(SPLITS), max_size=5).map(tuple)), max_size=4
    ).map(tuple),
)


@given(shards=st.lists(_SHARDS, max_size=8), limit=st.integers(1, 8))
def test_every_shard_is_read_as_it_was_written(shards: list[Shard], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(plan_files, "MAX_TRACKS_PER_FILE", limit)
        places = write_plan(folder, shards)
        assert [read_shard(place) for place in places] == shards


def test_a_file_has_a_limited_number_of_tracks_unless_one_shard_has_more(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_files, "MAX_TRACKS_PER_FILE", 5)
    track = Track("1", "a.mp3", "Folk")

    def shard(tracks: int) -> Shard:
        return Shard(0, 1, ("train",), ((track, ("train",)),) * tracks)

    places = write_plan(str(tmp_path), [shard(2), shard(3), shard(1), shard(9), shard(5)])
    names = [pathlib.Path(place.path).name[5] for place in places]
    assert names == ["0", "0", "1", "2", "3"]


def test_the_places_of_100_000_tracks_are_a_small_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan_files.files, "write_text", lambda path, text: None)
    tracks = [Track(f"{i}", f"s3://music/{i}.mp3", "Folk", artist_id=f"{i}") for i in range(100000)]
    shards = plan_shards(tracks, dict.fromkeys((t.track_id for t in tracks), ("train",) * 4), 64)
    places = write_plan("s3://runs/work/pipeline/SpectrogramGen/examples/1/.plan", shards)
    assert len(places) == 1563
    # Elements are sent one by one.
    size = sum(len(pickle.dumps(place)) for place in places)
    assert size < 500_000
    assert sum(len(pickle.dumps(shard)) for shard in shards) > 20 * size
