"""LangChain's chat models and embeddings as their users use them.

usage: use_langchain.py BASE_URL openai|ollama
"""

import importlib.metadata
import sys

from langchain_core.messages import AIMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

import jobs
from jobs import Seen

url, dialect = sys.argv[1:]


def model(job: dict) -> ChatOpenAI | ChatOllama:
    if dialect == "ollama":
        return ChatOllama(
            base_url=url, model=job["model"], num_predict=job["tokens"], temperature=0
        )
    return ChatOpenAI(
        base_url=url,
        api_key="none",
        model=job["model"],
        max_tokens=job["tokens"],
        temperature=0,
        max_retries=0,
        stream_usage=True,
    )


def take(answer: AIMessage, seen: Seen) -> None:
    for call in answer.tool_calls:
        seen.call(call["name"], call["args"])
    told = answer.response_metadata
    seen.finish = told.get("finish_reason") or told.get("done_reason")
    if usage := answer.usage_metadata:
        seen.counts(usage["input_tokens"], usage["output_tokens"])


def chat(job: dict, seen: Seen) -> None:
    answer = model(job).invoke(job["prompt"])
    seen.piece(answer.text)
    take(answer, seen)


def chat_with_tools(job: dict, seen: Seen) -> None:
    take(model(job).bind_tools(jobs.functions()).invoke(job["prompt"]), seen)


def stream(job: dict, seen: Seen) -> None:
    whole = None
    for chunk in model(job).stream(job["prompt"]):
        seen.piece(chunk.text)
        whole = chunk if whole is None else whole + chunk
    take(whole, seen)


def stream_with_tools(job: dict, seen: Seen) -> None:
    whole = None
    for chunk in model(job).bind_tools(jobs.functions()).stream(job["prompt"]):
        whole = chunk if whole is None else whole + chunk
    take(whole, seen)


def leave(job: dict, seen: Seen) -> None:
    chunks = model(job).stream(job["prompt"])
    for chunk in chunks:
        seen.piece(chunk.text)
        if seen.pieces:
            break
    chunks.close()


def embed(job: dict, seen: Seen) -> None:
    if dialect == "ollama":
        embeddings = OllamaEmbeddings(base_url=url, model=job["model"])
    else:
        # Else it counts tokens by tables that it would fetch.
        embeddings = OpenAIEmbeddings(
            base_url=url,
            api_key="none",
            model=job["model"],
            check_embedding_ctx_length=False,
        )
    seen.vectors = embeddings.embed_documents(job["input"])


jobs.serve(
    importlib.metadata.version(f"langchain-{dialect}"),
    {
        "chat": chat,
        "chat tools": chat_with_tools,
        "stream": stream,
        "stream tools": stream_with_tools,
        "leave": leave,
        "embed": embed,
    },
)
