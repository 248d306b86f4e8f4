"""The table of what each SDK made of each fault, printed when all is done."""

import report


def pytest_terminal_summary(terminalreporter) -> None:
    for line in report.lines():
        terminalreporter.write_line(line)
