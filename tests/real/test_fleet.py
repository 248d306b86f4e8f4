"""Two servers of llama.cpp and an Ollama behind one name; one of them is killed under load: nobody gets
an error before the first word, and who comes later does not notice.
"""

import collections
import concurrent.futures
import json
from collections.abc import Callable

import pytest

from processes import LLAMA_MODEL, OLLAMA_MODEL, Gateway, Llama, Ollama, wait_until
from prompts import native

CLIENTS = 6
TOKENS = 24
# Answers of each client, in all.
ROUNDS = 4


def fleet(dying: Llama, llama: Llama, ollama: Ollama) -> str:
    return f"""
[[models]]
name = "fleet"
max_concurrency = 2

[[models.targets]]
name = "dying"
provider = "openai"
base_url = "{dying.url}/v1"
upstream_model = "{LLAMA_MODEL}"

[[models.targets]]
name = "llama"
provider = "openai"
base_url = "{llama.url}/v1"
upstream_model = "{LLAMA_MODEL}"

[[models.targets]]
name = "ollama"
provider = "ollama"
base_url = "{ollama.url}"
upstream_model = "{OLLAMA_MODEL}"
"""


@pytest.fixture
def gateway(
    mortal_llama: Llama, llama: Llama, ollama: Ollama, start_gateway: Callable[..., Gateway]
) -> Gateway:
    return start_gateway(fleet(mortal_llama, llama, ollama))


def targets(gateway: Gateway) -> dict[str, dict]:
    (model,) = gateway.get("/api/models").json()["models"]
    return {target["name"]: target for target in model["targets"]}


def ask(gateway: Gateway, client: int) -> list[str]:
    """How each of a client's answers ended."""
    ends = []
    for turn in range(ROUNDS):
        prompt = f"{client}.{turn}: tell me about the sea"
        reply = gateway.post("/api/chat", native(prompt, TOKENS, model="fleet"))
        if reply.status != 200:
            ends.append(f"{reply.status} {reply.read().decode()}")
            continue
        *before, last = reply.events()
        has_begun = any(event.name == "chat.completion.chunk" for event in before)
        ends.append(last.name if has_begun else f"nothing but {last}")
    return ends


def test_nobody_sees_a_server_die(gateway: Gateway, mortal_llama: Llama):
    gateway.wait_until_ready()
    # Each of them has answered somebody.
    wait_until("all targets to be there", lambda: all(
        target["status"] == "reachable" for target in targets(gateway).values()
    ))
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask, gateway, client) for client in range(CLIENTS)]
        wait_until("work at the one that dies", lambda: targets(gateway)["dying"]["active"] > 0)
        mortal_llama.kill()
        ends = collections.Counter(end for asked in asking for end in asked.result())
    print(f"{dict(ends)}, {json.dumps(targets(gateway))}")
    # No more were cut than the dead one was at work on; nobody was refused.
    assert ends["chat.completion.done"] + ends["error"] == CLIENTS * ROUNDS and ends["error"] <= 2
    wait_until("the dead one to be out", lambda: targets(gateway)["dying"]["circuit"] != "closed")
    gateway.wait_until_idle()
