"""Tests that start at once: each run is a fork of a process that has imported what they need from outside the package.

    python warm.py serve SOCKET SECONDS TEST...   answers every connection with one run, cut off after so much CPU time
    python warm.py ask SOCKET                     has status 0 if all passed, 1 if not, 3 if nothing serves

The second is called once for every mutant, so nothing heavy is imported before it is needed.
"""

import os
import resource
import socket
import sys
from pathlib import Path

HEAVY = [
    "hypothesis.extra.numpy",
    "pandas",
    "pyarrow.parquet",
    "pytest",
    "scipy.stats",
    "sklearn.linear_model",
    "torch",
    "transformers.models.llama.modeling_llama",
]


def in_a_fork(tests: list[str], seconds: int) -> bool:
    """Run tests in a fork of this process, with so many seconds of a processor, and tell whether all passed."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))
    return os.waitpid(child, 0)[1] == 0


def serve(path: Path, tests: list[str], seconds: int) -> None:
    """Answer every connection to the socket at `path` with one run of the tests, until this process is ended."""
    # Two mutants of one second and one size would look alike to a cache of byte code.
    sys.dont_write_bytecode = True
    for name in HEAVY:
        __import__(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        while True:
            asked, _ = listening.accept()
            with asked:
                asked.sendall(b"0" if in_a_fork(tests, seconds) else b"1")


def ask(path: Path) -> int:
    """Status of one run of the tests, or that nothing serves."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        return int(asking.recv(1) or b"3")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", path, seconds, *tests]:
            serve(Path(path), tests, int(seconds))
        case ["ask", path]:
            sys.exit(ask(Path(path)))
