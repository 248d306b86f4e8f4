"""Prints the matrix when all is done."""

import matrix


def pytest_terminal_summary(terminalreporter) -> None:
    for line in matrix.lines():
        terminalreporter.write_line(line)
