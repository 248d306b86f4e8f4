"""A server of llama.cpp is killed in mid-answer, and another goes on: the client reads one answer."""

import itertools
import os
from collections.abc import Callable

import openai as sdk
import pytest

from processes import LLAMA_MODEL, OLLAMA_MODEL, Gateway, Llama, Ollama
from prompts import LONG, native, openai

TOKENS = 160
# The rest of the answer is long enough that the kill comes before its end.
BEFORE = 20


def models(dying: Llama, provider: str, url: str, name: str) -> str:
    return f"""
[[models]]
name = "dying"
provider = "openai"
base_url = "{dying.url}/v1"
upstream_model = "{LLAMA_MODEL}"
continue_on = ["alive"]

[[models]]
name = "alive"
provider = "{provider}"
base_url = "{url}"
upstream_model = "{name}"
continues = true
"""


@pytest.fixture
def gateway(
    mortal_llama: Llama, llama: Llama, start_gateway: Callable[..., Gateway]
) -> Gateway:
    return start_gateway(models(mortal_llama, "openai", f"{llama.url}/v1", LLAMA_MODEL))


@pytest.fixture(scope="module")
def unbroken(llama: Llama) -> str:
    """What the model says where nobody dies."""
    answer = llama.post("/v1/chat/completions", openai(LONG, TOKENS)).json()
    return answer["choices"][0]["message"]["content"]


def check(text: str, before: str, unbroken: str) -> None:
    """What was said before the kill stays, and what follows goes on from there. Text that is read
    again may fall into other tokens, so it need not be the text of the unbroken answer.
    """
    assert unbroken.startswith(before) and text.startswith(before)
    same = len(os.path.commonprefix([text, unbroken]))
    print(f"{same} of {len(unbroken)} characters as in the unbroken answer; {len(before)} before")
    assert same > len(before), (text[len(before) :][:40], unbroken[len(before) :][:40])


def test_native(gateway: Gateway, mortal_llama: Llama, unbroken: str):
    gateway.wait_until_ready()
    events = gateway.post("/api/chat", native(LONG, TOKENS, model="dying")).events()
    first = list(itertools.islice(events, BEFORE))
    mortal_llama.kill()
    *pieces, done = first + list(events)
    (place,) = [at for at, event in enumerate(pieces) if event.name == "chat.continued"]
    assert pieces[place].data["continuedBy"] == "alive"
    before = "".join(event.data["content"] for event in pieces[:place])
    text = before + "".join(event.data["content"] for event in pieces[place + 1 :])
    assert (done.name, done.data["finishReason"]) == ("chat.completion.done", "length")
    # Each piece of llama.cpp's is a token, and the limit holds for both together.
    assert done.data["evalCount"] == TOKENS
    check(text, before, unbroken)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"completed": 1}


def test_openai_python(gateway: Gateway, mortal_llama: Llama, unbroken: str):
    gateway.wait_until_ready()
    with sdk.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        body = openai(LONG, TOKENS) | {"model": "dying", "stream": True}
        chunks = iter(client.chat.completions.create(**body))
        first = list(itertools.islice(chunks, BEFORE))
        mortal_llama.kill()
        chunks = first + list(chunks)
    # llama.cpp itself writes another time into chunks of another second.
    assert len({(chunk.id, chunk.model) for chunk in chunks}) == 1
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    before = "".join(chunk.choices[0].delta.content or "" for chunk in first)
    check("".join(pieces), before, unbroken)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [reason for reason in reasons if reason] == ["length"]
    assert gateway.outcomes() == {"completed": 1}


def test_an_ollama_whose_template_cannot_go_on_is_not_asked(
    mortal_llama: Llama, ollama: Ollama, start_gateway: Callable[..., Gateway]
):
    gateway = start_gateway(models(mortal_llama, "ollama", ollama.url, OLLAMA_MODEL))
    template = ollama.send("POST", "/api/show", {"model": OLLAMA_MODEL}).json()["template"]
    assert ".Messages" in template and "$last" not in template
    gateway.wait_until_ready()
    events = gateway.post("/api/chat", native(LONG, TOKENS, model="dying")).events()
    list(itertools.islice(events, BEFORE))
    mortal_llama.kill()
    rest = list(events)
    assert all(event.name != "chat.continued" for event in rest)
    assert (rest[-1].name, rest[-1].data["code"]) == ("error", "TRUNCATED")
