"""The volume that the steps of executed pipelines mount."""

from __future__ import annotations

import pathlib

import pytest

from components.synthesis import write_corpus


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the folder that all steps mount, with a corpus of 16 tracks."""
    folder = tmp_path_factory.mktemp("volume")
    write_corpus(str(folder / "data"), tracks=16, track_seconds=3.0, workers=1)
    return folder
