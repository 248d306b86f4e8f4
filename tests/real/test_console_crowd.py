"""The console with hundreds of streams: no task of its page may be so long that a frame is late, and rows that
are written into again and again are still each its stream's own.

Tasks are measured by the time that they have a core, as the browser's own trace tells it: on a machine that
does something else besides, only the time on the clock grows.
"""

from collections.abc import Callable

from browser import Browser
from console_page import DEMO, ROWS, crowd, go
from processes import Gateway

CROWD = 500
# For how long the page is watched once it is there, in seconds; it is told of the streams in each.
WATCHED = 10
# In milliseconds.
LONG = 50
# A reader who never rests: scrolls all the time, and sorts by another column every second.
RESTLESS = f"""new Promise((done) => {{
    const grid = document.querySelector('.grid');
    const heads = [...grid.querySelectorAll('.sort')];
    let step = 0;
    const moving = setInterval(() => {{
        step += 1;
        grid.scrollTop = step % 400 * 37;
        if (step % 10 === 0) heads[step / 10 % heads.length].click();
    }}, 100);
    setTimeout(() => {{ clearInterval(moving); done(); }}, {WATCHED} * 1000);
}})"""
# Longer than is allowed, however slow the machine is.
BUSY = f"""new Promise((done) => setTimeout(() => {{
    for (const end = performance.now() + {LONG} * 10; performance.now() < end;);
    done();
}}))"""


def filter_by(browser: Browser, words: str) -> None:
    browser.evaluate(
        f"document.getElementById('filter').value = '{words}';"
        "document.getElementById('filter').dispatchEvent(new Event('input'))"
    )


def test_a_crowd_of_streams_costs_no_frame(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    gateway = start_gateway(DEMO)
    with crowd(gateway, CROWD, "/slow count to 1000"):
        for width, height in ((1280, 900), (3840, 1600)):
            browser.resize(width, height)
            go(browser, gateway, "config")
            with browser.traced() as tasks:
                browser.evaluate("location.hash = 'live'")
                browser.wait_for(f"{ROWS} > 10")
                told = browser.evaluate("document.querySelector('.streams h2 small').textContent")
                assert told == str(CROWD)
                assert browser.evaluate(ROWS) < 80, "only the rows in sight are drawn"
                browser.evaluate(RESTLESS, is_promise=True)
                filter_by(browser, "demo")
                filter_by(browser, "nobody")
                browser.wait_for("document.querySelector('.none')")
            print(f"{width}: the longest of {len(tasks)} tasks took {max(tasks):.1f} ms on a core")
            assert [task for task in tasks if task > LONG] == []
        with browser.traced() as tasks:
            browser.evaluate(BUSY, is_promise=True)
        assert max(tasks) > LONG, "a long task is seen"


def test_the_focus_stays_with_its_stream(start_gateway: Callable[..., Gateway], browser: Browser):
    """Rows that leave the sight are used for others: whoever cancels by keyboard must not end one of these."""
    gateway = start_gateway(DEMO)
    streams = "[...document.querySelectorAll('.grid .rows .row')].map((row) => row.dataset.stream)"
    focused = "document.activeElement.closest('[data-stream]')?.dataset.stream"
    with crowd(gateway, 80, "/slow count to 1000"):
        go(browser, gateway, "live")
        browser.wait_for(f"{ROWS} > 20")
        browser.evaluate("document.querySelector('[data-index=\"0\"]').focus()")
        browser.press("ArrowDown")
        browser.wait_for("document.activeElement.dataset.index === '1'")
        # Streams of nearly the same age may change places.
        mine = browser.evaluate(focused)
        above = next(stream for stream in browser.evaluate(streams) if stream != mine)
        row = f"document.querySelector('[data-stream=\"{mine}\"]')"
        browser.evaluate(f"{row}.querySelector('button').focus()")
        assert gateway.send("DELETE", f"/api/chat/{above}").status == 200
        browser.wait_for(f"!document.querySelector('[data-stream=\"{above}\"]')")
        assert browser.evaluate(focused) == mine

        browser.evaluate(f"{row}.focus()")
        browser.evaluate("document.querySelector('.grid').scrollTop = 60 * 32")
        browser.wait_for(f"!{row}")
        assert browser.evaluate(focused) is None, "it is out of sight"
        browser.evaluate("document.querySelector('.grid').scrollTop = 0")
        browser.wait_for(row)
        shown = browser.evaluate(streams)
        assert len(set(shown)) == len(shown) > 20
