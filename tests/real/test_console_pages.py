"""What the console's pages look like, and whether everybody can use them."""

import json
import os
import pathlib
import time
from collections.abc import Callable

import pytest

from browser import Browser
from console_page import DEMO, KEPT_KEY, ROWS, STATE, ask, crowd, go
from console_scene import HISTORY, OPS, QUESTION, config, say, scene
from processes import Gateway, wait_until
from scripted import Upstream

PARTS = pathlib.Path(os.environ["REAL_PARTS"])
AXE = PARTS / "node" / "node_modules" / "axe-core" / "axe.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# UPDATE_DOCS=1 writes the pictures there; the charts have seen the crowd come and forgotten it by then.
PICTURES = pathlib.Path(__file__).parents[2] / "docs" / "console"
IS_KEPT = "UPDATE_DOCS" in os.environ
SIZES = {400: 800, 1280: 900, 3840: 1600}
# Of some 2000 that are in a picture, nearly all at the edges of letters, the most frequent ones are kept.
COLOURS = 256
# From where to where the button is, and where the grid ends, or its scrollbar begins.
EDGES = """(() => {
    const grid = document.querySelector('.grid');
    const { left, right } = grid.querySelector('.act button').getBoundingClientRect();
    return [left, right, grid.getBoundingClientRect().left + grid.clientLeft + grid.clientWidth];
})()"""


@pytest.mark.timeout(400)
def test_the_console_is_for_everybody(start_gateway: Callable[..., Gateway], browser: Browser):
    """By axe, on each page in both themes, narrow and wide; and what it looks like."""
    if not AXE.exists():
        pytest.skip("not run: axe-core is not installed, for want of npm")
    browser.before_each_page(f"sessionStorage.setItem('{KEPT_KEY}', '{OPS}')")
    with Upstream(say) as upstream:
        gateway = start_gateway(config(upstream.port))
        go(browser, gateway)
        ask(browser, QUESTION)
        browser.wait_for(f"{STATE} === 'Done'")
        with scene(gateway):
            if IS_KEPT:
                full = time.monotonic() + HISTORY + 5
                wait_until("the charts to fill", lambda: time.monotonic() > full, 2 * HISTORY)
            look_at_each_page(browser, gateway)
            look_at_a_stream(browser, gateway)


def look_at_each_page(browser: Browser, gateway: Gateway) -> None:
    seen = {
        "playground": f"{STATE} === 'Done'",
        "live": f"{ROWS} > 20 && document.querySelector('.u-over')",
        "config": "document.querySelector('.settings-table')",
    }
    for page, there in seen.items():
        for theme in ("light", "dark"):
            browser.prefer(theme)
            for width, height in SIZES.items():
                browser.resize(width, height)
                go(browser, gateway, page)
                browser.wait_for(there)
                assert browser.evaluate("document.documentElement.scrollWidth") <= width
                check_with_axe(browser, f"{page}, {theme}, {width}")
                keep_picture(browser, f"{page}-{theme}-{width}")


def test_every_stream_can_be_cancelled_at_every_width(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    """What is beyond the grid's edge cannot be scrolled to."""
    gateway = start_gateway(DEMO)
    with crowd(gateway, 1, "count to 3000"):
        go(browser, gateway, "live")
        browser.wait_for(f"{ROWS} === 1")
        for width in (320, 400, 480, 481, 650, 720, 721, 920, 1000, 1001, 1200, 1201, 1280, 2200, 3840):
            browser.resize(width)
            left, right, edge = browser.evaluate(EDGES)
            assert 0 < left < right <= edge, f"{width}: {left} to {right} of {edge}"


def look_at_a_stream(browser: Browser, gateway: Gateway) -> None:
    browser.resize(1280, SIZES[1280])
    go(browser, gateway, "live")
    browser.wait_for(f"{ROWS} > 20")
    browser.evaluate("document.querySelector('.grid .rows .row').click()")
    browser.wait_for("document.querySelector('.watch .text')?.textContent.length > 8")
    check_with_axe(browser, "a stream")
    keep_picture(browser, "stream-dark-1280")
    # Who watches a stream keeps it.
    browser.open("about:blank")


def check_with_axe(browser: Browser, where: str) -> None:
    browser.evaluate(AXE.read_text() + "\n;0")
    options = json.dumps({"runOnly": {"type": "tag", "values": AXE_TAGS}})
    found = browser.evaluate(
        f"axe.run(document, {options}).then(({{violations}}) =>"
        " violations.map((it) => [it.id, ...it.nodes.map((node) => node.html + node.failureSummary)]))",
        is_promise=True,
    )
    assert found == [], f"{where}: {json.dumps(found, indent=1)}"


def keep_picture(browser: Browser, name: str) -> None:
    file = PICTURES / f"{name}.png" if IS_KEPT else PARTS / f"console-{name}.png"
    browser.screenshot(file)
    if not IS_KEPT:
        return
    # Installed with the checks, and needed for nothing else.
    from PIL import Image

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    found = sorted(picture.getcolors(picture.width * picture.height), reverse=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in found[:COLOURS] for part in colour])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(file, optimize=True)
