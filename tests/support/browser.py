"""Chromium, driven through its DevTools protocol. Loaded by conftest.py.

def test_it(tab):
    tab.open("http://127.0.0.1:8600/")
    assert tab.value("document.title") == "Genreflow"
"""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websocket

# A busy machine may be ten times as slow; no test passes because of this.
DEADLINE_S = 60.0
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio",
    "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--autoplay-policy=no-user-gesture-required",
    # A microphone that beeps, without a question.
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
)  # fmt: skip
_KEY_CODES = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38,
              "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}  # fmt: skip


class Tab:
    """Tab of the browser.

    Attributes:
      complaints: what the console said: errors, warnings, violations of the security policy.
    """

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        return self._browser.command(method, parameters, self._session)

    def open(self, url: str) -> None:
        """Open an address, and wait until it has loaded."""
        self.command("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url.split('#')[0])}) && "
                  "document.readyState === 'complete'")  # fmt: skip

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; promises are awaited."""
        result = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"].get("exception", {}).get("description"))
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = DEADLINE_S) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError, CommandError):
                if self.value(f"Boolean({expression})"):
                    return
            time.sleep(0.03)
        text = self.value("document.body.innerText")
        raise AssertionError(f"never true: {expression}\n{self.complaints}\n{text}")

    def click(self, selector: str) -> None:
        """Click an element."""
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str, times: int = 1) -> None:
        """Press a key, such as "ArrowRight", or type one character."""
        code = _KEY_CODES.get(key, ord(key[0].upper()))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        typed = {"text": text} if text else {}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.command(
                    "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                    code=key, **(typed if kind == "keyDown" else {}),
                )  # fmt: skip

    def choose_files(self, selector: str, paths: list[pathlib.Path]) -> None:
        """Put files into an <input type="file">."""
        found = self.command(
            "Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})"
        )
        self.command(
            "DOM.setFileInputFiles", files=[str(path) for path in paths],
            objectId=found["result"]["objectId"],
        )  # fmt: skip

    def look(
        self, *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False
    ) -> None:
        """Set the size of the window, the colour scheme, and whether motion is reduced."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        features = {"prefers-color-scheme": "dark" if dark else "light",
                    "prefers-reduced-motion": "reduce" if still else "no-preference"}  # fmt: skip
        self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def screenshot(self, path: pathlib.Path) -> None:
        """Write a picture of the whole page."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def axe(self, source: str) -> list[str]:
        """Return the serious and critical problems that axe-core finds, one a line."""
        self.value(f"{source}; undefined")
        found = self.value("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: "
            + "; ".join(node["html"][:200] + " " + node["failureSummary"] for node in one["nodes"])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def close(self) -> None:
        """Close the tab, as a person does."""
        self._browser.tabs.pop(self._session, None)
        self._browser.command("Target.closeTarget", {"targetId": self._target})

    def hear(self, event: dict[str, Any]) -> None:
        """Note an event of the tab."""
        parameters = event["params"]
        match event["method"]:
            case "Log.entryAdded":
                entry = parameters["entry"]
                if entry["level"] in ("error", "warning") and entry["source"] != "network":
                    self.complaints.append(f"{entry['source']}: {entry['text']}")
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.complaints.append(details.get("exception", details).get("description", ""))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning"):
                self.complaints.append(str([one.get("value") for one in parameters["args"]]))


class CommandError(AssertionError):
    """Error that the browser answers a command with."""


class Browser:
    """A running browser. A context manager.

    Attributes:
      tabs: tab by session.
    """

    def __init__(self, program: str, profile: pathlib.Path) -> None:
        self._process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.tabs: dict[str, Tab] = {}
        self._number = 0
        end = time.monotonic() + DEADLINE_S
        told = profile / "DevToolsActivePort"
        while not (told.exists() and len(told.read_text().splitlines()) == 2):
            assert self._process.poll() is None, "Chromium ended"
            assert time.monotonic() < end, "Chromium did not start"
            time.sleep(0.05)
        port, path = told.read_text().splitlines()
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", suppress_origin=True, timeout=DEADLINE_S
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(Exception):
            self.command("Browser.close", {})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()

    def tab(self) -> Tab:
        """Open a tab."""
        context = self.command("Target.createBrowserContext", {})["browserContextId"]
        target = self.command(
            "Target.createTarget", {"url": "about:blank", "browserContextId": context}
        )["targetId"]
        session = self.command("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        tab = Tab(self, target, session)
        self.tabs[session] = tab
        return tab

    def command(self, method: str, parameters: dict[str, Any], session: str = "") -> dict[str, Any]:
        """Send a command to the browser or a tab, and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise CommandError(f"{method}: {answer['error']}")
                return answer["result"]
            tab = self.tabs.get(answer.get("sessionId", ""))
            if "method" in answer and tab is not None:
                tab.hear(answer)


@pytest.fixture(scope="session")
def browser(
    requires_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """Return a running Chromium."""
    program = requires_program("chromium", "chromium")
    with Browser(program, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """Return a new tab with storage of its own; its console must stay silent."""
    opened = browser.tab()
    opened.look()
    yield opened
    opened.close()
    assert not opened.complaints, opened.complaints


@pytest.fixture(scope="session")
def axe(requires_npm_packages: Callable[..., pathlib.Path]) -> str:
    """Return the source of axe-core, for `Tab.axe`."""
    return (requires_npm_packages("axe-core") / "axe-core" / "axe.min.js").read_text("utf-8")
