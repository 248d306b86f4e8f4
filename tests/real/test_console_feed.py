"""What the console makes of its feed, which is scripted here: seconds that come twice or not at all, silence, refusals."""

import json
from collections.abc import Callable

from browser import Browser
from console_page import DEMO, go
from processes import Gateway

SCRIPTED = """
window.feeds = [];
{
    const fetched = window.fetch;
    const encoder = new TextEncoder();
    window.fetch = async (path, options) => {
        if (path !== '/api/console/events') return fetched(path, options);
        if (window.refusal) return new Response(JSON.stringify(window.refusal), { status: 429 });
        let out;
        const body = new ReadableStream({ start: (it) => { out = it; } });
        options.signal.addEventListener('abort', () => out.error(options.signal.reason));
        feeds.push((event, data) => out.enqueue(encoder.encode(`event: ${event}\\ndata: ${JSON.stringify(data)}\\n\\n`)));
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    };
}
"""
STATUS = "document.querySelector('.summary [role=status]').textContent"
COLUMNS = ["at", "took", "started", "completed", "cancelled", "failed", "refused", "tokens", "active", "queued", "ttftP50", "ttftP99"]
PACE = 300


def sample(at: int) -> list[int | None]:
    """A second with so many tokens."""
    return [at, 1000, 0, 0, 0, 0, 0, PACE, 1, 0, None, None]


def tell(browser: Browser, event: str, **data: object) -> None:
    browser.evaluate(f"feeds.at(-1)('console.{event}', {json.dumps(data)})")


def greet(browser: Browser, *samples: list[int | None]) -> None:
    tell(browser, "hello", sampleColumns=COLUMNS, streamColumns=["id"], historySeconds=900, samples=samples)


def tell_second(browser: Browser, at: int, active: int = 1) -> None:
    tell(browser, "second", sample=sample(at), active=active, limit=9, draining=False, streams=[], models=[])


def test_rates_are_a_seconds_whichever_seconds_come(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    browser.before_each_page(SCRIPTED)
    go(browser, start_gateway(DEMO), "live")
    browser.wait_for("feeds.length === 1")
    greet(browser, sample(1000), sample(2000))
    # The first second is the last one again, and of the others every second one is missed.
    for number, at in enumerate((2000, 4000, 6000), 1):
        tell_second(browser, at, number)
        browser.wait_for(f"document.querySelector('.summary b')?.textContent === '{number}'")
    pace = "[...document.querySelectorAll('.chart')].find((it) => it.textContent.startsWith('Tokens'))"
    assert browser.evaluate(f"{pace}.querySelector('.figure b').textContent") == str(PACE)


def test_silence_is_no_connection_and_a_refusal_is_told(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    browser.before_each_page(SCRIPTED)
    go(browser, start_gateway(DEMO), "live")
    browser.wait_for("feeds.length === 1")
    greet(browser)
    tell_second(browser, 1000)
    browser.wait_for(f"{STATUS} === 'Live'")
    browser.evaluate("window.refusal = { error: 'CAPACITY', message: 'all 8 places are taken' }")
    browser.wait_for(f"{STATUS}.startsWith('No connection') && document.querySelector('.stale')")
    browser.wait_for(f"{STATUS} === 'all 8 places are taken'")
    browser.evaluate("window.refusal = null")
    browser.wait_for("feeds.length === 2")
    greet(browser)
    browser.wait_for(f"{STATUS} === 'Live' && !document.querySelector('.stale')")
