"""A program that does jobs: one a line on its stdin, what came of each a line on its stdout."""

import json
import pathlib
import subprocess
import threading

from processes import PATIENCE, clean_environment, wait_until

# A client that asks again pauses for some seconds in between.
LONGEST = 60.0


class Child:
    """A running program that does many jobs at a time."""

    def __init__(self, name: str, command: list[str], log: pathlib.Path):
        self.name = name
        self._seen: dict[int, dict] = {}
        self._jobs = 0
        self._log = log
        with log.open("wb") as errors:
            self._child = subprocess.Popen(
                command,
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        # Whatever it still does is of no interest.
        self._child.kill()
        self._child.wait(PATIENCE)
        self._child.stdin.close()
        self._listener.join()
        self._child.stdout.close()

    def _listen(self) -> None:
        for line in self._child.stdout:
            seen = json.loads(line)
            self._seen[seen["job"]] = seen

    @property
    def version(self) -> str:
        """Of the library that it uses; told first of all, as job 0."""
        return self.result(0)["version"]

    def ask(self, body: dict) -> int:
        """Begins a job; gives its number."""
        self._jobs += 1
        self._child.stdin.write(json.dumps({"job": self._jobs, "body": body}) + "\n")
        self._child.stdin.flush()
        return self._jobs

    def result(self, job: int) -> dict:
        """What the program made of a job."""

        def there() -> bool:
            assert self._child.poll() is None, f"{self.name} ended:\n{self._log.read_text()}"
            return job in self._seen

        wait_until(f"{self.name} to be done", there, LONGEST)
        return self._seen[job]
