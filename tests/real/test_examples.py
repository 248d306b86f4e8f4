"""The examples, used as a newcomer does: a page that is reloaded again and again, and a program."""

import contextlib
import functools
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from browser import Browser
from processes import Gateway

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
DEMO = '[[models]]\nname = "demo"\nprovider = "builtin"\n'
# Twenty seconds: the reloads must all fall into it.
COUNT = 1000
WHOLE = " ".join(map(str, range(1, COUNT + 1)))
RELOADS = 10


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[str]:
    """As `python3 -m http.server` serves it."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_page_survives_reloads(start_gateway: Callable[..., Gateway], tmp_path: pathlib.Path):
    program = shutil.which("chromium")
    if not program:
        pytest.skip("not run: chromium is not on the PATH")
    with served(EXAMPLES / "browser") as url, Browser(program, tmp_path) as browser:
        gateway = start_gateway(f'[server.cors]\nallowed_origins = ["{url}"]\n{DEMO}')
        gateway.wait_until_ready()
        page = f"{url}/index.html?gateway={gateway.url}"
        browser.open(page)
        browser.wait_for("document.getElementById('prompt')")
        browser.evaluate(f"document.getElementById('prompt').value = 'count to {COUNT}'")
        browser.evaluate("document.getElementById('form').requestSubmit()")
        shown = "document.getElementById('answer').textContent"
        last = 0
        for _ in range(RELOADS):
            browser.wait_for(f"{shown}.length > {last}")
            last = len(browser.evaluate(shown))
            assert browser.evaluate("!JSON.parse(sessionStorage.getItem('chat')).over")
            browser.evaluate("location.reload()")
            browser.wait_for(f"{shown}.length >= {last}")
        browser.wait_for("document.getElementById('state').textContent === 'Done.'")
        browser.screenshot(pathlib.Path(os.environ["REAL_PARTS"], "example.png"))
        assert browser.evaluate(shown).strip() == WHOLE
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"completed": 1}, "one question, one answer"

        # It is cancelled by its button.
        browser.evaluate("document.getElementById('form').requestSubmit()")
        browser.wait_for(f"{shown}.length > 20")
        browser.evaluate("document.getElementById('cancel').click()")
        browser.wait_for("document.getElementById('state').textContent === 'Cancelled.'")
        assert gateway.outcomes() == {"completed": 1, "cancelled": 1}


def test_the_program_answers(start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(DEMO)
    gateway.wait_until_ready()
    program = [sys.executable, EXAMPLES / "python" / "chat.py"]
    ask = [*program, "count to 20", gateway.url]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, [str(n) for n in range(1, 21)]), done.stderr
