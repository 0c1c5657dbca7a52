"""The list of the tracks that the examples were made from."""

from __future__ import annotations

import json
import pathlib

import pytest

from components.common.errors import DataError
from components.examples.tracks import ExampleTrack, read_tracks, write_tracks


def test_tracks_are_read_as_they_were_written_in_the_order_of_ids(tmp_path: pathlib.Path) -> None:
    known = ExampleTrack("b", "/music/\udcff ä\x1b.mp3", "Hip-Hop", "Björk", "train")
    unknown = ExampleTrack("a", "s3://music/a.flac", "=1+1", "", "")
    write_tracks(str(tmp_path), [known, unknown])
    assert read_tracks(str(tmp_path)) == (unknown, known)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "no JSON",
        "{}",
        '{"tracks": [1]}',
        json.dumps({"tracks": [{"track_id": "a", "uri": "u", "genre": "g", "artist_id": ""}]}),
        json.dumps(
            {"tracks": [{"track_id": "a", "uri": "u", "genre": "g", "artist_id": "", "split": "x"}]}
        ),
        json.dumps(
            {"tracks": 2 * [{"track_id": "a", "uri": "u", "genre": "g", "artist_id": "",
                             "split": "test"}]}
        ),
    ],
)  # fmt: skip
def test_a_missing_or_damaged_list_is_an_error_that_names_it(
    tmp_path: pathlib.Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "tracks.json").write_text(content)
    with pytest.raises(DataError, match=r"tracks\.json: .*rerun the pipeline"):
        read_tracks(str(tmp_path))
