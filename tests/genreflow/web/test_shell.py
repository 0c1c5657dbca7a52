"""Tests of the shell: pages, navigation, errors, assets, and the checks of each request."""

from __future__ import annotations

import gzip
import pathlib
import re

import pytest
from fastapi.testclient import TestClient

from genreflow.web.app import make_app
from tests.genreflow.web.shell import BASE, client, toy_page

HOSTILE = "<script>alert(1)</script>"
HTML = {"Accept": "text/html,*/*"}


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> TestClient:
    pages = [toy_page(tmp_path / "one", "one"), toy_page(tmp_path / "two", "two")]
    return client(make_app(pages))


def test_the_first_page_is_home_and_the_navigation_names_all_pages(toy: TestClient) -> None:
    home = toy.get("/")
    assert (home.status_code, home.headers["location"]) == (307, "/one")
    html = toy.get("/two").text
    assert '<a href="/one">Toy one</a>' in html
    assert '<a href="/two" aria-current="page">Toy two</a>' in html


def test_text_is_escaped_and_nothing_of_a_page_is_inline(toy: TestClient) -> None:
    html = toy.get("/one", params={"text": HOSTILE}).text
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?! src)", html)
    # No address of another host.
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)


@pytest.mark.parametrize("path", ["/one", "/nowhere", "/one/api/broken", "/one/busy"])
def test_every_response_has_the_security_headers(toy: TestClient, path: str) -> None:
    headers = toy.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8600", "localhost:1", "[::1]:8600", "192.168.1.7", "x.localhost", "music"]
)
def test_addresses_and_known_names_are_answered(tmp_path: pathlib.Path, host: str) -> None:
    app = client(make_app([toy_page(tmp_path)], host_names=["Music"]))
    assert app.get("/toy", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8600", "", "[", "a b"])
def test_a_rebound_name_is_refused(toy: TestClient, host: str) -> None:
    refused = toy.get("/one", headers={"Host": host})
    assert refused.status_code == 403
    assert "--allow-host" in refused.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 503),  # a program
        ({"Origin": BASE}, 503),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 503),
    ],
)
def test_only_the_pages_own_requests_change_something(
    toy: TestClient, headers: dict[str, str], status: int
) -> None:
    assert toy.post("/one/api/busy", headers=headers).status_code == status


def test_errors_are_pages_for_people_and_json_for_scripts(toy: TestClient) -> None:
    page = toy.get("/one/busy", headers=HTML)
    assert (page.status_code, page.headers["retry-after"]) == (503, "7")
    assert "busy with &lt;b&gt;others&lt;/b&gt;; retry" in page.text
    answer = toy.post("/one/api/busy", headers=HTML)
    assert answer.json() == {"error": "busy with <b>others</b>; retry"}
    assert toy.get("/nowhere", headers=HTML).status_code == 404
    assert "There is no such page" in toy.get("/nowhere", headers=HTML).text
    assert "value" in toy.get("/one/api/number?value=x").json()["error"]


def test_a_failure_is_logged_and_not_shown(tmp_path: pathlib.Path) -> None:
    log: list[str] = []
    broken = client(make_app([toy_page(tmp_path)], on_failure=log.append)).get("/toy/api/broken")
    assert broken.status_code == 500
    assert "secret" not in broken.text
    assert log == ["GET /toy/api/broken failed: RuntimeError: secret"]


def test_assets_are_compressed_cached_for_ever_and_named_by_their_content(
    tmp_path: pathlib.Path,
) -> None:
    def address() -> str:
        html = client(make_app([toy_page(tmp_path)])).get("/toy").text
        return re.findall(r'src="(/static/\w+/toy/page\.js)"', html)[0]

    toy = client(make_app([toy_page(tmp_path)]))
    first = address()
    plain = toy.get(first, headers={"Accept-Encoding": "identity"})
    assert plain.content == (tmp_path / "static" / "page.js").read_bytes()
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in plain.headers["cache-control"]
    with toy.stream("GET", first, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as zipped:
        assert zipped.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(zipped.iter_raw())) == plain.content
    assert toy.get(first.replace("page.js", "../../app.py")).status_code == 404
    assert toy.get(first.replace("page.js", "other.js")).status_code == 404
    page = toy_page(tmp_path)
    (tmp_path / "static" / "page.js").write_text("// changed\n")
    html = client(make_app([page])).get("/toy").text
    assert re.findall(r'src="(/static/\w+/toy/page\.js)"', html)[0] != first
    assert toy.get(first).content == plain.content
