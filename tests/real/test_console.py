"""The console in a real browser: chats, reloads, watches, cancels."""

from collections.abc import Callable

from browser import Browser
from console_page import ANSWER, DEMO, FAULT, KEPT_KEY, ROWS, STATE, TEXT, ask, counted, crowd, go
from processes import LLAMA_MODEL, Gateway, wait_until
from scripted import HANG, Step, Upstream, head
from setting import model
from wires import chunk, sse

ADMIN = "admin-0123456789-0123456789-0123456789"
ALICE = "alice-0123456789-0123456789-0123456789"
KEYS = f'[auth]\nkey = "{ADMIN}"\n[[auth.keys]]\nname = "alice"\nkey = "{ALICE}"\n'
RELOADS = 6
NO_CLIPBOARD = """
Object.defineProperty(navigator, 'clipboard', { value: undefined });
document.addEventListener('copy', () => { window.copied = document.activeElement.value; });
"""


def begun(_: dict) -> list[Step]:
    """One word, and nothing more."""
    return [head(200, "content-type: text/event-stream"), sse(chunk({"content": "word"})), HANG]


def test_a_real_model_answers_and_its_figures_are_shown(gateway: Gateway, browser: Browser):
    gateway.wait_until_ready()
    go(browser, gateway)
    ask(browser, "Write one sentence about the sea.")
    browser.wait_for(f"{STATE}?.match(/Done|Cut/)")
    assert browser.evaluate(TEXT).strip()
    figures = browser.evaluate(f"{ANSWER}.querySelector('.figures').textContent")
    assert "–" not in figures, figures
    assert browser.evaluate(f"{ANSWER}.querySelector('strong').textContent") == LLAMA_MODEL
    # The conversation goes on, with what was said.
    ask(browser, "And one about the wind.")
    browser.wait_for(f"document.querySelectorAll('.answer').length === 2 && {STATE}?.match(/Done|Cut/)")
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"completed": 2}


def test_cancel_in_mid_answer_and_before_its_first_token(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    with Upstream(lambda _: [HANG]) as silent:
        config = DEMO + model("silent", "openai", f"http://127.0.0.1:{silent.port}")
        gateway = start_gateway(config)
        go(browser, gateway)
        ask(browser, "count to 1000")
        browser.wait_for(f"{TEXT}.length > 20")
        browser.evaluate("document.getElementById('cancel').click()")
        browser.wait_for(f"{STATE} === 'Cancelled'")
        # The other one has said nothing yet, so that not even its id is known to the page.
        choose(browser, "silent")
        ask(browser, "hello")
        wait_until("it to be asked", lambda: silent.chats["hello"] == 1)
        browser.press("Escape")
        browser.wait_for(f"document.querySelectorAll('.answer').length === 2 && {STATE} === 'Cancelled'")
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"cancelled": 2}
        assert silent.chats["hello"] == 1, "nobody is asked twice to be cancelled"


def choose(browser: Browser, name: str) -> None:
    browser.wait_for(f"[...document.querySelectorAll('#model option')].some((it) => it.value === '{name}')")
    browser.evaluate(
        f"document.getElementById('model').value = '{name}';"
        "document.getElementById('model').dispatchEvent(new Event('change'))"
    )


def test_without_a_journal_nothing_is_asked_twice(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    """Nothing can be come back to: neither Cancel nor a reload may begin another answer."""
    with Upstream(lambda _: [HANG]) as silent, Upstream(begun) as talking:
        config = "[journal]\nmax_bytes = 0\n"
        config += model("talking", "openai", f"http://127.0.0.1:{talking.port}")
        config += model("silent", "openai", f"http://127.0.0.1:{silent.port}")
        gateway = start_gateway(config)
        go(browser, gateway)
        ask(browser, "first")
        browser.wait_for(f"{TEXT} === 'word'")
        browser.evaluate("document.getElementById('cancel').click()")
        browser.wait_for(f"{STATE} === 'Cancelled'")
        gateway.wait_until_idle()
        ask(browser, "second")
        browser.wait_for(f"document.querySelectorAll('.answer').length === 2 && {TEXT} === 'word'")
        browser.reload()
        browser.wait_for(f"{STATE} === 'Failed' && {FAULT}.includes('keeps no answers')")
        assert browser.evaluate(TEXT) == "word", "what was there is there once"
        gateway.wait_until_idle()
        # Before the first token the page does not know the stream's id.
        choose(browser, "silent")
        ask(browser, "third")
        wait_until("it to be asked", lambda: silent.chats["third"] == 1)
        browser.press("Escape")
        browser.wait_for(f"document.querySelectorAll('.answer').length === 3 && {STATE} === 'Cancelled'")
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"cancelled": 3}
        assert [talking.chats["first"], talking.chats["second"], silent.chats["third"]] == [1, 1, 1]


