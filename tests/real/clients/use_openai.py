"""The openai SDK for Python as its users use it.

usage: use_openai.py BASE_URL
"""

import sys

import openai

import jobs
from jobs import Seen

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)


def asked(job: dict) -> dict:
    messages = [{"role": "user", "content": job["prompt"]}]
    limits = {"max_tokens": job["tokens"], "temperature": 0}
    return {"model": job["model"], "messages": messages, **limits}


def take(answer: openai.types.chat.ChatCompletion, seen: Seen) -> None:
    (choice,) = answer.choices
    seen.piece(choice.message.content)
    seen.finish = choice.finish_reason
    for call in choice.message.tool_calls or []:
        seen.call(call.function.name, call.function.arguments)
    if answer.usage:
        seen.counts(answer.usage.prompt_tokens, answer.usage.completion_tokens)


def chat(job: dict, seen: Seen) -> None:
    take(client.chat.completions.create(**asked(job)), seen)


def chat_with_tools(job: dict, seen: Seen) -> None:
    take(client.chat.completions.create(**asked(job), tools=jobs.functions()), seen)


def stream(job: dict, seen: Seen, **more: object) -> None:
    options = {"include_usage": True}
    chunks = client.chat.completions.create(
        **asked(job), stream=True, stream_options=options, **more
    )
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            seen.piece(choice.delta.content)
            seen.finish = choice.finish_reason or seen.finish
            for call in choice.delta.tool_calls or []:
                name_and_arguments = calls.setdefault(call.index, ["", ""])
                name_and_arguments[0] += call.function.name or ""
                name_and_arguments[1] += call.function.arguments or ""
        if chunk.usage:
            seen.counts(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    for name, arguments in calls.values():
        seen.call(name, arguments)


def stream_with_tools(job: dict, seen: Seen) -> None:
    stream(job, seen, tools=jobs.functions())


def leave(job: dict, seen: Seen) -> None:
    with client.chat.completions.create(**asked(job), stream=True) as chunks:
        for chunk in chunks:
            seen.piece(chunk.choices[0].delta.content)
            if seen.pieces:
                return


def continued(job: dict) -> dict:
    limits = {"max_tokens": job["tokens"], "temperature": 0}
    return {"model": job["model"], "prompt": job["prompt"], **limits}


def complete(job: dict, seen: Seen) -> None:
    answer = client.completions.create(**continued(job))
    seen.piece(answer.choices[0].text)
    seen.finish = answer.choices[0].finish_reason
    seen.counts(answer.usage.prompt_tokens, answer.usage.completion_tokens)


def complete_streamed(job: dict, seen: Seen) -> None:
    for chunk in client.completions.create(**continued(job), stream=True):
        for choice in chunk.choices:
            seen.piece(choice.text)
            seen.finish = choice.finish_reason or seen.finish


def embed(job: dict, seen: Seen) -> None:
    """The SDK asks for base64 by itself."""
    answer = client.embeddings.create(model=job["model"], input=job["input"])
    seen.vectors = [item.embedding for item in answer.data]
    seen.counts(answer.usage.prompt_tokens, 0)


def answered(answer: "openai.types.responses.Response", seen: Seen) -> None:
    seen.id = answer.id
    seen.finish = answer.status
    for item in answer.output:
        if item.type == "function_call":
            seen.call(item.name, item.arguments)
    if answer.usage:
        seen.counts(answer.usage.input_tokens, answer.usage.output_tokens)


def response_tools() -> list[dict]:
    return [tool["function"] | {"type": "function", "strict": False} for tool in jobs.functions()]


def responding(job: dict) -> dict:
    limits = {"max_output_tokens": job["tokens"], "temperature": 0}
    return {"model": job["model"], "input": job["prompt"], **limits}


def respond(job: dict, seen: Seen, **more: object) -> None:
    answer = client.responses.create(**responding(job), **more)
    seen.piece(answer.output_text)
    answered(answer, seen)


def respond_with_tools(job: dict, seen: Seen) -> None:
    respond(job, seen, tools=response_tools())


def respond_streamed(job: dict, seen: Seen, **more: object) -> None:
    with client.responses.stream(**responding(job), **more) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                seen.piece(event.delta)
            # The SDK's own `get_final_response` knows no answer that is cut by a limit.
            if event.type in ("response.completed", "response.incomplete"):
                answered(event.response, seen)


def respond_streamed_with_tools(job: dict, seen: Seen) -> None:
    respond_streamed(job, seen, tools=response_tools())


def leave_response(job: dict, seen: Seen) -> None:
    with client.responses.create(model=job["model"], input=job["prompt"], stream=True) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                return seen.piece(event.delta)


def cancel_response(job: dict, seen: Seen) -> None:
    """From beside the stream, whose reader is told."""
    with client.responses.create(model=job["model"], input=job["prompt"], stream=True) as events:
        for event in events:
            if event.type == "response.created":
                seen.id = event.response.id
            if event.type == "response.output_text.delta":
                seen.piece(event.delta)
                break
        seen.finish = client.responses.cancel(seen.id).status
        for _ in events:
            pass


def keep(job: dict, seen: Seen) -> None:
    """Kept, built upon, retrieved, deleted, gone."""
    first = client.responses.create(model=job["model"], input=job["prompt"])
    second = client.responses.create(
        model=job["model"], input="go on", previous_response_id=first.id
    )
    assert client.responses.retrieve(second.id).output_text == second.output_text
    said = [item.content[0].text for item in client.responses.input_items.list(second.id)]
    assert "go on" in said, said
    client.responses.delete(second.id)
    seen.piece(second.output_text)
    seen.finish = second.status
    client.responses.retrieve(second.id)


def models(job: dict, seen: Seen) -> None:
    assert job["model"] in [model.id for model in client.models.list()]
    seen.piece(client.models.retrieve(job["model"]).id)


jobs.serve(
    openai.__version__,
    {
        "chat": chat,
        "chat tools": chat_with_tools,
        "stream": stream,
        "stream tools": stream_with_tools,
        "leave": leave,
        "complete": complete,
        "complete streamed": complete_streamed,
        "embed": embed,
        "respond": respond,
        "respond tools": respond_with_tools,
        "respond streamed": respond_streamed,
        "respond streamed tools": respond_streamed_with_tools,
        "leave response": leave_response,
        "cancel response": cancel_response,
        "keep": keep,
        "models": models,
    },
)
