"""Nothing runs that a model, an upstream or a name says to the console."""

import json
from collections.abc import Callable

from browser import Browser
from console_page import ANSWER, FAULT, KEPT_KEY, ROWS, STATE, TEXT, ask, crowd, go
from processes import Gateway, free_port
from scripted import END, HANG, Step, Upstream, chunked, head, prompt_of, response
from setting import model
from venom import DEEP, NAME, POISON, VENOM, WORD
from wires import chunk, sse

KEY = "admin-0123456789-0123456789-0123456789"
# Elements and attributes that nothing of the page's own has there.
FOREIGN = "script, img, svg, iframe, style, [onload], [onerror], [onmouseover], [onclick], [ontoggle]"
MAIN = "document.querySelector('main')"


def say(body: dict) -> list[Step]:
    """An upstream's answer; who asks for it may get an error, or an answer without an end."""
    prompt = prompt_of(body)
    if prompt.startswith("fail"):
        return [response(400, json.dumps({"error": {"message": VENOM, "code": VENOM}}).encode())]
    begin = head(200, "content-type: text/event-stream", "transfer-encoding: chunked")
    content = DEEP.get(prompt, VENOM)
    said = chunked(sse(chunk({"reasoning_content": VENOM}))) + chunked(sse(chunk({"content": content})))
    if prompt.startswith("hang"):
        return [begin, said, HANG]
    return [begin, said, chunked(sse(chunk({}, "stop"))), chunked(b"data: [DONE]\n\n") + END]


def named(upstream: Upstream) -> str:
    """Names with the word wherever there is one: a key's, models', targets'."""
    config = f'[auth]\n[[auth.keys]]\nname = "{WORD}-key"\nkey = "{KEY}"\nadmin = true\n'
    config += model(f"{WORD}-model", "openai", f"http://127.0.0.1:{upstream.port}")
    target = f'[[models.targets]]\nname = "{WORD}-target-%s"\nbase_url = "http://127.0.0.1:%s/v1"\n'
    keys = f'[[models]]\nname = "{WORD}-fleet"\nprovider = "openai"\n'
    return config + keys + target % ("a", free_port()) + target % ("b", free_port())


def is_clean(browser: Browser) -> None:
    """Nothing ran, nothing tried to, and nothing of it became an element."""
    assert browser.evaluate("window.bitten") is None
    assert browser.evaluate("window.violations") == []
    assert browser.evaluate(f"{MAIN}.querySelectorAll({json.dumps(FOREIGN)}).length") == 0


def test_nothing_runs_that_a_model_says(start_gateway: Callable[..., Gateway], browser: Browser):
    browser.before_each_page(POISON)
    with Upstream(say) as upstream:
        gateway = start_gateway(model("venom", "openai", f"http://127.0.0.1:{upstream.port}"))
        go(browser, gateway)
        ask(browser, VENOM)
        browser.wait_for(f"{STATE} === 'Done'")
        links = f"[...{ANSWER}.querySelectorAll('a')].map((link) => link.href)"
        assert browser.evaluate(links) == ["https://example.com/?a=1"]
        assert "<script>window.bitten = 1</script>" in browser.evaluate(TEXT), "it is shown as text"
        assert browser.evaluate(f"{ANSWER}.querySelectorAll('table td').length") == 2
        assert browser.evaluate(f"{ANSWER}.querySelector('.reasoning p').textContent") == VENOM
        assert browser.evaluate("document.querySelector('.question').textContent") == VENOM.strip()
        is_clean(browser)
        assert not browser.evaluate(f"{ANSWER}.querySelector('li').textContent").startswith("[")
        ask(browser, "fail")
        browser.wait_for(f"document.querySelectorAll('.answer').length === 2 && {STATE} === 'Failed'")
        assert "<script>window.bitten = 1</script>" in browser.evaluate(FAULT), "what was wrong is said"
        is_clean(browser)


def test_no_nesting_is_too_deep(start_gateway: Callable[..., Gateway], browser: Browser):
    """Neither for what parses it nor for what draws it: the page is there, and is after a reload."""
    with Upstream(say) as upstream:
        gateway = start_gateway(model("venom", "openai", f"http://127.0.0.1:{upstream.port}"))
        go(browser, gateway)
        for number, depth in enumerate(("deep", "deeper"), 1):
            ask(browser, depth)
            answers = "document.querySelectorAll('.answer').length"
            browser.wait_for(f"{answers} === {number} && {STATE} === 'Done' && {TEXT}.includes('bottom')")
            browser.reload()
            browser.wait_for(f"{answers} === {number} && {TEXT}.includes('bottom')")
        assert 0 < browser.evaluate("document.querySelectorAll('blockquote').length") < 100


def test_nothing_runs_that_a_name_says(start_gateway: Callable[..., Gateway], browser: Browser):
    browser.before_each_page(POISON + f"sessionStorage.setItem('{KEPT_KEY}', '{KEY}');")
    with Upstream(say) as upstream:
        gateway = start_gateway(named(upstream))
        go(browser, gateway)
        ask(browser, "hello")
        browser.wait_for(f"{STATE} === 'Done'")
        assert browser.evaluate(f"{ANSWER}.querySelector('strong').textContent") == f"{NAME}-model"
        options = "[...document.querySelectorAll('#model option')].map((it) => it.value)"
        assert browser.evaluate(options) == [f"{NAME}-model", f"{NAME}-fleet"]
        is_clean(browser)
        with crowd(gateway, 1, "hang", [KEY]):
            browser.evaluate("location.hash = 'live'")
            browser.wait_for(f"{ROWS} === 1")
            shown = browser.evaluate("document.querySelector('.grid .rows .row').textContent")
            assert f"{NAME}-model" in shown and f"{NAME}-key" in shown
            names = "[...document.querySelectorAll('table.models th[scope=row]')].map((it) => it.firstChild.data)"
            targets = [f"{NAME}-target-a", f"{NAME}-target-b"]
            assert browser.evaluate(names) == [f"{NAME}-model", "openai", f"{NAME}-fleet", *targets]
            browser.evaluate("document.querySelector('.grid .rows .row').click()")
            browser.wait_for("document.querySelector('.watch .text')?.textContent.includes('bitten = 1')")
            assert f"Owner{NAME}-key" in browser.evaluate("document.querySelector('.facts').textContent")
            is_clean(browser)
            # Who watches a stream keeps it.
            browser.evaluate("document.querySelector('.watch header button').click()")
            browser.wait_for("!document.querySelector('.watch')")
        browser.evaluate("location.hash = 'config'")
        browser.wait_for("document.querySelector('.settings-table')")
        assert f"{NAME}-target-b" in browser.evaluate("document.querySelector('.settings-table').textContent")
        browser.evaluate("location.hash = '<img src=x onerror=window.bitten=9>'")
        browser.wait_for("document.querySelector('.playground')")
        is_clean(browser)
