"""HTML pages, parsed."""

from __future__ import annotations

import dataclasses
import html.parser

VOID = frozenset({"br", "img", "meta", "link", "input", "hr"})


@dataclasses.dataclass
class Element:
    """Element with its tag, its attributes and all text inside."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: tuple[str, ...] = ()


class Parsed(html.parser.HTMLParser):
    """Parsed page: its `elements` in order, `comments`, and `wrong`, tags not closed properly."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.comments: list[str] = []
        self.wrong: list[str] = []
        self._open: list[Element] = []
        self.feed(source)
        self.close()
        self.wrong += [element.tag for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Element(tag, dict(attrs), inside=tuple(outer.tag for outer in self._open))
        self.elements.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()
        else:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def by_id(self, name: str) -> Element:
        (found,) = [e for e in self.elements if e.attributes.get("id") == name]
        return found

    @property
    def text(self) -> str:
        return self.all("html")[0].text
