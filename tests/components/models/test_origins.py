"""Origins of starting weights: by name, by a path to a copy, and unknown ones."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

import pytest

from components.models.architectures import NETWORKS
from components.models.origins import origin
from components.models.published import checkpoint_files


def test_published_weights_have_data_licence_and_paper() -> None:
    found = origin("musicnn", "msd")
    assert found is not None
    assert found["weights"] == "msd"
    assert found["licence"] == "ISC"
    assert "Million Song Dataset" in found["trained_on"]
    assert found["paper"] == "https://arxiv.org/abs/1909.06654"


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name].published])
def test_every_published_file_says_where_it_comes_from(name: str) -> None:
    for weights in NETWORKS[name].published:
        assert all((origin(name, weights) or {}).values())


def test_random_weights_come_from_nowhere() -> None:
    assert origin("cnn_small", "none") is None
    assert origin("musicnn", "none") is None


def test_a_copy_is_known_by_its_checksums_and_another_file_is_not(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, content in zip(checkpoint_files(tmp_path), (b"data", b"index"), strict=True):
        path.write_bytes(content)
    assert origin("musicnn", str(tmp_path)) == {"weights": tmp_path.name}
    files = tuple(
        dataclasses.replace(file, digest=hashlib.sha256(content).hexdigest())
        for file, content in zip(
            NETWORKS["musicnn"].published["mtt"].files, (b"data", b"index"), strict=True
        )
    )
    mtt = dataclasses.replace(NETWORKS["musicnn"].published["mtt"], files=files)
    known = dataclasses.replace(NETWORKS["musicnn"], published={"mtt": mtt})
    monkeypatch.setitem(NETWORKS, "musicnn", known)
    assert origin("musicnn", str(tmp_path)) == origin("musicnn", "mtt")
    checkpoint_files(tmp_path)[0].write_bytes(b"other")
    assert origin("musicnn", str(tmp_path)) == {"weights": tmp_path.name}


def test_real_checkpoints_are_known(real_data: pathlib.Path) -> None:
    for name, weights, folder in (
        ("musicnn", "msd", "MSD_musicnn"),
        ("musicnn", "mtt", "MTT_musicnn"),
        ("musicnn_vgg", "msd", "MSD_vgg"),
        ("musicnn_vgg", "mtt", "MTT_vgg"),
    ):
        assert origin(name, str(real_data / "musicnn" / folder)) == origin(name, weights)
