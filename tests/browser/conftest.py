"""A real headless Chromium, told what to do over its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/"""

import base64
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.report import formats
from lab import browser as installed

#: Chromium talks over descriptors 3 and 4 (`--remote-debugging-pipe`), which Popen cannot give by number.
AT_3_AND_4 = "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"
SECONDS = 60  # for any answer


class Browser:
    """A running Chromium; `call` sends a command and returns its answer, `events` are what it said unasked."""

    def __init__(self, home: Path):
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        given = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs_in, theirs_out)]
        words = [
            "--headless", "--no-sandbox",  # as root it runs no other way
            "--remote-debugging-pipe", f"--user-data-dir={home}", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_3_AND_4, *map(str, given), installed.require(), *words],
            pass_fds=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(home)},
        )
        for each in (theirs_in, theirs_out, *given):
            os.close(each)
        self.reader, self.writer, self.buffer = ours_in, ours_out, b""
        self.count, self.events = 0, []

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        self.count += 1
        whom = {"sessionId": session} if session else {}
        message = {"id": self.count, "method": method, "params": parameters, **whom}
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while (answer := self.heard()).get("id") != self.count:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def heard(self) -> dict:
        end = time.monotonic() + SECONDS
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0, end - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self.reader, 1 << 20)
            assert piece, "Chromium is gone"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        self.call("Browser.close")
        self.process.wait(SECONDS)
        os.close(self.reader)
        os.close(self.writer)


class Page:
    """A tab; every event since it was made stays in `events`."""

    def __init__(self, browser: Browser):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        return self.browser.call(method, self.session, **parameters)

    def said(self, method: str) -> list[dict]:
        """Return what events of a kind said."""
        return [
            each["params"] for each in self.browser.events
            if each.get("method") == method and each.get("sessionId") == self.session
        ]

    def size(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        before = len(self.said("Page.loadEventFired"))
        self.call("Page.navigate", url=path.as_uri())
        while len(self.said("Page.loadEventFired")) == before:
            self.browser.events.append(self.browser.heard())

    def js(self, expression: str):
        """Return what an expression comes to on the page; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        same = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **same, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **same)

    def tab_to(self, wanted: str) -> None:
        """Press Tab until the element that a selector names has the focus."""
        for _ in range(200):
            self.key("Tab", 9)
            if self.js(f"document.activeElement.matches({json.dumps(wanted)})"):
                return
        raise AssertionError(f"Tab never reaches {wanted}")

    def picture(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def tab(chromium):
    """Return what opens a tab."""
    tabs = []

    def open() -> Page:
        tabs.append(Page(chromium))
        return tabs[-1]

    yield open
    for each in tabs:
        each.close()


@pytest.fixture
def page(tab):
    return tab()


@pytest.fixture
def written(tmp_path):
    """Return what writes the page of a run and returns its path."""
    def write(run) -> Path:
        path = tmp_path / "report.html"
        path.write_bytes(formats.FORMATS["html"][1](run))
        return path

    return write
