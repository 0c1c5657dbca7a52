"""Addresses of the page's parts."""

from __future__ import annotations

from typing import Final

ROOT: Final = "/explore"
SONGS: Final = f"{ROOT}/songs"
CONFUSION: Final = f"{ROOT}/confusion"
LABELS: Final = f"{ROOT}/labels"
MARKS: Final = f"{ROOT}/marks"
REJECTS: Final = f"{ROOT}/rejects"
