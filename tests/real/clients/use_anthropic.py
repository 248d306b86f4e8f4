"""The anthropic SDK for Python as its users use it.

usage: use_anthropic.py BASE_URL
"""

import sys

import anthropic

import jobs
from jobs import Seen

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)


def asked(job: dict) -> dict:
    messages = [{"role": "user", "content": job["prompt"]}]
    # The newest SDK has no name for it.
    more = {"temperature": 0}
    limits = {"max_tokens": job["tokens"], "extra_body": more}
    return {"model": job["model"], "messages": messages, **limits}


def tools() -> list[dict]:
    return [
        {"name": tool["name"], "description": tool["description"], "input_schema": tool["schema"]}
        for tool in jobs.TOOLS
    ]


def take(message: anthropic.types.Message, seen: Seen) -> None:
    for block in message.content:
        if block.type == "tool_use":
            seen.call(block.name, block.input)
    seen.finish = message.stop_reason
    seen.counts(message.usage.input_tokens, message.usage.output_tokens)


def chat(job: dict, seen: Seen, **more: object) -> None:
    message = client.messages.create(**asked(job), **more)
    for block in message.content:
        if block.type == "text":
            seen.piece(block.text)
    take(message, seen)


def chat_with_tools(job: dict, seen: Seen) -> None:
    chat(job, seen, tools=tools())


def stream(job: dict, seen: Seen, **more: object) -> None:
    with client.messages.stream(**asked(job), **more) as events:
        for text in events.text_stream:
            seen.piece(text)
        take(events.get_final_message(), seen)


def stream_with_tools(job: dict, seen: Seen) -> None:
    stream(job, seen, tools=tools())


def leave(job: dict, seen: Seen) -> None:
    with client.messages.stream(**asked(job)) as events:
        for text in events.text_stream:
            return seen.piece(text)


def count(job: dict, seen: Seen) -> None:
    messages = asked(job)["messages"]
    counted = client.messages.count_tokens(model=job["model"], messages=messages)
    seen.counts(counted.input_tokens, 0)


jobs.serve(
    anthropic.__version__,
    {
        "chat": chat,
        "chat tools": chat_with_tools,
        "stream": stream,
        "stream tools": stream_with_tools,
        "leave": leave,
        "count": count,
    },
)
