"""The console in a real browser: chats, reloads, watches, cancels."""

from collections.abc import Callable

from browser import Browser
from console_page import ANSWER, DEMO, FAULT, ROWS, STATE, TEXT, ask, counted, crowd, go
from processes import LLAMA_MODEL, Gateway, wait_until
from scripted import HANG, Upstream
from setting import model

ADMIN = "admin-0123456789-0123456789-0123456789"
ALICE = "alice-0123456789-0123456789-0123456789"
KEYS = f'[auth]\nkey = "{ADMIN}"\n[[auth.keys]]\nname = "alice"\nkey = "{ALICE}"\n'
RELOADS = 6


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
        browser.evaluate(
            "document.getElementById('model').value = 'silent';"
            "document.getElementById('model').dispatchEvent(new Event('change'))"
        )
        ask(browser, "hello")
        wait_until("it to be asked", lambda: silent.chats["hello"] == 1)
        browser.press("Escape")
        browser.wait_for(f"document.querySelectorAll('.answer').length === 2 && {STATE} === 'Cancelled'")
        gateway.wait_until_idle()
        assert gateway.outcomes() == {"cancelled": 2}
        assert silent.chats["hello"] == 1, "nobody is asked twice to be cancelled"


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
    enter(ALICE)
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
