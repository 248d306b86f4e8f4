"""Ollama's own command as its users use it, with another host.

usage: use_ollama_command.py BASE_URL OLLAMA
"""

import re
import subprocess
import sys

import commands
import jobs
from jobs import Seen

url, program = sys.argv[1:]
ENVIRONMENT = {"OLLAMA_HOST": url}


def run(job: dict, seen: Seen, leave: bool = False) -> None:
    commands.run([program, "run", job["model"], job["prompt"]], ENVIRONMENT, seen, leave)


def leave(job: dict, seen: Seen) -> None:
    run(job, seen, leave=True)


def models(job: dict, seen: Seen) -> None:
    for arguments in (["list"], ["ps"], ["show", job["model"]]):
        told = Seen(0)
        commands.run([program, *arguments], ENVIRONMENT, told)
        if arguments == ["list"]:
            assert job["model"] in "".join(told.pieces), told.pieces
        elif arguments[0] == "show":
            assert "completion" in "".join(told.pieces), told.pieces
    seen.piece(job["model"])


def version() -> str:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return re.findall(r"\d+\.\d+\.\d+", told.stdout + told.stderr)[-1]


jobs.serve(version(), {"command": run, "leave": leave, "models": models})
