"""Settings of Sphinx. `make docs` builds the pages, without a network; a warning is an error."""

from __future__ import annotations

import pathlib
import re
import sys
from typing import TYPE_CHECKING, Any

from pygments.lexers.special import TextLexer

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.generators import pages  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Genreflow"
html_title = "Genreflow"
author = copyright = "the authors of Genreflow"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True
# Types in signatures; their own pages are on other hosts, which an offline build cannot ask.
nitpick_ignore_regex = [("py:.*", ".*")]
default_role = "literal"  # single backticks in docstrings
smartquotes = False  # quotes are often part of a value
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
exclude_patterns = ["_build"]
# A pattern in a table of contents for pages that are not written yet.
suppress_warnings = ["toc.empty_glob"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # links such as gate.md#choosing-margins, as GitHub makes them

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["genreflow.css"]
html_js_files = [("genreflow.js", {"defer": "defer"})]
html_show_sphinx = html_show_copyright = html_show_sourcelink = False
html_copy_source = False
pygments_style = "default"
pygments_dark_style = "github-dark"


def setup(app: Sphinx) -> None:
    """Fill the generated parts into the pages that have a place for them."""
    app.connect("source-read", lambda _app, _name, source: fill(source))
    app.add_lexer("mermaid", TextLexer)
    # Before napoleon, which has the usual priority.
    app.connect("autodoc-process-docstring", mark_examples, priority=400)
    # After furo, which makes the list of pages.
    app.connect("html-page-context", level_captions, priority=900)


def mark_examples(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Mark indented paragraphs of a docstring as code, in place; sections have no line before."""
    lines[:] = re.sub(r"\n\n(?=    \S)(?<!::\n\n)", "\n\n::\n\n", "\n".join(lines)).split("\n")


def level_captions(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _document: object
) -> None:
    """Give the captions of lists of pages the level that docutils leaves out of a heading."""
    for part in {"body", "furo_navigation_tree"} & context.keys():
        context[part] = re.sub(
            r'role="heading"(?![^>]*aria-level)', 'role="heading" aria-level="2"', context[part]
        )


def fill(source: list[str]) -> None:
    """Replace the generated parts of a page's text, which Sphinx passes in a list."""
    source[0] = pages.filled(source[0])
