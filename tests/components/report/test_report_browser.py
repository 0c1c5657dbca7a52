"""Tests of the page in a real browser: it fits a phone, loads without errors, runs no script."""

from __future__ import annotations

import pathlib
import re
import subprocess
from collections.abc import Callable

import pytest

from components.report import page as page_lib
from pipeline.results.schema import NodeRun
from tests.components.report.parsed import Parsed
from tests.components.report.plausible import Rendered

SECONDS = 120

# Written into the page's copy: what the browser made of it, as attributes of <html>.
_PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement, images = [...document.images];
  const wide = [...document.querySelectorAll("body *")].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .strip, .skip"));
  const told = {
    width: innerWidth, scroll: root.scrollWidth, title: document.title,
    images: images.length, loaded: images.filter(i => i.complete && i.naturalWidth).length,
    wide: wide.map(e => e.tagName + " " + e.className).slice(0, 5).join("; "),
    ground: getComputedStyle(document.body).backgroundColor,
  };
  parent.postMessage(told, "*");
});
</script>"""
# A window is never narrower than 500 pixels, a frame is: it stands for the phone.
_PHONE = """<!DOCTYPE html><title>phone</title><script>
addEventListener("message", event => {{
  for (const [name, value] of Object.entries(event.data))
    document.documentElement.setAttribute("data-" + name, value);
}});
</script><iframe src="probed.html" width="{width}" height="1200" style="border: 0"></iframe>"""


@pytest.fixture(scope="session")
def browse(
    requires_program: Callable[[str, str], str],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    chromium = requires_program("chromium", "chromium")

    def run(
        path: pathlib.Path, *, width: int, arguments: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-dev-shm-usage", f"--user-data-dir={path.parent / 'profile'}",
                "--enable-logging=stderr", f"--window-size={width},1200", *arguments,
                "--virtual-time-budget=5000", "--dump-dom", path.as_uri(),
            ],
            capture_output=True, text=True, check=True, timeout=SECONDS,
        )  # fmt: skip

    return run


def _probed(html: str, folder: pathlib.Path, width: int) -> pathlib.Path:
    """Write a frame with a copy of the page that may run scripts: ours, and any from a name."""
    without, number = re.subn(r"<meta http-equiv=[^>]*>", _PROBE, html)
    assert number == 1
    (folder / "probed.html").write_text(without, encoding="utf-8")
    path = folder / "phone.html"
    path.write_text(_PHONE.format(width=width), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_the_window_and_hostile_names_do_not_run(
    hostile: Rendered,
    tmp_path: pathlib.Path,
    browse: Callable[..., subprocess.CompletedProcess[str]],
    width: int,
) -> None:
    html = page_lib.with_run(
        hostile.html,
        nodes={"Trainer.<img src=x onerror=document.title='pwned'>": NodeRun("done", 1.0)},
        pushed_version=None,
    )  # fmt: skip
    done = browse(_probed(html, tmp_path, width), width=1400)
    attributes = Parsed(done.stdout).all("html")[0].attributes
    assert attributes.get("data-width") == str(width)
    assert attributes["data-scroll"] == str(width), attributes["data-wide"]
    assert attributes["data-wide"] == ""
    assert attributes["data-title"] == "Genreflow report: crnn not blessed"
    assert attributes["data-images"] == attributes["data-loaded"] == str(len(hostile.plots))


def test_the_page_itself_breaks_none_of_its_own_rules(
    hostile: Rendered,
    tmp_path: pathlib.Path,
    browse: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    path = tmp_path / "index.html"
    path.write_text(hostile.html, encoding="utf-8")
    done = browse(path, width=1280)
    # The browser's own services complain too; a page's errors say CONSOLE.
    assert "CONSOLE" not in done.stderr
    assert "Genreflow report" in done.stdout
    # An error would be seen: a style that does not match its digest.
    path.write_text(hostile.html.replace("<style>", "<style>/* more */", 1), encoding="utf-8")
    assert "CONSOLE" in browse(path, width=1280).stderr


def test_it_is_dark_where_people_want_it_dark(
    small_report: Rendered,
    tmp_path: pathlib.Path,
    browse: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    path = _probed(small_report.html, tmp_path, 390)
    grounds = []
    for scheme in ("1", "0"):  # light, dark
        done = browse(
            path, width=800, arguments=(f"--blink-settings=preferredColorScheme={scheme}",)
        )
        grounds.append(Parsed(done.stdout).all("html")[0].attributes["data-ground"])
    assert grounds == ["rgb(255, 255, 255)", "rgb(25, 25, 25)"]
