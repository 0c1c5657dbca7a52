"""The files of the test examples, and what is found of them later."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from components.common.errors import DataError
from components.datasets.track import Track
from components.examples.sources import (
    CHANGED,
    MISSING,
    Source,
    Sources,
    find_now,
    read_sources,
    source_of,
    write_sources,
)


def _source(path: pathlib.Path, *, strict: bool = False) -> Source:
    found = source_of(Track("t1", str(path), "Folk"), strict=strict)
    assert found is not None
    return found


def test_sources_are_read_as_they_were_written_in_the_order_of_tracks(
    tmp_path: pathlib.Path,
) -> None:
    song = tmp_path / "ä song.mp3"
    song.write_bytes(b"sound")
    here = _source(song)
    assert (here.size_bytes, here.version) == (5, song.stat().st_mtime_ns)
    there = Source("a1", "s3://music/1.mp3", 7, "123")  # an ETag of digits
    write_sources(str(tmp_path), [here, there], strict=False)
    assert read_sources(str(tmp_path)) == Sources(False, (there, here))


@pytest.mark.parametrize("content", [None, "no JSON", "{}", '{"strict": false, "sources": [1]}'])
def test_a_missing_or_damaged_file_is_an_error_that_names_it(
    tmp_path: pathlib.Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "test_sources.json").write_text(content)
    with pytest.raises(DataError, match=r"test_sources\.json: .*rerun the pipeline"):
        read_sources(str(tmp_path))


def test_a_file_is_found_again_unless_it_is_gone_or_has_changed(tmp_path: pathlib.Path) -> None:
    song = tmp_path / "song.mp3"
    song.write_bytes(b"sound")
    source, strict = _source(song), _source(song, strict=True)
    assert find_now(source, strict=False) == Track("t1", str(song), "")
    later = time.time_ns() + 10**9
    os.utime(song, ns=(later, later))
    assert find_now(source, strict=False) == CHANGED
    assert find_now(strict, strict=True) == Track("t1", str(song), "")  # the same content
    song.write_bytes(b"other")
    assert find_now(strict, strict=True) == CHANGED
    song.unlink()
    assert find_now(source, strict=False) == find_now(strict, strict=True) == MISSING
    assert source_of(Track("t1", str(song), "Folk"), strict=False) is None
