"""Mixed load: whole answers of a real model, failures of every sort, a queue that stands still, refusals,
cancels, clients that come back. All of it goes on until it is ended, so that a scrape at any time sees it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from flowing import event, frame
from processes import LLAMA_MODEL, Gateway, Llama, wait_until
from prompts import LONG, LONG_TOKENS, native
from scripted import CLOSE, HANG, Step, Upstream, head, response

# Of the model whose one permit is taken for good. Two may wait, others are refused.
QUEUE = {
    "max_concurrency": 1,
    "queue_length": 2,
    "queue_timeout_seconds": 600,
    "idle_timeout_seconds": 600,
}
QUEUED = 'ai_gateway_queued_requests{model="busy"}'
# Between two requests of a kind.
PAUSE = 0.25

HEAD = head(200, "content-type: text/event-stream", "transfer-encoding: chunked")
WHOLE = [HEAD, frame("one"), frame(" two"), frame("", "stop"), event("[DONE]"), b"0\r\n\r\n"]
SCRIPTS: dict[str, list[Step]] = {
    "sound": WHOLE,
    "broken": [response(500, b'{"error":{"message":"out of order"}}')],
    "cut": [HEAD, frame("one"), frame(" two"), CLOSE],
    "holding": [HEAD, frame("one"), HANG],
}


def script(body: dict) -> list[Step]:
    return SCRIPTS[body["model"]]


def config(llama: Llama, scripted: Upstream, nobody: int) -> str:
    """The models. The scripted upstream does what the name of a target says; at `nobody` there is none."""
    there = f"http://127.0.0.1:{scripted.port}/v1"

    def model(name: str, *targets: tuple[str, str], **more: int) -> str:
        keys = "".join(f"{key} = {value}\n" for key, value in more.items())
        sections = "".join(
            f'[[models.targets]]\nname = "{called}-{number}"\nprovider = "openai"\n'
            f'base_url = "{url}"\nupstream_model = "{called}"\n'
            for number, (called, url) in enumerate(targets)
        )
        return f'[[models]]\nname = "{name}"\n{keys}{sections}'

    models = [
        model(LLAMA_MODEL, (LLAMA_MODEL, f"{llama.url}/v1")),
        model("pair", ("broken", there), ("sound", there)),
        model("out", ("broken", there), ("broken", there)),
        model("cut", ("cut", there)),
        model("busy", ("holding", there), **QUEUE),
        model("absent", ("sound", f"http://127.0.0.1:{nobody}/v1")),
    ]
    # Weighted, the broken one of the pair is asked whenever its circuit lets it be.
    return "".join(models).replace('name = "pair"\n', 'name = "pair"\npolicy = "weighted"\n')


def ask(gateway: Gateway, model: str, **more: object) -> int:
    reply = gateway.post("/api/chat", native("Hi.", 8, model=model, **more))
    # A stream that breaks off has its error as its last event.
    reply.read()
    return reply.status


def cancel(gateway: Gateway) -> None:
    """Ends one stream by its id; leaves another, after somebody has joined it."""
    ended = gateway.post("/api/chat", native(LONG, LONG_TOKENS, model=LLAMA_MODEL))
    next(ended.events())
    gateway.send("DELETE", f"/api/chat/{ended.request_id}").read()
    ended.read()
    left = gateway.post("/api/chat", native(LONG, LONG_TOKENS, model=LLAMA_MODEL))
    next(left.events())
    joined = gateway.get(f"/api/chat/{left.request_id}")
    next(joined.events())
    joined.close()
    left.close()


def refused(gateway: Gateway) -> None:
    assert gateway.post("/api/chat", {}).status == 400
    assert ask(gateway, "nobody") == 404
    assert ask(gateway, "busy") == 429, "its queue is full"


def kinds(gateway: Gateway) -> list[Callable[[], object]]:
    whole = {"model": LLAMA_MODEL, "input": "Hi.", "max_output_tokens": 8}
    return [
        lambda: ask(gateway, LLAMA_MODEL),
        lambda: gateway.post("/v1/responses", whole).read(),
        lambda: ask(gateway, "pair"),
        lambda: [ask(gateway, "out", stream=stream) for stream in (True, False)],
        lambda: ask(gateway, "cut"),
        lambda: ask(gateway, "absent"),
        lambda: cancel(gateway),
        lambda: refused(gateway),
    ]


@contextlib.contextmanager
def load(gateway: Gateway) -> Iterator[None]:
    """Each kind has had its turn when it begins. Whatever one raises is raised at the end."""
    over = threading.Event()
    begun: set[Callable[[], object]] = set()
    raised: list[BaseException] = []

    def repeat(kind: Callable[[], object]) -> None:
        try:
            while not over.wait(PAUSE):
                kind()
                begun.add(kind)
        except BaseException as error:  # noqa: BLE001: it is told below
            raised.append(error)

    # The first takes the permit and keeps it, the others wait.
    holders = [gateway.post("/api/chat", native("Hi.", 8, model="busy"))]
    next(holders[0].events())
    waiting = [gateway.call("POST", "/api/chat", native("Hi.", 8, model="busy")) for _ in range(2)]
    wait_until("a full queue", lambda: gateway.metrics()[QUEUED] == len(waiting))
    threads = [threading.Thread(target=repeat, args=(kind,)) for kind in kinds(gateway)]
    for thread in threads:
        thread.start()
    try:
        wait_until("each kind of request", lambda: raised or len(begun) == len(threads))
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for holder in (*holders, *waiting):
            holder.close()
    assert not raised, raised
