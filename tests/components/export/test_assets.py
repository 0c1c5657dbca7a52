"""The files of an exported model: what is written is read back, and damage is an error."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from components.audio.params import AudioParams
from components.common.errors import DataError
from components.export import assets

PARAMS = AudioParams(n_mels=16)
GENRES = ("Folk", "Hip-Hop", "Électro")
CARD = {"architecture": "ffnn", "model_digest": "abc", "synthetic": True}
SEEN = {"train": ["1"], "validation": ["2"]}


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    files = assets.asset_files(genres=GENRES, params=PARAMS, model_card=CARD, seen_tracks=SEEN)
    (tmp_path / "assets").mkdir()
    for name, text in files.items():
        (tmp_path / "assets" / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_what_is_written_is_read_back(model: pathlib.Path) -> None:
    folder = str(model)
    assert assets.read_assets(folder) == assets.ModelAssets(GENRES, PARAMS, PARAMS.digest(), CARD)
    assert assets.read_identity(folder) == assets.ModelIdentity("abc", PARAMS.digest(), GENRES)
    assert assets.read_card(folder) == CARD
    assert assets.read_model_digest(folder) == "abc"
    assert assets.read_seen_tracks(folder) == {"1", "2"}
    assert assets.read_seen_tracks_by_split(folder) == SEEN


def test_the_tracks_that_a_model_has_seen_are_left_out_where_nobody_knows_them() -> None:
    files = assets.asset_files(genres=GENRES, params=PARAMS, model_card=CARD, seen_tracks=None)
    assert set(files) == {"genres.json", "audio_params.json", "model_card.json"}


@pytest.mark.parametrize("card", [{"x": float("nan")}, {"x": object()}])
def test_a_card_that_is_not_json_is_an_error(card: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="model card is not JSON"):
        assets.asset_files(genres=GENRES, params=PARAMS, model_card=card, seen_tracks=None)


DAMAGE = [None, "no json", "{", b"\xff", "[" * 100_000, "null", "5", "[1]"]


@pytest.mark.parametrize("content", [*DAMAGE, "{}"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("genres.json", assets.read_assets),
        ("genres.json", assets.read_identity),
        ("audio_params.json", assets.read_assets),
        ("audio_params.json", assets.read_identity),
        ("model_card.json", assets.read_model_digest),
        ("model_card.json", assets.read_identity),
        ("seen_tracks.json", assets.read_seen_tracks),
    ],
)
def test_a_missing_or_damaged_file_is_an_error_that_names_it(
    model: pathlib.Path, name: str, read: Callable[[str], Any], content: str | bytes | None
) -> None:
    path = model / "assets" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as error:
        read(str(model))
    assert str(error.value).startswith(f"{path}: ")
    assert "export the model again" in str(error.value)


@pytest.mark.parametrize("content", DAMAGE)
def test_a_card_that_is_missing_or_no_object_is_an_error(
    model: pathlib.Path, content: str | bytes | None
) -> None:
    test_a_missing_or_damaged_file_is_an_error_that_names_it(
        model, "model_card.json", assets.read_card, content
    )


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("digests", [None, [1], "abc", {"a": 1}])
def test_tracks_that_are_no_list_of_digests_are_an_error(
    model: pathlib.Path, split: str, digests: Any
) -> None:
    (model / "assets" / "seen_tracks.json").write_text(json.dumps({**SEEN, split: digests}))
    with pytest.raises(DataError, match=rf"no list of track digests for {split}"):
        assets.read_seen_tracks(str(model))


def test_parameters_of_another_version_leave_the_model_its_identity(model: pathlib.Path) -> None:
    text = json.dumps({"digest": "beef", "params": {"sample_rate_hz": 8000}})
    (model / "assets" / "audio_params.json").write_text(text)
    assert assets.read_identity(str(model)).audio_hash == "beef"
    with pytest.raises(DataError, match=r"audio_params\.json: not the parameters of this version"):
        assets.read_assets(str(model))


def test_a_track_is_known_by_its_digest_alone() -> None:
    digest = assets.track_digest
    assert digest("träck 1") == hashlib.sha256("träck 1".encode()).hexdigest()[:16]
    content = assets.seen_tracks_of({"train": ["b", "a", "b"], "validation": iter(["c"])})
    assert content["train"] == sorted(map(digest, "ab"))
    assert "b" not in str(content["train"]).replace(digest("b"), "").split("'")


def test_what_several_have_seen_is_the_union_by_split() -> None:
    merged = assets.merge_seen_tracks(
        [{"train": ["1"], "validation": ["2"]}, {"train": ["3", "1"], "validation": []}]
    )
    assert merged == {"train": ["1", "3"], "validation": ["2"]}
