"""The socket as a page uses it: the example of its documentation, in a browser."""

import pathlib
import re
import shutil
from collections.abc import Callable

import pytest

from browser import Browser, PageServer
from processes import Gateway

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "websocket.md"
KEY = "page-0123456789-0123456789-0123456789"
CONFIG = """
[server.cors]
allowed_origins = ["{}"]
[[auth.keys]]
name = "page"
key = "{}"
[[models]]
name = "demo"
provider = "builtin"
"""


def example(gateway: Gateway) -> str:
    (script,) = re.findall(r"```js\n(.*?)```", DOCS.read_text(), re.DOTALL)
    key_goes_here = "  // send({ type: 'authenticate', key: KEY }) comes first where keys are configured."
    assert key_goes_here in script
    script = script.replace(key_goes_here, f"  send({{ type: 'authenticate', key: '{KEY}' }});")
    return script.replace("ws://localhost:3000", gateway.url.replace("http", "ws"))


def test_a_page_follows_two_streams(
    start_gateway: Callable[..., Gateway], tmp_path: pathlib.Path
):
    program = shutil.which("chromium")
    if not program:
        pytest.skip("not run: chromium is not on the PATH")
    with PageServer(HERE / "page.html") as page, Browser(program, tmp_path) as browser:
        gateway = start_gateway(CONFIG.format(page.url, KEY))
        gateway.wait_until_ready()
        browser.open(page.url)
        browser.wait_for("document.readyState === 'complete'")
        browser.evaluate(f"{example(gateway)}; 0")
        browser.wait_for("texts.a?.trim() === '1 2 3 4 5 6 7 8 9 10'")
        browser.wait_for("texts.b?.trim() === '1 2 3 4 5'")
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"completed": 2}
        # A page of elsewhere is not let in, though the same browser knows the key.
        with PageServer(HERE / "page.html") as elsewhere:
            browser.open(elsewhere.url)
            browser.wait_for("document.readyState === 'complete'")
            browser.evaluate(f"{example(gateway)}; 0")
            browser.wait_for("socket.readyState === WebSocket.CLOSED")
            assert browser.evaluate("Object.keys(texts).length") == 0
        assert gateway.outcomes() == {"completed": 2}
