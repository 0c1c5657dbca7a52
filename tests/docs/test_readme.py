"""README: short, with links that lead somewhere and pictures of ours."""

from __future__ import annotations

import re

import pytest

from pipeline.config.load import load_config
from pipeline.graph.nodes import node_ids
from tests.support import ROOT
from tests.support.documents import anchors, blocks

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
LINKS = sorted(set(re.findall(r"\]\((?!https?:)([^)\s]+)\)", TEXT)))
# Steps that the picture leaves out: where the serving model comes from, and what is drawn as a box.
NOT_DRAWN = {"ServingModel", "ImportSchemaGen", "Report"}


def test_it_has_fewer_than_1500_words() -> None:
    assert 500 < len(TEXT.split()) < 1500


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_to_a_file_and_a_heading(link: str) -> None:
    path, _, anchor = link.partition("#")
    assert (ROOT / path).is_file()
    if anchor:
        assert anchor in anchors(ROOT / path)


def test_its_program_is_that_of_the_api_page_which_a_test_runs() -> None:
    programs = [block.text for block in blocks(README) if block.language == "python"]
    api = [block.text for block in blocks(ROOT / "docs/reference/api.md")]
    assert len(programs) == 1
    assert programs[0] in api


def test_it_shows_the_flow_and_the_report() -> None:
    assert {"docs/images/flow.svg", "docs/images/report.png"} <= set(LINKS)
    report = ROOT / "docs" / "images" / "report.png"
    assert report.stat().st_size < 200_000
    assert report.read_bytes().startswith(b"\x89PNG")


def test_the_picture_has_the_graphs_nodes() -> None:
    picture = (ROOT / "docs" / "images" / "flow.svg").read_text(encoding="utf-8")
    nodes = {name for name in node_ids(load_config("demo")) if name != "Trainer.ffnn"}
    missing = [
        name for name in nodes - NOT_DRAWN if not re.search(rf"\b{re.escape(name)}\b", picture)
    ]
    assert missing == []


def test_the_picture_is_drawn_for_dark_pages_too_and_loads_nothing() -> None:
    picture = (ROOT / "docs" / "images" / "flow.svg").read_text(encoding="utf-8")
    assert "@media (prefers-color-scheme: dark)" in picture
    assert not re.search(r"<script|<image|href=|url\((?!#)|@import", picture)