def test_an_answers_request_stays_what_it_was(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    """Whatever is set meanwhile: to cancel, to copy."""
    # As on plain HTTP at any host but localhost.
    browser.before_each_page(NO_CLIPBOARD)
    with Upstream(lambda _: [HANG]) as silent:
        gateway = start_gateway(model("silent", "openai", f"http://127.0.0.1:{silent.port}"))
        go(browser, gateway)
        warm(browser, "0.2")
        ask(browser, "hello")
        wait_until("it to be asked", lambda: silent.chats["hello"] == 1)
        warm(browser, "1.5")
        browser.evaluate("document.getElementById('cancel').click()")
        browser.wait_for(f"{STATE} === 'Cancelled'")
        assert browser.evaluate(FAULT) is None
        browser.click(f"[...{ANSWER}.querySelectorAll('.tools button')].at(-1)")
        browser.wait_for("window.copied?.startsWith('curl ')")
        assert '"temperature":0.2' in browser.evaluate("window.copied")
        browser.wait_for(f"[...{ANSWER}.querySelectorAll('.tools button')].at(-1).textContent === 'Copied'")
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"cancelled": 1}


def warm(browser: Browser, temperature: str) -> None:
    field = "document.querySelector('.settings input')"
    browser.evaluate(
        f"document.querySelector('.settings').open = true; {field}.value = '{temperature}';"
        f"{field}.dispatchEvent(new Event('input'))"
    )


