"""One prompt, one answer: every token, in order, once, and the upstream's own numbers, whoever
reads it.
"""

import asyncio
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable

import pytest
from openai import AsyncOpenAI, OpenAI

import answers
import nodejs
from answers import Answer
from browser import Browser, PageServer
from processes import HERE, LLAMA_MODEL, Gateway, Llama
from prompts import SHORT, STREAMED, native, openai


@pytest.fixture(scope="module")
def expected(llama: Llama) -> Answer:
    """What llama.cpp answers when it is asked without a gateway."""
    answer = answers.of_openai_reply(llama.post("/v1/chat/completions", openai(**STREAMED)))
    assert len(answer.pieces) > 10 and answer.text
    again = answers.of_openai_reply(llama.post("/v1/chat/completions", openai(**STREAMED)))
    assert again == answer, "the model itself gives the same answer twice"
    return answer


def test_native_stream(gateway: Gateway, expected: Answer):
    reply = gateway.post("/api/chat", native())
    assert answers.of_native_reply(reply, LLAMA_MODEL) == expected
    assert gateway.outcomes() == {"completed": 1}


def test_native_whole(gateway: Gateway, expected: Answer):
    reply = gateway.post("/api/chat", native(stream=False))
    answer = answers.of_native_whole(reply, LLAMA_MODEL)
    assert answer.text == expected.text
    assert answer.prompt_tokens == expected.prompt_tokens
    assert answer.completion_tokens == expected.completion_tokens
    assert gateway.outcomes() == {"completed": 1}


def test_openai_wire(gateway: Gateway, expected: Answer):
    """What a program sees that reads OpenAI's wire by itself."""
    path = "/v1/chat/completions"
    assert answers.of_openai_reply(gateway.post(path, openai(**STREAMED))) == expected
    whole = gateway.post(path, openai())
    assert answers.of_openai_whole(whole.json()) == expected.as_one()
    assert gateway.outcomes() == {"completed": 2}


def test_usage_only_when_asked_for(gateway: Gateway, expected: Answer):
    reply = gateway.post("/v1/chat/completions", openai(stream=True))
    *chunks, end = [event.data for event in reply.events()]
    assert end == "[DONE]"
    assert all(chunk["choices"] and chunk.get("usage") is None for chunk in chunks)
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert list(filter(None, texts)) == expected.pieces


def test_openai_python(gateway: Gateway, expected: Answer):
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        create = client.chat.completions.create
        chunks = [chunk.model_dump() for chunk in create(**openai(**STREAMED))]
        assert answers.of_openai_chunks(chunks) == expected
        whole = create(**openai()).model_dump()
        assert answers.of_openai_whole(whole) == expected.as_one()
    assert gateway.outcomes() == {"completed": 2}


def test_openai_python_async(gateway: Gateway, expected: Answer):
    async def both() -> tuple[list[dict], dict]:
        url = f"{gateway.url}/v1"
        async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            create = client.chat.completions.create
            chunks = [chunk.model_dump() async for chunk in await create(**openai(**STREAMED))]
            return chunks, (await create(**openai())).model_dump()

    chunks, whole = asyncio.run(both())
    assert answers.of_openai_chunks(chunks) == expected
    assert answers.of_openai_whole(whole) == expected.as_one()
    assert gateway.outcomes() == {"completed": 2}


def test_openai_node(gateway: Gateway, expected: Answer):
    ask = nodejs.command(HERE / "openai_sdk.mjs", f"{gateway.url}/v1", json.dumps(openai()))
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert answers.of_openai_chunks(got["chunks"]) == expected
    assert answers.of_openai_whole(got["whole"]) == expected.as_one()
    assert gateway.outcomes() == {"completed": 2}


def test_chromium(
    llama: Llama, before: Callable[..., Gateway], expected: Answer, tmp_path: pathlib.Path
):
    program = shutil.which("chromium")
    if not program:
        pytest.skip("not run: chromium is not on the PATH")
    with PageServer(HERE / "page.html") as page, Browser(program, tmp_path) as browser:
        config = f'[server.cors]\nallowed_origins = ["{page.url}"]\n'
        gateway = before(llama, config)
        query = json.dumps({"url": f"{gateway.url}/api/chat", "body": native()})
        browser.open(f"{page.url}/#{query}")
        browser.wait_for("document.body.dataset.state === 'done'")
        seen = json.loads(browser.evaluate("document.getElementById('result').textContent"))
        browser.screenshot(pathlib.Path(os.environ["REAL_PARTS"], "chromium.png"))

        # A page of another origin gets nothing.
        browser.open(f"{page.url.replace('127.0.0.1', 'localhost')}/#{query}")
        browser.wait_for("document.body.dataset.state === 'failed'")
    events = [answers.Event(**event) for event in seen["events"]]
    assert answers.of_native_events(events, seen["requestId"], LLAMA_MODEL) == expected
    assert seen["shown"] == expected.text, "what stands on the page"
    assert seen["reads"] > len(expected.pieces) / 2, "it came bit by bit"
    assert SHORT not in gateway.log(), "prompts are not logged"
