"""The examples, used as a newcomer does: a page that is reloaded again and again, and a program."""

import contextlib
import functools
import http.server
import os
import pathlib
import signal
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
SHOWN = "document.getElementById('answer').textContent"
STATE = "document.getElementById('state').textContent"


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


def ask(browser: Browser, prompt: str) -> None:
    browser.wait_for("document.querySelector('#send:enabled')")
    browser.evaluate(f"document.getElementById('prompt').value = '{prompt}'")
    browser.evaluate("document.getElementById('form').requestSubmit()")


def test_the_page_survives_reloads(start_gateway: Callable[..., Gateway], browser: Browser):
    with served(EXAMPLES / "browser") as url:
        gateway = start_gateway(f'[server.cors]\nallowed_origins = ["{url}"]\n{DEMO}')
        gateway.wait_until_ready()
        browser.open(f"{url}/index.html?gateway={gateway.url}")
        ask(browser, f"count to {COUNT}")
        last = 0
        for _ in range(RELOADS):
            browser.wait_for(f"{SHOWN}.length > {last}")
            last = len(browser.evaluate(SHOWN))
            assert browser.evaluate("!JSON.parse(sessionStorage.getItem('chat')).over")
            browser.reload()
            browser.wait_for(f"{SHOWN}.length >= {last}")
        browser.wait_for(f"{STATE} === 'Done.'")
        for width in (400, 1280):
            browser.resize(width)
            browser.screenshot(pathlib.Path(os.environ["REAL_PARTS"], f"example-{width}.png"))
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(SHOWN).strip() == WHOLE
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"completed": 1}, "one question, one answer"

        # It is cancelled by its button.
        ask(browser, f"count to {COUNT}")
        browser.wait_for(f"{SHOWN}.length > 20")
        browser.evaluate("document.getElementById('cancel').click()")
        browser.wait_for(f"{STATE} === 'Cancelled.'")
        assert gateway.outcomes() == {"completed": 1, "cancelled": 1}


def test_the_page_tells_of_a_restart(start_gateway: Callable[..., Gateway], browser: Browser):
    with served(EXAMPLES / "browser") as url:
        config = (
            f'[server]\ndrain_grace_seconds = 0.1\n'
            f'[server.cors]\nallowed_origins = ["{url}"]\n{DEMO}'
        )
        gateway = start_gateway(config)
        gateway.wait_until_ready()
        browser.open(f"{url}/index.html?gateway={gateway.url}")
        ask(browser, f"count to {COUNT}")
        browser.wait_for(f"{SHOWN}.length > 20")
        gateway.signal(signal.SIGTERM)
        browser.wait_for(f"{STATE} === 'The gateway restarts. Ask again in a moment.'")
        assert gateway.wait(30) == 0
        assert browser.evaluate(SHOWN).startswith("1 2 3 4 5 6"), "what was read stays"

        # The next one takes its place, and the same page asks it.
        gateway = start_gateway(config, port=gateway.port)
        gateway.wait_until_ready()
        ask(browser, "count to 3")
        browser.wait_for(f"{STATE} === 'Done.'")
        assert browser.evaluate(SHOWN).strip() == "1 2 3"
        gateway.wait_until_idle()

        # Killed, it says nothing; the page comes back to one that does not know the answer.
        ask(browser, f"count to {COUNT}")
        browser.wait_for(f"{SHOWN}.length > 20")
        gateway.kill()
        browser.wait_for(f"{STATE}.startsWith('No connection to the gateway.')")
        start_gateway(config, port=gateway.port).wait_until_ready()
        browser.wait_for(f"{STATE}.startsWith('The gateway was restarted, and the answer is gone.')")


def test_the_program_answers(start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(DEMO)
    gateway.wait_until_ready()
    program = [sys.executable, EXAMPLES / "python" / "chat.py"]
    ask = [*program, "count to 20", gateway.url]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, [str(n) for n in range(1, 21)]), done.stderr


def test_the_program_tells_of_a_restart(start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(f"[server]\ndrain_grace_seconds = 0.1\n{DEMO}")
    gateway.wait_until_ready()
    program = [sys.executable, "-u", EXAMPLES / "python" / "chat.py"]
    ask = [*program, f"count to {COUNT}", gateway.url]
    with subprocess.Popen(ask, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        assert asking.stdout.read(len("1 2 3")) == "1 2 3"
        gateway.signal(signal.SIGTERM)
        rest, said = asking.stdout.read(), asking.stderr.read()
    assert rest.startswith(" 4 5 6") and WHOLE[5:].startswith(rest.rstrip()), rest[-40:]
    assert "the gateway restarts: ask again" in said and asking.returncode == 1, said
