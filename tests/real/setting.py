"""Gateways whose models are the cases of a catalogue, before one scripted upstream."""

import pathlib
from collections.abc import Iterable, Mapping

from processes import Gateway
from scripted import Upstream


# Neither a frame nor an answer in one piece may be as large as what is sent in some checks.
LARGEST = 64 * 1024
# Time between two signs of life: in the first setting none is ever due, so a failure that comes
# before the first token has a status; in the second one comes before everything that takes time.
HEARTBEATS = {"quiet": 60.0, "chatty": 0.05}


def model(
    name: str, provider: str, base_url: str, more: Mapping[str, object] = {}
) -> str:
    """A section of the configuration."""
    url = base_url + ("" if provider == "ollama" else "/v1")
    keys = {"name": f'"{name}"', "provider": f'"{provider}"', "base_url": f'"{url}"'}
    keys |= {"max_concurrency": 1000, "max_line_bytes": LARGEST, **more}
    return "[[models]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def start(folder: pathlib.Path, heartbeat: float, models: Iterable[str], **server: float) -> Gateway:
    keys = {"heartbeat_seconds": heartbeat, "max_answer_bytes": LARGEST, **server}
    config = "[server]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
    # Every model would be probed, and an upstream that hangs is not ready: nobody cares here.
    config += "[health]\ninterval_seconds = 3600\n"
    return Gateway(folder, config + "".join(models), LOG_LEVEL="warn")


def body(name: str, prompt: str, mode: str) -> dict:
    """A request that both dialects understand."""
    messages = [{"role": "user", "content": prompt}]
    return {"model": name, "messages": messages, "stream": mode == "stream"}
