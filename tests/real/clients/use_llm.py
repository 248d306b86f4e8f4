"""The `llm` tool, by its Python interface and as a command, with the gateway's models as its own.

usage: use_llm.py BASE_URL
"""

import importlib.metadata
import json
import os
import pathlib
import sys
import tempfile
import urllib.request

import commands
import jobs
from jobs import Seen

url = sys.argv[1]
folder = tempfile.TemporaryDirectory()
# It is read when the library is imported.
os.environ["LLM_USER_PATH"] = folder.name
with urllib.request.urlopen(f"{url}/models", timeout=30) as reply:
    names = [model["id"] for model in json.load(reply)["data"]] + ["nowhere"]
pathlib.Path(folder.name, "extra-openai-models.yaml").write_text(
    "".join(
        f"- {{model_id: {json.dumps('gw/' + name)}, model_name: {json.dumps(name)}, "
        f"api_base: {json.dumps(url)}, supports_tools: true}}\n"
        for name in names
    )
)

import llm  # noqa: E402

# It reads its plugins when it is first asked, and not by several threads at once.
llm.get_models()


def ask(job: dict, stream: bool, **more: object) -> llm.Response:
    model = llm.get_model("gw/" + job["model"])
    return model.prompt(
        job["prompt"],
        stream=stream,
        max_tokens=job["tokens"],
        temperature=0,
        key="none",
        **more,
    )


def take(response: llm.Response, seen: Seen) -> None:
    usage = response.usage()
    seen.counts(usage.input, usage.output)
    for call in response.tool_calls():
        seen.call(call.name, call.arguments)


def chat(job: dict, seen: Seen) -> None:
    response = ask(job, stream=False)
    seen.piece(response.text())
    take(response, seen)


def stream(job: dict, seen: Seen) -> None:
    response = ask(job, stream=True)
    for piece in response:
        seen.piece(piece)
    take(response, seen)


def command(job: dict, seen: Seen, leave: bool = False) -> None:
    asked = [sys.executable, "-m", "llm", "-m", "gw/" + job["model"], "--no-log", "--key", "none"]
    limits = ["-o", "max_tokens", str(job["tokens"]), "-o", "temperature", "0"]
    commands.run([*asked, *limits, job["prompt"]], {}, seen, leave)


def leave(job: dict, seen: Seen) -> None:
    command(job, seen, leave=True)


def tools() -> list[llm.Tool]:
    return [
        llm.Tool(name=tool["name"], description=tool["description"], input_schema=tool["schema"])
        for tool in jobs.TOOLS
    ]


def chat_with_tools(job: dict, seen: Seen) -> None:
    response = ask(job, stream=False, tools=tools())
    response.text()
    take(response, seen)


def stream_with_tools(job: dict, seen: Seen) -> None:
    response = ask(job, stream=True, tools=tools())
    response.text()
    take(response, seen)


jobs.serve(
    importlib.metadata.version("llm"),
    {
        "chat": chat,
        "stream": stream,
        "chat tools": chat_with_tools,
        "stream tools": stream_with_tools,
        "command": command,
        "leave": leave,
    },
)
