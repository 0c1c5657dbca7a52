"""Web server of files on loopback, with the faults of real ones."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import threading
from collections.abc import Iterator


@dataclasses.dataclass
class Files:
    """Content and behaviour of a server.

    Attributes:
      files: content by path.
      break_after: how many bytes of a response's body come before the connection breaks, for each
        response in turn; then none breaks.
      ranges: whether it answers ranges with 206.
      etag: of all files.
      announced: Content-Length in place of the true one; 0 for none.
      status: of every response, if it is not 0.
      asked: (path, Range header) of each request.
    """

    files: dict[str, bytes]
    break_after: list[int] = dataclasses.field(default_factory=list)
    ranges: bool = True
    etag: str = '"1"'
    announced: int | None = None
    status: int = 0
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serve_files(**behaviour: object) -> Iterator[Files]:
    """Run a server and yield its behaviour, which may be changed."""
    served = Files(**behaviour)  # type: ignore[arg-type]

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            served.asked.append((self.path, wanted))
            content = served.files.get(self.path)
            if served.status or content is None:
                self.send_error(served.status or 404)
                return
            first = 0
            current = self.headers.get("If-Range", served.etag) == served.etag
            if wanted and served.ranges and current:
                first = int(wanted.removeprefix("bytes=").rstrip("-"))
                if first >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            body = content[first:]
            length = len(body) if served.announced is None else served.announced
            if length:
                self.send_header("Content-Length", str(length))
            if served.etag:
                self.send_header("ETag", served.etag)
            self.end_headers()
            self.wfile.write(body[: served.break_after.pop(0)] if served.break_after else body)
            self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
