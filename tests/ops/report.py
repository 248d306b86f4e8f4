"""One line per check, and how many passed."""

from collections.abc import Callable, Iterable
from typing import Any


class Report:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, problems: Iterable[object], note: str = "") -> bool:
        """Passes if there are no problems; what finding them raises is one."""
        try:
            problems = [str(problem) for problem in problems]
        except Exception as error:  # noqa: BLE001: whatever it is, it is this check's failure
            problems = [f"{type(error).__name__}: {error}"]
        if problems:
            self.failed += 1
            print(f"FAIL  {name}", flush=True)
            for problem in problems:
                print(f"        {problem}", flush=True)
        else:
            self.passed += 1
            print(f"ok    {name}" + (f" ({note})" if note else ""), flush=True)
        return not problems

    def attempt(self, name: str, action: Callable[[], Any]) -> Any:
        """Passes if the action raises nothing; gives what it returned, None if it raised."""
        try:
            result = action()
        except Exception as error:  # noqa: BLE001: whatever it is, it is this check's failure
            self.check(name, [f"{type(error).__name__}: {error}"])
            return None
        self.check(name, [])
        return result

    def close(self) -> int:
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.passed and not self.failed else 1
