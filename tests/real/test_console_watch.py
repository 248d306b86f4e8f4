"""A stream that is watched in the console: its newest text is in sight, and what became of it is said."""

import json
import threading
from collections.abc import Callable, Iterator

from browser import Browser
from console_page import DEMO, ROWS, counted, go, under_way
from processes import Gateway
from scripted import CLOSE, Step, Upstream, chunked, head, response
from setting import model
from wires import chunk, sse

LINES = 300
TEXT = "document.querySelector('.watch .text')"
WORD = "document.querySelector('.watch [role=status]').textContent"

# The first connection to a stream breaks with its third piece.
CUT = """
window.asked = [];
{
    const fetched = window.fetch;
    window.fetch = async (path, options) => {
        const response = await fetched(path, options);
        if (!path.includes('after=') || asked.push(path) > 1) return response;
        let pieces = 0;
        const cut = new TransformStream({
            transform(piece, out) {
                pieces += 1;
                if (pieces < 3) out.enqueue(piece);
                else out.error(new TypeError('cut'));
            },
        });
        return new Response(response.body.pipeThrough(cut), response);
    };
}
"""


def chat(path: str, streams: bool) -> dict:
    prompt = {"input": "go"} if path.endswith("responses") else {"messages": [{"role": "user", "content": "go"}]}
    most = {"max_tokens": 9999} if path.endswith("messages") else {}
    return {"model": "scripted", "stream": streams, **prompt, **most}


def watch(browser: Browser, gateway: Gateway) -> None:
    go(browser, gateway, "live")
    browser.wait_for(f"{ROWS} === 1")
    browser.evaluate("document.querySelector('.grid .rows .row').click()")
    browser.wait_for(TEXT)


def test_the_newest_text_is_in_sight_and_a_failure_is_told_in_any_dialect(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    over = threading.Event()

    def say(_: dict) -> Iterator[Step]:
        yield head(200, "content-type: text/event-stream", "transfer-encoding: chunked")
        yield b"".join(chunked(sse(chunk({"content": f"{number}\n"}))) for number in range(LINES))
        over.wait()
        yield CLOSE

    with Upstream(say) as upstream:
        gateway = start_gateway(model("scripted", "openai", f"http://127.0.0.1:{upstream.port}"))
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat"):
            over.clear()
            with under_way(gateway, path, chat(path, streams=True)):
                watch(browser, gateway)
                browser.wait_for(f"{TEXT}.textContent.endsWith('{LINES - 1}\\n')")
                browser.wait_for(f"{TEXT}.scrollHeight - {TEXT}.scrollTop - {TEXT}.clientHeight < 2")
                over.set()
                browser.wait_for(f"{WORD} === 'Over'")
                assert browser.evaluate("document.querySelector('.watch .fault')?.textContent"), path
            gateway.wait_until_idle()


def test_a_stream_is_taken_up_again_where_its_connection_broke(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    browser.before_each_page(CUT)
    gateway = start_gateway(DEMO)
    body = {"messages": [{"role": "user", "content": "count to 300"}]}
    with under_way(gateway, "/api/chat", body):
        watch(browser, gateway)
        browser.wait_for(f"{WORD} === 'Over'")
        assert browser.evaluate(TEXT + ".textContent").strip() == counted(300)
        first, second = browser.evaluate("window.asked")
        assert first.endswith("after=0") and not second.endswith("after=0")


def test_an_answer_that_is_not_streamed_is_shown_once_it_is_there(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    over = threading.Event()

    def say(_: dict) -> Iterator[Step]:
        over.wait()
        message = {"role": "assistant", "content": "whole"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        yield response(200, json.dumps(whole).encode())

    with Upstream(say) as upstream:
        gateway = start_gateway(model("scripted", "openai", f"http://127.0.0.1:{upstream.port}"))
        path = "/v1/chat/completions"
        with under_way(gateway, path, chat(path, streams=False)):
            watch(browser, gateway)
            over.set()
            browser.wait_for(f"{WORD} === 'Over' && {TEXT}.textContent === 'whole'")
        gateway.wait_until_idle()
