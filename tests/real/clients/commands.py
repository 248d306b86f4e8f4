"""A command that answers on its standard output: as it comes, or left in the middle."""

import codecs
import os
import subprocess
import tempfile

from jobs import Seen


class CommandError(Exception):
    """It ended with another code than 0; these are its words."""


def run(command: list[str], environment: dict[str, str], seen: Seen, leave: bool = False) -> None:
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        with child:
            decoder = codecs.getincrementaldecoder("utf-8")()
            while piece := os.read(child.stdout.fileno(), 65536):
                seen.piece(decoder.decode(piece))
                if leave and seen.pieces:
                    child.terminate()
                    child.wait()
                    return
        # They end their output with ends of lines of their own.
        while seen.pieces and not seen.pieces[-1].strip("\n"):
            seen.pieces.pop()
        if seen.pieces:
            seen.pieces[-1] = seen.pieces[-1].rstrip("\n")
        if child.returncode:
            errors.seek(0)
            raise CommandError(errors.read().decode())
