"""A gateway before every kind of upstream, and the clients that ask it, each running but once."""

import contextlib
import dataclasses
import pathlib
import re

import pytest

import matrix
import setting
import wanted
import wires
from children import Child
from clients import CLIENTS, Client
from matrix import SCRIPTED
from processes import LLAMA_MODEL, OLLAMA_MODEL, Llama, Ollama, free_port
from scripted import Upstream

PROMPT = "Say it."
INPUT = ["one", "two"]
# What an engine may say at most.
TOKENS = 8
EMBEDDER = "all-minilm:l6-v2"
EMBEDDING = {"type": '"embedding"'}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an upstream answers: by its script, or as an engine did that was asked directly."""

    text: str
    counts: list[int]
    limited: bool = False


class Stage:
    def __init__(
        self,
        stack: contextlib.ExitStack,
        folder: pathlib.Path,
        llama: Llama,
        ollama: Ollama | None,
    ):
        matrix.order([client.name for client in CLIENTS])
        self._stack = stack
        self._folder = folder
        self._children: dict[tuple[str, bool], Child] = {}
        self.endless: dict[str, Upstream] = {}
        self.answers = dict.fromkeys(SCRIPTED, Answer(wires.TEXT, wanted.COUNTS))
        self.vectors = dict.fromkeys(SCRIPTED, wanted.VECTORS)
        sections = [section for kind in SCRIPTED for section in self._scripted(kind)]
        sections += self._llama(llama, ollama)
        if ollama:
            sections += self._ollama(ollama)
        self.root = f"127.0.0.1:{free_port()}"
        sections.append(f'[ollama]\nlisten = "{self.root}"\n')
        self.gateway = setting.start(folder, 60.0, sections)
        stack.callback(self.gateway.stop)

    def _scripted(self, kind: str) -> list[str]:
        wire = "ollama" if kind == "ollama" else "openai"
        upstream = self._stack.enter_context(wanted.upstream(wire))
        self.endless[kind] = self._stack.enter_context(wanted.upstream(wire))
        ports = {deed: upstream.port for deed in wanted.DEEDS}
        ports["endless"] = self.endless[kind].port
        return [
            section(deed, kind, kind, f"http://127.0.0.1:{port}", f"{deed}.{kind}")
            for deed, port in ports.items()
        ]

    def _llama(self, llama: Llama, ollama: Ollama | None) -> list[str]:
        user = [{"role": "user", "content": PROMPT}]
        body = {"messages": user, "temperature": 0, "max_tokens": TOKENS}
        told = llama.send("POST", "/v1/chat/completions", body).json()
        (choice,), usage = told["choices"], told["usage"]
        counts = [usage["prompt_tokens"], usage["completion_tokens"]]
        limited = choice["finish_reason"] == "length"
        self.answers["llama.cpp"] = Answer(choice["message"]["content"], counts, limited)
        sections = [section("real", "llama.cpp", "openai", llama.url, LLAMA_MODEL)]
        if ollama:
            embedder = Llama(self._folder, model=embedder_file(ollama), embeds=True)
            self._stack.callback(embedder.stop)
            told = embedder.send("POST", "/v1/embeddings", {"input": INPUT}).json()
            self.vectors["llama.cpp"] = [item["embedding"] for item in told["data"]]
            sections.append(section("vectors", "llama.cpp", "openai", embedder.url, LLAMA_MODEL))
        return sections

    def _ollama(self, ollama: Ollama) -> list[str]:
        user = [{"role": "user", "content": PROMPT}]
        options = {"temperature": 0, "num_predict": TOKENS}
        body = {"model": OLLAMA_MODEL, "messages": user, "options": options, "stream": False}
        told = ollama.send("POST", "/api/chat", body, seconds=120).json()
        counts = [told["prompt_eval_count"], told["eval_count"]]
        limited = told["done_reason"] == "length"
        self.answers["Ollama"] = Answer(told["message"]["content"], counts, limited)
        body = {"model": EMBEDDER, "input": INPUT}
        told = ollama.send("POST", "/api/embed", body, seconds=120).json()
        self.vectors["Ollama"] = told["embeddings"]
        named = {"real": OLLAMA_MODEL, "vectors": EMBEDDER, "lacking": "no-such-model"}
        return [section(deed, "Ollama", "ollama", ollama.url, name) for deed, name in named.items()]

    def child(self, client: Client, at_root: bool = False) -> Child:
        """The client's program; where it is Ollama's, at the root of a listener if so wished."""
        key = (client.name, at_root)
        if key not in self._children:
            url = f"http://{self.root}" if at_root else self.gateway.url + client.path
            program, script, *more = client.command()
            log = self._folder / f"{client.name} {at_root}.log"
            child = Child(client.name, [program, script, url, *more], log)
            self._children[key] = self._stack.enter_context(child)
            matrix.version(client.name, child.version)
        return self._children[key]

    def require(self, upstream: str, operation: str) -> None:
        there = self.vectors if operation == "embed" else self.answers
        if upstream not in there:
            pytest.skip("not run: OLLAMA_CMD is not set")

    def do(
        self,
        child: Child,
        operation: str,
        model: str,
        prompt: str = PROMPT,
        tokens: int = TOKENS,
    ) -> dict:
        """One operation, and what came of it."""
        job = {"op": operation, "model": model, "prompt": prompt, "tokens": tokens}
        return child.result(child.ask(job | {"input": INPUT}))


def section(deed: str, upstream: str, provider: str, url: str, name: str) -> str:
    more = EMBEDDING if deed == "vectors" else {}
    named = {"upstream_model": f'"{name}"'}
    return setting.model(f"{deed}.{upstream}", provider, url, named | more)


def embedder_file(ollama: Ollama) -> str:
    """Where Ollama keeps the model, which llama.cpp reads as well."""
    shown = ollama.send("POST", "/api/show", {"model": EMBEDDER}).json()
    return re.search(r"^FROM (\S+)", shown["modelfile"], re.MULTILINE)[1]
