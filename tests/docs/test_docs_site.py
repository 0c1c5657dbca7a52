"""The documentation's pages: built without a warning, found in the index, and self-contained."""

from __future__ import annotations

import functools
import http.server
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.support import ROOT
from tests.support.browser import Tab
from tests.support.documents import DOCUMENTS, PAGES


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the folder of the pages, built as `make docs` builds them."""
    (command,) = re.findall(r"^\t@\.venv/bin/(sphinx-build .*)$", MAKEFILE, re.MULTILINE)
    out = tmp_path_factory.mktemp("site") / "html"
    words = [str(out) if word == "docs/_build" else word for word in command.split()]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words[1:]],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return out


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_page_is_built(site: pathlib.Path) -> None:
    names = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in PAGES}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert built - names <= {pathlib.Path("genindex.html"), pathlib.Path("search.html"),
                             pathlib.Path("py-modindex.html")}  # fmt: skip
    assert names <= built


def test_links_to_other_hosts_are_encrypted_and_whole() -> None:
    """The build is offline, so only their form is checked."""
    wrong = [
        f"{path.relative_to(ROOT)}: {url}"
        for path in DOCUMENTS
        for url in re.findall(r"\]\(([a-z]+:[^)\s]*)\)", path.read_text(encoding="utf-8"))
        if not re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/[\w./~%#?=&+,-]*)?", url)
    ]
    assert wrong == []


def test_the_pages_load_nothing_from_another_host(site: pathlib.Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe|source|audio|video|embed)\b[^>]*\bsrc=[\"'](?:https?:)?//"
        r"|<link\b(?![^>]*rel=[\"'](?:canonical|next|prev|search)\b)[^>]*href=[\"'](?:https?:)?//"
        r"|@import\s+(?:url\()?[\"']?(?:https?:)?//|url\(\s*[\"']?(?:https?:)?//"
    )
    found = [
        f"{path.relative_to(site)}: {match[0]}"
        for path in site.rglob("*")
        if path.suffix in {".html", ".css"}
        for match in loading.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
    assert loading.search('<script src="https://cdn.example.org/a.js">')
    assert loading.search("@import url(https://fonts.example.org/a)")


def test_every_page_is_two_clicks_from_the_index(site: pathlib.Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'href="([\w/-]+\.html)', index))
    missing = [
        name
        for path in PAGES
        if (name := str(path.relative_to(ROOT / "docs").with_suffix(".html"))) != "index.html"
        and name not in linked
    ]
    assert missing == []


# One page of each kind. Their colours and their layout on a telephone come from the same rules, so
# four of them are enough there.
ON_A_TELEPHONE = (
    "index.html", "guides/explore.html", "reference/settings.html", "search.html?q=gate",
)  # fmt: skip
KINDS = (
    *ON_A_TELEPHONE, "tutorial/first-run.html", "reference/commands.html", "reference/api.html",
)  # fmt: skip


@pytest.fixture
def address(site: pathlib.Path) -> Iterator[str]:
    """Return the address of the pages on a server; axe cannot read style sheets of file: URLs."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_axe_finds_nothing_on_a_page_of_each_kind(address: str, tab: Tab, axe: str) -> None:
    for width, pages in ((1280, KINDS), (390, ON_A_TELEPHONE)):
        tab.look(width=width, dark=pages is ON_A_TELEPHONE)
        for page in pages:
            tab.open(f"{address}/{page}")
            if "?" in page:
                tab.wait("document.querySelectorAll('.search li').length > 3")
            assert tab.axe(axe) == [], page
            assert tab.value("document.documentElement.scrollWidth") == width, page


def test_wide_code_is_scrolled_by_keyboard(address: str, tab: Tab) -> None:
    tab.look(width=390)
    tab.open(f"{address}/tutorial/first-run.html")
    tab.value("document.querySelector('pre[tabindex]').focus()")
    tab.press("ArrowRight")
    tab.wait("document.activeElement.scrollLeft > 0")
