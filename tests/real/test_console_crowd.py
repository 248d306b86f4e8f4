"""The console with hundreds of streams: no task of its page may be so long that a frame is late, and rows that
are written into again and again are still each its stream's own.

Tasks are measured by the time that they have a core, as the browser's own trace tells it: on a machine that
does something else besides, only the time on the clock grows.
"""

from collections.abc import Callable

from browser import Browser
from console_page import DEMO, ROWS, crowd, go, under_way
from processes import Gateway

# As many as are listed; one of them is watched.
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
TALKS = {"messages": [{"role": "user", "content": "count to 4000"}], "maxTokens": 4000}
# What is known of the last quarter of an hour, of a gateway that has run for so long.
FULL_HISTORY = """{
    const fetched = window.fetch;
    window.fetch = async (path, options) => {
        const response = await fetched(path, options);
        if (path !== '/api/console/events') return response;
        let text = '';
        let isTold = false;
        const fill = (hello) => {
            const last = hello.samples.at(-1);
            const before = (place) => last.map((value, column) => (column ? value : value - (900 - place) * 1000));
            return { ...hello, samples: Array.from({ length: 900 }, (_, place) => before(place)) };
        };
        const filled = new TransformStream({
            transform(piece, out) {
                if (isTold) return out.enqueue(piece);
                text += piece;
                const end = text.indexOf('\\n\\n');
                if (end < 0) return undefined;
                isTold = true;
                const data = text.indexOf('data: ') + 6;
                const hello = fill(JSON.parse(text.slice(data, end)));
                window.history900 = hello.samples.length;
                return out.enqueue(text.slice(0, data) + JSON.stringify(hello) + text.slice(end));
            },
        });
        const told = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(filled);
        return new Response(told.pipeThrough(new TextEncoderStream()), response);
    };
}"""
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
    browser.before_each_page(FULL_HISTORY)
    with crowd(gateway, CROWD - 1, "/slow count to 1000"):
        for width, height in ((1280, 900), (3840, 1600)):
            browser.resize(width, height)
            go(browser, gateway, "config")
            with under_way(gateway, "/api/chat", TALKS) as talker, browser.traced() as tasks:
                talks = talker.getresponse().headers["x-stream-id"]
                browser.evaluate("location.hash = 'live'")
                browser.wait_for(f"{ROWS} > 10")
                told = browser.evaluate("document.querySelector('.streams h2 small').textContent")
                assert told == str(CROWD)
                assert browser.evaluate("window.history900") == 900
                assert browser.evaluate(ROWS) < 80, "only the rows in sight are drawn"
                browser.evaluate(RESTLESS, is_promise=True)
                # One that is watched says fifty words a second, beside all the others.
                filter_by(browser, talks)
                browser.wait_for(f"{ROWS} === 1")
                browser.evaluate("document.querySelector('.grid .rows .row').click()")
                browser.wait_for("document.querySelector('.watch .text')?.textContent.length > 1000")
                filter_by(browser, "")
                browser.evaluate(RESTLESS, is_promise=True)
                browser.evaluate("document.querySelector('.watch').close()")
                filter_by(browser, "demo")
                filter_by(browser, "nobody")
                browser.wait_for("document.querySelector('.none')")
                assert gateway.send("DELETE", f"/api/chat/{talks}").status == 200
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


def test_the_keyboard_keeps_its_place(start_gateway: Callable[..., Gateway], browser: Browser):
    gateway = start_gateway(DEMO)
    row = "[...document.querySelectorAll('.grid .rows .row')]"
    focused = "document.activeElement.closest('[data-stream]')?.dataset.stream"
    with crowd(gateway, 80, "/slow count to 1000"):
        go(browser, gateway, "live")
        browser.wait_for(f"{ROWS} > 20")
        # Of one model each: by that they keep their order.
        browser.evaluate("[...document.querySelectorAll('.sort')].find((it) => it.textContent === 'Model').click()")
        browser.wait_for("document.querySelector('[aria-sort=ascending]').textContent.startsWith('Model')")
        clicked = browser.evaluate(f"{row}[5].dataset.stream")
        below = browser.evaluate(f"{row}[6].dataset.stream")
        browser.click(f"document.querySelector('[data-stream=\"{clicked}\"]')")
        browser.wait_for("document.querySelector('dialog.watch[open]')")
        browser.press("Escape")
        browser.wait_for("!document.querySelector('dialog.watch')")
        assert browser.evaluate(focused) == clicked
        browser.press("ArrowDown")
        browser.wait_for(f"{focused} === '{below}'")
        # It ends: the next one has its place.
        next_one = browser.evaluate(f"{row}[7].dataset.stream")
        assert gateway.send("DELETE", f"/api/chat/{below}").status == 200
        browser.wait_for(f"{focused} === '{next_one}'")
        # Whatever is in sight, Tab leads to a row of it.
        browser.evaluate("document.activeElement.blur(); document.querySelector('.grid').scrollTop = 50 * 32")
        browser.wait_for(f"{row}.find((it) => it.tabIndex === 0)?.dataset.index === '50'")
        assert browser.evaluate(f"{row}.filter((it) => it.tabIndex === 0).length") == 1
