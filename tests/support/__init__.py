"""Code that tests share: servers, models and files to test with. conftest.py loads the fixtures."""

from __future__ import annotations

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
