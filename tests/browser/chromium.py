"""A real Chromium, driven through its own pipe: the DevTools protocol, one JSON message after another."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARGUMENTS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--no-default-browser-check", "--mute-audio"),
)

LAUNCH = """
import fcntl, os, sys
theirs = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
os.dup2(theirs[0], 3)
os.dup2(theirs[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Chromium takes its commands at descriptor 3 and answers at 4."""

PATIENCE = 30.0
"""Seconds that a command, or a condition, may take: many more than it does."""

Message = dict[str, Any]


class ProtocolError(Exception):
    """Chromium refuses a command, or is gone."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a page is looked at with."""

    width: int
    height: int
    scale: float = 1.0
    is_touched: bool = False
    is_dark: bool = False
    runs_scripts: bool = True


DESKTOP = Device(1280, 900)
TABLET = Device(820, 1180, 2.0, is_touched=True)
PHONE = Device(390, 844, 3.0, is_touched=True)


class Browser:
    """One Chromium with a profile of its own."""

    def __init__(self, executable: str, folder: Path) -> None:
        self._changed = threading.Condition()
        self._messages: dict[str, list[Message]] = {}
        self._replies: dict[int, Message] = {}
        self._number = 0
        self._is_over = False
        theirs_in, self._out = os.pipe()
        ours_in, theirs_out = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), executable, *ARGUMENTS]
        home = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "XDG_CONFIG_HOME": str(folder)}
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            env=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._reader = threading.Thread(target=self._read, args=(ours_in,), daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End it."""
        try:
            self.send("Browser.close")
            self._process.wait(10)
        except (ProtocolError, subprocess.TimeoutExpired):
            self._process.kill()
        self._process.wait()
        os.close(self._out)
        self._reader.join()

    def send(self, method: str, session: str = "", **parameters: object) -> Message:
        """Send a command, and give its result."""
        with self._changed:
            self._number += 1
            number = self._number
        message: Message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        try:
            written = memoryview(json.dumps(message).encode() + b"\0")
            while written:
                written = written[os.write(self._out, written) :]
        except OSError as error:
            raise ProtocolError(f"{method}: the browser is gone") from error
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._replies or self._is_over, PATIENCE):
                raise ProtocolError(f"{method}: no answer")
            reply = self._replies.pop(number, {"error": "the browser is gone"})
        if "error" in reply:
            raise ProtocolError(f"{method}: {reply['error']}")
        result: Message = reply["result"]
        return result

    def told(self, session: str) -> list[Message]:
        """Give all events of a session so far."""
        with self._changed:
            return list(self._messages.get(session, ()))

    @contextmanager
    def tab(self, device: Device = DESKTOP) -> Iterator[Tab]:
        """Open a tab that shares nothing with others."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            yield Tab(self, session, device)
        finally:
            self.send("Target.disposeBrowserContext", browserContextId=context)

    def _read(self, descriptor: int) -> None:
        with open(descriptor, "rb", buffering=0) as stream:
            rest = b""
            while part := stream.read(1 << 20):
                *whole, rest = (rest + part).split(b"\0")
                with self._changed:
                    for each in map(json.loads, whole):
                        if "id" in each:
                            self._replies[each["id"]] = each
                        else:
                            self._messages.setdefault(each.get("sessionId", ""), []).append(each)
                    self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


class Tab:
    """One tab: what it shows, and all that went wrong in it."""

    def __init__(self, browser: Browser, session: str, device: Device) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.use(device)

    def send(self, method: str, **parameters: object) -> Message:
        """Send a command to this tab."""
        return self._browser.send(method, self._session, **parameters)

    def use(self, device: Device) -> None:
        """Look at the page with another device."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=device.width,
            height=device.height,
            deviceScaleFactor=device.scale,
            mobile=device.is_touched,
        )
        self.send("Emulation.setTouchEmulationEnabled", enabled=device.is_touched)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if device.is_dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.send("Emulation.setScriptExecutionDisabled", value=not device.runs_scripts)

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        before = self.loads
        done = self.send("Page.navigate", url=url)
        assert "errorText" not in done, done
        _wait(lambda: self.loads > before, f"{url} is not loaded")

    @property
    def loads(self) -> int:
        """How often a page was loaded as a whole."""
        return sum(each["method"] == "Page.loadEventFired" for each in self._browser.told(self._session))

    def ask(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page answers
        """Evaluate an expression in the page."""
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, (expression, done["exceptionDetails"])
        return done["result"].get("value")

    def until(self, expression: str, timeout: float = PATIENCE) -> Any:  # noqa: ANN401 - as above
        """Wait until an expression is true in the page, and give its value; a page half loaded makes it false."""
        found: list[Any] = []
        patient = f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()"

        def holds() -> bool:
            found[:] = [self.ask(patient)]
            return bool(found[0])

        _wait(holds, f"never true: {expression}", timeout)
        return found[0]

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        return str(self.ask("document.body.innerText"))

    @property
    def troubles(self) -> list[str]:
        """All that a page should not do: errors, messages of its script, dialogs, requests for anything but itself."""
        found = []
        for each in self._browser.told(self._session):
            told = each["params"]
            match each["method"]:
                case "Runtime.exceptionThrown":
                    found.append(f"exception: {told['exceptionDetails']}")
                case "Runtime.consoleAPICalled":
                    found.append(f"console: {told['args']}")
                case "Log.entryAdded":
                    found.append(f"{told['entry']['source']}: {told['entry']['text']}")
                case "Page.javascriptDialogOpening":
                    found.append(f"dialog: {told['message']}")
        return found

    @property
    def requests(self) -> list[str]:
        """The URLs that were asked for."""
        told = self._browser.told(self._session)
        return [each["params"]["request"]["url"] for each in told if each["method"] == "Network.requestWillBeSent"]

    def press(self, key: str) -> None:
        """Press a key."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def named(self) -> list[tuple[str, str]]:
        """Give role and name of all that a screen reader would find."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (each["role"]["value"], each.get("name", {}).get("value", ""))
            for each in nodes
            if not each.get("ignored") and "role" in each
        ]

    def photograph(self, path: Path) -> None:
        """Take a picture of the whole page."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8_000), "scale": 1}
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


def _wait(holds: Any, complaint: str, timeout: float = PATIENCE) -> None:  # noqa: ANN401 - a condition
    """Ask again and again, until it holds."""
    pause, deadline = threading.Event(), time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, complaint
        pause.wait(0.05)