def test_what_is_meant_for_another_cancels_nothing(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    # Time stands still: however slow the machine is, two clicks are a double click.
    browser.before_each_page("const now = Date.now; Date.now = () => window.later ? now() : 1e12;")
    gateway = start_gateway(DEMO)
    go(browser, gateway)
    browser.wait_for("document.querySelector('#send:enabled')")
    browser.evaluate("document.getElementById('prompt').value = 'count to 3000'")
    browser.click("document.getElementById('send')")
    browser.wait_for(f"{TEXT}.length > 20")
    browser.click("document.getElementById('cancel')", 2)
    assert browser.evaluate(STATE) == "Answering", "both were meant for Send"
    browser.evaluate("document.getElementById('key').click()")
    browser.wait_for("document.querySelector('dialog.key[open]')")
    browser.press("Escape")
    browser.wait_for("!document.querySelector('dialog.key[open]')")
    browser.evaluate("dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', isComposing: true }))")
    assert browser.evaluate(STATE) == "Answering"
    browser.evaluate("window.later = true")
    browser.click("document.getElementById('cancel')")
    browser.wait_for(f"{STATE} === 'Cancelled'")
    gateway.wait_until_idle()

    # "Sure?" is a question.
    browser.evaluate("window.later = false")
    with crowd(gateway, 1, "count to 3000"):
        browser.evaluate("location.hash = 'live'")
        browser.wait_for(f"{ROWS} === 1")
        button = "document.querySelector('.grid .rows button')"
        browser.click(button, 2)
        browser.wait_for(f"{button}.textContent === 'Sure?'")
        assert gateway.outcomes() == {"cancelled": 1}


def test_a_letter_alone_does_nothing(start_gateway: Callable[..., Gateway], browser: Browser):
    gateway = start_gateway(DEMO)
    go(browser, gateway, "config")
    browser.wait_for("document.getElementById('filter')")
    browser.press("1")
    browser.press("/")
    here = "[location.hash, document.activeElement.id]"
    assert browser.evaluate(here) == ["#config", ""]
    browser.press_access("/")
    browser.wait_for("document.activeElement.id === 'filter'")
    browser.press_access("2")
    browser.wait_for("location.hash === '#live' && document.querySelector('.live')")
    browser.evaluate("document.getElementById('key').click()")
    browser.wait_for("document.querySelector('dialog.key[open]')")
    browser.press_access("1")
    assert browser.evaluate("location.hash") == "#live", "a dialog is not left by it"


def test_a_full_model_shows_the_place_in_its_queue(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    gateway = start_gateway(DEMO.replace("1000", "1"))
    with crowd(gateway, 2, "/slow count to 100"):
        go(browser, gateway)
        ask(browser, "count to 3")
        browser.wait_for(f"{STATE}.startsWith('In the queue: place 2')")
        browser.evaluate("document.getElementById('cancel').click()")
        browser.wait_for(f"{STATE} === 'Cancelled'")


def test_a_reload_in_mid_answer_loses_nothing(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    gateway = start_gateway(DEMO)
    go(browser, gateway)
    ask(browser, "count to 500")
    last = 0
    for _ in range(RELOADS):
        browser.wait_for(f"{TEXT}.length > {last}")
        last = len(browser.evaluate(TEXT))
        assert browser.evaluate(STATE) == "Answering"
        browser.reload()
        browser.wait_for(f"{TEXT}.length >= {last}")
    browser.wait_for(f"{STATE} === 'Done'")
    assert browser.evaluate(TEXT).strip() == counted(500)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"completed": 1}, "one question, one answer"
    draft = "document.getElementById('prompt').value"
    browser.evaluate(f"{draft} = 'not sent yet'; document.getElementById('prompt').dispatchEvent(new Event('input'))")
    browser.reload()
    browser.wait_for(f"document.getElementById('prompt') && {draft} === 'not sent yet'")


def test_two_pages_watch_one_stream_and_one_cancels_it(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    gateway = start_gateway(DEMO)
    watched = "document.querySelector('.watch .text').textContent"
    with crowd(gateway, 1, "count to 3000"):
        first = browser.open_tab()
        second = browser.open_tab()
        for tab in (first, second):
            browser.go_to_tab(tab)
            go(browser, gateway, "live")
            browser.wait_for(f"{ROWS} === 1")
            browser.evaluate("document.querySelector('.grid .rows .row').click()")
            browser.wait_for("document.querySelector('dialog.watch[open]')")
            browser.wait_for(f"{watched}.startsWith('1 2 3 4 ')")
        readers = "[...document.querySelectorAll('.facts div')].find((it) => it.textContent.startsWith('Readers'))"
        browser.wait_for(f"{readers}.textContent === 'Readers3'")
        button = "document.querySelector('.watch footer button')"
        browser.evaluate(f"{button}.click()")
        browser.wait_for(f"{button}.textContent === 'Sure?'")
        browser.evaluate(f"{button}.click()")
        for tab in (second, first):
            browser.go_to_tab(tab)
            browser.wait_for("document.querySelector('.watch [role=status]').textContent === 'Over'")
        gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": 1}


def test_keys_open_the_console_and_an_admins_all_of_it(
    start_gateway: Callable[..., Gateway], browser: Browser
):
    gateway = start_gateway(DEMO + KEYS)

    def enter(key: str) -> None:
        browser.evaluate(
            f"document.getElementById('key-field').value = '{key}';"
            "document.getElementById('key-field').form.requestSubmit()"
        )

    go(browser, gateway)
    browser.wait_for("document.getElementById('key').textContent === 'Enter a key'")
    browser.wait_for(FAULT)
    browser.evaluate("document.getElementById('key').click()")
    enter("alicf")
    browser.wait_for("document.querySelector('dialog.key[open] .fault')")
    enter(ALICE)
    browser.wait_for("!document.querySelector('dialog.key[open]')")
    ask(browser, "count to 3")
    browser.wait_for(f"{STATE} === 'Done'")
    for page in ("live", "config"):
        browser.evaluate(f"location.hash = '{page}'")
        browser.wait_for(f"{FAULT}?.includes(\"admin's key\")")
    enter(ADMIN)
    browser.wait_for("document.querySelector('.settings-table')")
    assert ADMIN not in browser.evaluate("document.querySelector('.settings-table').textContent")
    browser.evaluate("location.hash = 'live'")
    browser.wait_for("document.querySelector('.charts')")
    # Of this tab alone: no cookie, and nothing that outlives it.
    assert browser.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"
    browser.evaluate("[...document.querySelectorAll('.key button')].find((it) => it.textContent === 'Forget').click()")
    browser.wait_for(f"{FAULT}")
    assert browser.evaluate(f"sessionStorage.getItem('{KEPT_KEY}')") is None
