"""Places of models."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest


@pytest.fixture(params=["folder", "store"])
def models(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """Return an empty place for a model's versions: a folder, and one in an object store."""
    if request.param == "folder":
        return str(tmp_path / "served" / "genreflow")
    bucket: Any = request.getfixturevalue("bucket")
    return f"s3://{bucket}/served/genreflow"
