"""The ollama client for Python as its users use it.

usage: use_ollama.py BASE_URL
"""

import importlib.metadata
import sys

import ollama

import jobs
from jobs import Seen

client = ollama.Client(host=sys.argv[1])


def asked(job: dict) -> dict:
    messages = [{"role": "user", "content": job["prompt"]}]
    return {"model": job["model"], "messages": messages, "options": options(job)}


def options(job: dict) -> dict:
    return {"num_predict": job["tokens"], "temperature": 0}


def end(answer: ollama.ChatResponse | ollama.GenerateResponse, seen: Seen) -> None:
    seen.finish = answer.done_reason
    seen.counts(answer.prompt_eval_count, answer.eval_count)


def take(answer: ollama.ChatResponse, seen: Seen) -> None:
    seen.piece(answer.message.content)
    for call in answer.message.tool_calls or []:
        seen.call(call.function.name, dict(call.function.arguments))


def chat(job: dict, seen: Seen, **more: object) -> None:
    answer = client.chat(**asked(job), **more)
    take(answer, seen)
    end(answer, seen)


def chat_with_tools(job: dict, seen: Seen) -> None:
    chat(job, seen, tools=jobs.functions())


def stream(job: dict, seen: Seen, **more: object) -> None:
    for part in client.chat(**asked(job), stream=True, **more):
        take(part, seen)
        if part.done:
            end(part, seen)


def stream_with_tools(job: dict, seen: Seen) -> None:
    stream(job, seen, tools=jobs.functions())


def generate(job: dict, seen: Seen) -> None:
    answer = client.generate(model=job["model"], prompt=job["prompt"], options=options(job))
    seen.piece(answer.response)
    end(answer, seen)


def generate_streamed(job: dict, seen: Seen) -> None:
    parts = client.generate(
        model=job["model"], prompt=job["prompt"], options=options(job), stream=True
    )
    for part in parts:
        seen.piece(part.response)
        if part.done:
            end(part, seen)


def leave(job: dict, seen: Seen) -> None:
    parts = client.chat(**asked(job), stream=True)
    for part in parts:
        seen.piece(part.message.content)
        if seen.pieces:
            break
    parts.close()


def embed(job: dict, seen: Seen) -> None:
    answer = client.embed(model=job["model"], input=job["input"])
    seen.vectors = [list(vector) for vector in answer.embeddings]
    seen.counts(answer.prompt_eval_count, 0)


def models(job: dict, seen: Seen) -> None:
    assert job["model"] in [model.model for model in client.list().models]
    client.ps()
    assert "completion" in client.show(job["model"]).capabilities
    seen.piece(job["model"])


jobs.serve(
    importlib.metadata.version("ollama"),
    {
        "chat": chat,
        "chat tools": chat_with_tools,
        "stream": stream,
        "stream tools": stream_with_tools,
        "complete": generate,
        "complete streamed": generate_streamed,
        "leave": leave,
        "embed": embed,
        "models": models,
    },
)
