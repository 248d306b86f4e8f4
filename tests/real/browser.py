"""Headless Chromium, driven over its debugging pipe: JSON messages, each ended by a zero byte."""

import base64
import contextlib
import http.server
import itertools
import json
import os
import pathlib
import select
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator

PATIENCE = 60.0
# Where the tasks of a page's main thread are told of, and what they are called there.
TASKS = "disabled-by-default-devtools.timeline"
TASK = "RunTask"
# Of which both ends were seen: a page that goes away leaves one without an end.
WHOLE = "X"
# By which Chromium knows what closes a dialog.
CODES = {"Escape": 27}
MAIN_THREAD = "CrRendererMain"


class PageServer:
    """Serves one page on a port of its own: another origin than the gateway's."""

    def __init__(self, page: pathlib.Path):
        content = page.read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "PageServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Navigated(Exception):
    """The page went away while it was asked."""


class Browser:
    """A Chromium; commands go to one of its tabs."""

    def __init__(self, program: str, folder: pathlib.Path):
        self._numbers = itertools.count(1)
        self._waiting = b""
        self._events: list[dict] | None = None
        # Chromium reads commands from descriptor 3 and answers on 4.
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        command = [
            program,
            "--headless",
            # Root may not use the sandbox, and a container may lack what it needs.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={folder / 'chromium'}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        shell = f"exec {shlex.join(command)} 3<&{commands} 4>&{answers}"
        with (folder / "chromium.log").open("wb") as log:
            self._child = subprocess.Popen(
                ["bash", "-c", shell],
                pass_fds=(commands, answers),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(commands)
        os.close(answers)

    def __enter__(self) -> "Browser":
        try:
            self._session = None
            self.open_tab()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Without its pipe, Chromium ends.
        os.close(self._commands)
        os.close(self._answers)
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, 9)
            self._child.wait(PATIENCE)

    def open_tab(self) -> str:
        """Opens a tab, to which commands go from now on; gives its name."""
        self._session = None
        tab = self._command("Target.createTarget", url="about:blank")["targetId"]
        attached = self._command("Target.attachToTarget", targetId=tab, flatten=True)
        self._session = attached["sessionId"]
        return self._session

    def go_to_tab(self, name: str) -> None:
        self._session = name
        self._command("Page.bringToFront")

    def open(self, url: str) -> None:
        # A mere change behind the # would not load the page again.
        self._command("Page.navigate", url="about:blank")
        self._command("Page.navigate", url=url)

    def evaluate(self, expression: str, is_promise: bool = False) -> object:
        """The value of JavaScript in the page, or what it promises."""
        wanted = {"returnByValue": True, "awaitPromise": is_promise}
        answer = self._command("Runtime.evaluate", expression=expression, **wanted)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def reload(self) -> None:
        """Has the page loaded again."""
        self.evaluate("window.isOld = true")
        self._command("Page.reload")
        self.wait_for("!window.isOld")

    def _holds(self, condition: str) -> bool:
        try:
            return self.evaluate(f"Boolean(document.readyState !== 'loading' && {condition})")
        except Navigated:
            return False

    def wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._holds(condition):
            if time.monotonic() > deadline:
                raise AssertionError(f"{condition} never came: {self.evaluate('document.body.outerHTML')}")
            time.sleep(0.05)

    def resize(self, width: int, height: int = 800) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, theme: str) -> None:
        """`light` or `dark`."""
        wanted = [{"name": "prefers-color-scheme", "value": theme}]
        self._command("Emulation.setEmulatedMedia", features=wanted)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            code = {"windowsVirtualKeyCode": CODES[key]} if key in CODES else {}
            self._command("Input.dispatchKeyEvent", type=kind, key=key, **code)

    def press_access(self, key: str) -> None:
        """Presses a letter together with the browser's modifier for access keys."""
        alt = {"key": key, "text": key, "unmodifiedText": key, "modifiers": 1}
        for kind in ("rawKeyDown", "char", "keyUp"):
            self._command("Input.dispatchKeyEvent", type=kind, **alt)

    def click(self, element: str, times: int = 1) -> None:
        """Clicks the middle of an element, given as JavaScript, as a mouse does; it may be clicked again at once."""
        box = self.evaluate(f"(({element}).scrollIntoView({{block: 'nearest'}}), ({element}).getBoundingClientRect().toJSON())")
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left"}
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._command("Input.dispatchMouseEvent", type=kind, clickCount=count, **place)

    def before_each_page(self, script: str) -> None:
        """Has JavaScript run in the tab's pages before their own."""
        self._command("Page.enable")
        self._command("Page.addScriptToEvaluateOnNewDocument", source=script)

    @contextlib.contextmanager
    def traced(self) -> Iterator[list[float]]:
        """In the end, what each task of the pages' main threads took meanwhile: milliseconds on a core,
        which do not grow where other programs want the cores as well."""
        tasks: list[float] = []
        config = {"includedCategories": [TASKS], "excludedCategories": ["*"]}
        self._command("Tracing.start", transferMode="ReportEvents", traceConfig=config)
        yield tasks
        self._events = []
        self._command("Tracing.end")
        while not any(event["method"] == "Tracing.tracingComplete" for event in self._events):
            self._events.append(self._receive())
        told = [event["params"].get("value", []) for event in self._events]
        self._events = None
        entries = [entry for part in told for entry in part]
        mains = {
            (entry["pid"], entry["tid"])
            for entry in entries
            if entry["name"] == "thread_name" and entry["args"]["name"] == MAIN_THREAD
        }
        assert mains, "the trace names no page"
        tasks += [
            entry["tdur"] / 1000
            for entry in entries
            if entry["name"] == TASK and entry["ph"] == WHOLE and (entry["pid"], entry["tid"]) in mains
        ]

    def screenshot(self, file: pathlib.Path) -> None:
        file.write_bytes(base64.b64decode(self._command("Page.captureScreenshot")["data"]))

    def _command(self, method: str, **params: object) -> dict:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                error = answer.get("error", {})
                if "navigated" in error.get("message", ""):
                    raise Navigated(f"{method}: {error}")
                assert not error, f"{method}: {error}"
                return answer["result"]
            if self._events is not None and "method" in answer:
                self._events.append(answer)

    def _receive(self) -> dict:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            piece = os.read(self._answers, 65536) if ready else b""
            assert piece, "Chromium says nothing"
            self._waiting += piece
        message, _, self._waiting = self._waiting.partition(b"\0")
        return json.loads(message)
