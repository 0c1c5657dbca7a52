"""Reports that several tests share, as drawing one takes a while."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from tests.components.report import plausible
from tests.components.report.plausible import Rendered


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Return a report of 16 models and 10 genres, with an attack in every name."""
    made = plausible.write(
        tmp_path_factory.mktemp("hostile"),
        genres=plausible.HOSTILE,
        suffix=plausible.HOSTILE_SUFFIX,
        rejects=plausible.HOSTILE_REJECTS,
        blessed=False,
        leaky=True,
    )
    return plausible.render(made)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> plausible.Artifacts:
    """Return the artifacts of two genres, one network and one baseline."""
    return plausible.write(
        tmp_path_factory.mktemp("small"),
        genres=("Folk", "Rock"),
        networks=("crnn",),
        baselines=("svm",),
        ensembles=(),
        tracks={"train": 4, "validation": 1, "test": 3},
    )


@pytest.fixture(scope="session")
def small_report(small: plausible.Artifacts) -> Rendered:
    return plausible.render(small)


@pytest.fixture(scope="session")
def bare_report(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Return the report of a run without baselines, averages and rejects."""
    made = plausible.write(
        tmp_path_factory.mktemp("bare"),
        genres=("Folk", "Rock"),
        networks=("crnn",),
        baselines=(),
        ensembles=(),
        tracks={"train": 1, "validation": 1, "test": 1},
        params=dataclasses.replace(plausible.PARAMS, evaluation_clips="all"),
    )
    return plausible.render(made)


@pytest.fixture
def page(tmp_path: pathlib.Path, hostile: Rendered) -> pathlib.Path:
    path = tmp_path / "index.html"
    path.write_text(hostile.html, encoding="utf-8")
    return path
