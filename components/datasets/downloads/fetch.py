"""Downloads that go on where they broke off, checked against a published checksum.

pooch checks the sum and puts the file into its place; its own downloader begins anew after each
break, with 93 GB that may never end, so it gets the one of this module.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pooch
import requests
import urllib3.exceptions

from components.common.errors import DataError
from components.datasets.downloads.archives import Archive

CONNECT_SECONDS, READ_SECONDS = 20.0, 60.0
# Tries without a single new byte, after waits that double from one second.
MAX_VAIN_TRIES = 6
MAX_WAIT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20

_TOO_EARLY = "the server ended the transfer too early"

# Called with the bytes that are there, and with those of the whole file, 0 if unknown.
Progress = Callable[[int, int], None]


class DownloadError(DataError):
    """Error for a file that could not be downloaded; the message says from where and why."""


class _Elsewhere(Exception):  # noqa: N818  an outcome
    """Refusal of a server that another try would get too."""


def fetch(archive: Archive, folder: pathlib.Path, progress: Progress, mirror: str = "") -> str:
    """Download an archive, or the rest of it, and return its path.

    A file that is there and has the checksum is not downloaded again.

    Args:
      archive: the archive.
      folder: where to put it; must exist.
      progress: told about each block.
      mirror: URL of a folder to take it from instead of the published places.

    Raises:
      DownloadError: no server has it, or what they send has another checksum. What was downloaded
        is kept for the next try unless it is wrong.
      OSError: the file cannot be written.
    """
    urls = [f"{mirror.rstrip('/')}/{archive.file_name}"] if mirror else archive.urls
    reasons = []
    pooch.get_logger().setLevel(logging.ERROR)  # it would tell the names of temporary files
    for url in urls:
        download = _Resuming(folder / f"{archive.file_name}.part", progress)
        try:
            return str(
                pooch.retrieve(
                    url,
                    known_hash=archive.checksum,
                    fname=archive.file_name,
                    path=folder,
                    downloader=download,
                )
            )
        except _Elsewhere as error:
            reasons.append(f"{url}: {error}")
        except ValueError:  # pooch's, for another checksum; it has removed the file
            reasons.append(
                f"{url}: the file has another {archive.checksum.partition(':')[0]} than the "
                "published one, so it was damaged on its way or replaced; it was removed"
            )
    raise DownloadError(
        "\n".join(reasons)
        + f"\nTry again later, or give another place by --mirror URL, the folder "
        f"that has {archive.file_name}"
    )


class _Resuming:
    """Downloader for pooch, which keeps a partial file beside its state for the next try."""

    def __init__(self, part: pathlib.Path, progress: Progress) -> None:
        self._part = part
        self._state = part.with_name(f"{part.name}.json")
        self._progress = progress

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        vain, most = 0, self._size()
        while not self._is_whole(url):
            try:
                self._request(url)
            except requests.RequestException as error:
                reason = _in_words(error)
            except urllib3.exceptions.ReadTimeoutError:
                reason = "no response in time"
            except urllib3.exceptions.HTTPError:
                reason = _TOO_EARLY
            else:
                reason = _TOO_EARLY
            if self._is_whole(url):
                break
            vain = 0 if self._size() > most else vain + 1
            most = max(most, self._size())
            if vain == MAX_VAIN_TRIES:
                kept = f"; {self._size() / 1e6:.0f} MB are kept, and the next try continues there"
                raise _Elsewhere(f"{reason}{kept if self._size() else ''}")
            if vain:
                time.sleep(min(2.0 ** (vain - 1), MAX_WAIT_SECONDS))
        os.replace(self._part, output_file)
        self._state.unlink(missing_ok=True)

    def _request(self, url: str) -> None:
        """Ask for what is missing, and append it."""
        state, have = self._read_state(url), self._size()
        headers = {"Accept-Encoding": "identity"}
        if have and state.get("validator"):
            headers |= {"Range": f"bytes={have}-", "If-Range": state["validator"]}
        with requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as response:
            if response.status_code == 206 and _begins_at(response, have):
                mode = "ab"
            elif response.status_code == 416:  # nothing after what is here: it is of another file
                self._discard()
                return
            elif response.status_code == 200:
                mode, have = "wb", 0
                self._write_state(url, response)
            elif response.status_code in (408, 425, 429) or response.status_code >= 500:
                response.raise_for_status()
                return
            else:
                raise _Elsewhere(f"{response.status_code} {response.reason}")
            total = int(self._read_state(url).get("total", 0))
            with self._part.open(mode) as file:
                # Not iter_content, which loses the beginning of a block that breaks off.
                for block in response.raw.stream(_BLOCK_BYTES, decode_content=False):
                    have += len(block)
                    if total and have > total:
                        break
                    file.write(block)
                    self._progress(have, total)
            if not total:  # a response without a length ends where its connection does
                self._write(url, self._read_state(url).get("validator", ""), have)

    def _is_whole(self, url: str) -> bool:
        total = int(self._read_state(url).get("total", 0))
        return bool(total) and self._size() == total

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _read_state(self, url: str) -> dict[str, Any]:
        """Return what is known of the partial file; nothing if it is from elsewhere."""
        with contextlib.suppress(OSError, ValueError):
            state = json.loads(self._state.read_text(encoding="utf-8"))
            if isinstance(state, dict) and state.get("url") == url:
                return state
        return {}

    def _write_state(self, url: str, response: requests.Response) -> None:
        etag = response.headers.get("ETag", "")
        # A weak ETag may stay the same for other bytes (RFC 9110, 8.8.1).
        strong = etag if etag and not etag.startswith("W/") else ""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else 0
        self._write(url, strong or response.headers.get("Last-Modified", ""), total)

    def _write(self, url: str, validator: str, total: int) -> None:
        state = {"url": url, "validator": validator, "total": total}
        self._state.write_text(json.dumps(state), encoding="utf-8")


def _begins_at(response: requests.Response, first: int) -> bool:
    """Return whether a partial response begins at a byte."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {first}-")


def _in_words(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no response in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid here"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of this machine refuses (HTTPS_PROXY)"
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return "not a URL"
    return "cannot be reached; is this machine offline?"
