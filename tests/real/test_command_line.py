"""What an operator meets: faults of a configuration, `check`, `health`, the model in the box."""

import pathlib
import subprocess
from collections.abc import Callable

import answers
from processes import TIDEGATE, Gateway, clean_environment, free_port
from prompts import native

# Nobody listens on the discard port.
NO_OLLAMA = {"OLLAMA_BASE_URL": "http://127.0.0.1:9"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TIDEGATE, *arguments],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_every_fault_is_listed(tmp_path: pathlib.Path):
    file = tmp_path / "faulty.toml"
    file.write_text('[server]\nworkers = -1\nprot = 80\n\n[log]\nlevel = "loud"\n')
    for command in ([], ["serve"], ["check"]):
        done = run(*command, "--config", str(file), PORT="99999", AUTH_KEY="short")
        assert done.returncode == 2 and done.stdout == ""
        said = done.stderr
        for key, where in [
            ("server.workers", f"{file}:2"),
            ("server.prot", f"{file}:3"),
            ("log.level", f"{file}:6"),
            ("server.port", "PORT"),
            ("auth.key", "AUTH_KEY"),
        ]:
            (line,) = [line for line in said.splitlines() if line.startswith(key)]
            assert f"({where})" in line, said
        assert "99999" in said and "did you mean `port`" in said
        assert "short" not in said.replace("shorter", ""), "a secret is not told"


def test_bad_usage():
    assert run("--no-such-option").returncode == 2
    assert run("no-such-command").returncode == 2
    assert run("--config", "no/such/file.toml").returncode == 2


def test_check_shows_what_is_in_effect():
    secret = "0123456789abcdef0123456789abcdef"
    done = run("check", PORT="4321", AUTH_KEY=secret, OPENAI_MODEL="m", OPENAI_API_KEY=secret)
    assert done.returncode == 0, done.stderr
    shown = dict(line.split(" = ", 1) for line in done.stdout.splitlines() if " = " in line)
    assert shown["server.port"].split() == ["4321", "#", "PORT"]
    assert shown["models[0].name"].split() == ['"m"', "#", "OPENAI_MODEL"]
    assert secret not in done.stdout + done.stderr


def test_health(start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(**NO_OLLAMA)
    assert run("health", PORT=str(gateway.port)).returncode == 0
    assert run("health", "--url", f"{gateway.url}/health").returncode == 0
    dead = run("health", PORT=str(free_port()))
    assert dead.returncode == 1 and dead.stderr


def test_a_taken_port_is_told(start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(**NO_OLLAMA)
    done = run(PORT=str(gateway.port), **NO_OLLAMA)
    assert done.returncode == 1 and str(gateway.port) in done.stderr


def test_without_any_model_the_builtin_one_serves(start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(**NO_OLLAMA)
    (model,) = gateway.get("/api/models").json()["models"]
    assert (model["name"], model["provider"]) == ("builtin", "builtin")
    assert "not an LLM" in model["note"] and "BUILTIN" in gateway.log()
    answer = answers.of_native_reply(gateway.post("/api/chat", native("Hello")), "builtin")
    assert "builtin" in answer.text.lower(), "it says what it is"
    assert answer.completion_tokens == len(answer.pieces)
    whole = gateway.post("/api/chat", native("Hello", stream=False))
    assert answers.of_native_whole(whole, "builtin").text == answer.text
    gateway.wait_until_ready()


def test_a_configured_model_is_never_replaced(start_gateway: Callable[..., Gateway]):
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    gateway = start_gateway(OPENAI_MODEL="gone", OPENAI_BASE_URL=nowhere)
    assert [model["name"] for model in gateway.get("/api/models").json()["models"]] == ["gone"]
    assert gateway.post("/api/chat", native()).status == 502
