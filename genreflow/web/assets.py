"""Static files, read once: small, compressed, and cached by the browser for ever.

Every address contains the digest of all files, so that a new version has new addresses, and
relative imports between ES modules stay within one version.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import pathlib
from collections.abc import Mapping

from fastapi import Request, Response

from genreflow.web.errors import WebError

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_DIGEST_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class _Asset:
    """Content of a file, plain and compressed."""

    media_type: str
    plain: bytes
    zipped: bytes


class Assets:
    """All static files of the shell and of its pages.

    Attributes:
      digest: of all files; a part of each address.
      total_bytes: size of all files, not compressed.
    """

    def __init__(
        self, folders: Mapping[str, pathlib.Path], made: Mapping[str, bytes] | None = None
    ) -> None:
        """Read the files.

        Args:
          folders: folder by the beginning of its files' names: "" for the shell's, "listen/" for
            those of a page. One that does not exist is empty.
          made: content of further files by name.
        """
        contents = dict(made or {})
        for prefix, folder in folders.items():
            for path in sorted(folder.glob("*")):
                if path.suffix in MEDIA_TYPES:
                    contents[prefix + path.name] = path.read_bytes()
        digest = hashlib.sha256()
        self._assets = {}
        for name, content in sorted(contents.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            media_type = MEDIA_TYPES[pathlib.PurePath(name).suffix]
            self._assets[name] = _Asset(media_type, content, gzip.compress(content, mtime=0))
        self.digest = digest.hexdigest()[:_DIGEST_DIGITS]
        self.total_bytes = sum(map(len, contents.values()))

    def url(self, name: str) -> str:
        """Return the address of a file.

        Raises:
          KeyError: there is no such file; a template names another one.
        """
        if name not in self._assets:
            raise KeyError(f"there is no static file {name!r}")
        return f"/static/{self.digest}/{name}"

    def respond(self, request: Request, digest: str, name: str) -> Response:
        """Return a file.

        Raises:
          WebError: there is no such file, or it belonged to another version.
        """
        asset = self._assets.get(name)
        if asset is None or digest != self.digest:
            raise WebError(404, "there is no such file; reload the page")
        headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
        accepted = request.headers.get("accept-encoding", "")
        if "gzip" in (coding.split(";")[0].strip() for coding in accepted.split(",")):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.zipped, headers=headers, media_type=asset.media_type)
        return Response(asset.plain, headers=headers, media_type=asset.media_type)
