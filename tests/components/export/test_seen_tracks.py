"""Which tracks a model has seen, as its assets say."""

from __future__ import annotations

import hashlib
import pathlib

import pytest

from components.common.errors import DataError
from components.export import seen_tracks as seen


def test_a_track_is_known_by_its_digest_alone() -> None:
    assert seen.track_digest("träck 1") == hashlib.sha256("träck 1".encode()).hexdigest()[:16]
    content = seen.seen_json({"train": ["b", "a", "b"], "validation": iter(["c"])})
    assert content["train"] == sorted(map(seen.track_digest, "ab"))
    assert "b" not in str(content["train"]).replace(seen.track_digest("b"), "").split("'")


def test_what_several_have_seen_is_the_union_by_split() -> None:
    merged = seen.merged(
        [{"train": ["1"], "validation": ["2"]}, {"train": ["3", "1"], "validation": []}]
    )
    assert merged == {"train": ["1", "3"], "validation": ["2"]}


def test_both_splits_are_read_from_the_assets(tmp_path: pathlib.Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "seen_tracks.json").write_text('{"train": ["1"], "validation": ["2"]}')
    assert seen.read_seen(str(tmp_path)) == {"1", "2"}


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"train": ["1"]}', '{"train": [1], "validation": []}', "null"]
)
def test_a_model_that_does_not_say_is_an_error(tmp_path: pathlib.Path, content: str | None) -> None:
    (tmp_path / "assets").mkdir()
    if content is not None:
        (tmp_path / "assets" / "seen_tracks.json").write_text(content)
    with pytest.raises(DataError, match=r"seen_tracks\.json"):
        seen.read_seen(str(tmp_path))
