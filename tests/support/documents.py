"""Pages of the documentation and the README, and the code blocks in them."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator

from tests.support import ROOT

PAGES = tuple(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts)
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PAGES)
_FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)


@dataclasses.dataclass(frozen=True)
class Block:
    """Code block of a page.

    Attributes:
      path: the page.
      line: number of its first line of code.
      info: the words after the fence, such as "toml"; "" for none.
      text: the code.
    """

    path: pathlib.Path
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        return self.info.split()[0] if self.info else ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: pathlib.Path) -> Iterator[Block]:
    """Yield a page's code blocks, in order."""
    text = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(path, line, found["info"].strip(), found["text"])


ALL_BLOCKS = tuple(block for path in DOCUMENTS for block in blocks(path))


def anchors(path: pathlib.Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
