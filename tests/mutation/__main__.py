"""Mutation tests of the numeric modules: each small change of the code must make a test of that module fail.

`make mutants` lets cosmic-ray change one operator, number or comparison at a time in clones of the last commit, one for
each core, and runs the tests that TESTS names. Changes that end in an error of types wherever they stand (a shift of
floats, `is` between numbers) are left out. Survivors are listed in tests/mutation/results.json; those that change
nothing that a test could see are explained in tests/mutation/explained.yaml: by module and reason, the change itself or
a line of which every change is like that. A run that was cut off goes on where it stopped, and a second run tests the
survivors without a reason again.
"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import yaml

from unweave.config import PROJECT
from unweave.files import write_json

TESTS = {
    "methods/ica/contrasts.py": "tests/methods/ica/test_contrasts.py",
    "methods/ica/convergence.py": "tests/methods/ica/test_convergence.py tests/methods/ica/test_fixed_point.py",
    "methods/ica/fixed_point.py": "tests/methods/ica/test_fixed_point.py",
    "methods/bae/penalties.py": "tests/methods/bae/test_penalties.py tests/methods/bae/test_entropy.py",
    "methods/snmf/features.py": "tests/methods/snmf/test_features.py",
    "methods/snmf/nonnegative_least_squares.py": "tests/methods/snmf/test_nonnegative_least_squares.py",
    "methods/sasa/nuclear.py": "tests/methods/sasa/test_nuclear.py",
    "methods/sasa/ranks.py": "tests/methods/sasa/test_ranks.py",
    "methods/sae/gates.py": "tests/methods/sae/test_gates.py",
    "methods/coefficients.py": "tests/methods/test_coefficients.py",
    "evaluations/intervals.py": "tests/evaluations/test_intervals.py",
    "evaluations/pooling.py": "tests/evaluations/test_pooling.py tests/evaluations/test_sparse_probing.py",
    "evaluations/code_entropy.py": "tests/evaluations/test_code_entropy.py",
    "evaluations/nongaussianity.py": "tests/evaluations/test_nongaussianity.py",
    "evaluations/concept_detection.py": "tests/evaluations/test_concept_detection.py",
    "evaluations/synthetic/recovery.py": "tests/evaluations/test_synthetic.py",
    "evaluations/setting_sweep.py": "tests/evaluations/test_setting_sweep.py",
}
"""Module below src/unweave, and the tests that must notice a change of it."""
FOLDER = PROJECT / "results/mutation"
WARM = Path(__file__).with_name("warm.py")
SECONDS = 30
"""Processor time that the tests of one mutant may take: an endless loop counts as noticed."""
PATIENCE = 10 * 3600
ANY = "any module"
"""Where explained.yaml says what holds of all."""
CONFIG = """
[cosmic-ray]
module-path = "src/unweave/{module}"
timeout = {patience}
excluded-modules = []
test-command = "{python} -I -S {warm} ask {socket}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = [
  "core/ReplaceBinaryOperator_\\\\w+_(RShift|LShift|FloorDiv|Mod|Pow)",
  "core/ReplaceBinaryOperator_(?!Bit)\\\\w+_Bit\\\\w+",
  "core/ReplaceBinaryOperator_Bit\\\\w+_(?!Bit)\\\\w+",
  "core/ReplaceComparisonOperator_\\\\w+_(Is|IsNot)",
  "core/ReplaceUnaryOperator_USub_(Invert|Not)",
]
"""


def run(clone: Path, program: str, *arguments: object) -> str:
    """Call a program of cosmic-ray in a clone."""
    command = [str(PROJECT / ".venv-mutants/bin" / program), *map(str, arguments)]
    return subprocess.run(command, cwd=clone, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def serving(clone: Path, socket: Path, tests: str) -> Iterator[None]:
    """Process that runs the tests of a clone for whoever asks at the socket; it must outlive all who ask."""
    command = [sys.executable, str(WARM), "serve", str(socket), str(SECONDS), *tests.split()]
    environment = {**os.environ, "PYTHONPATH": f"{clone / 'src'}:{clone}", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, cwd=clone, env=environment)
    try:
        while not socket.exists() and server.poll() is None:
            time.sleep(0.1)
        yield
        if server.poll() is not None:
            raise SystemExit(f"error: the process that runs the tests ended with status {server.returncode}")
    finally:
        server.terminate()
        server.wait()


def mutated(module: str, clone: Path, reasons: dict[str, str]) -> list[list[dict[str, Any]]]:
    """Mutants of one module with what became of them. Only unexplained survivors are tested twice."""
    name = module.removesuffix(".py").replace("/", ".")
    version = hashlib.sha256((clone / "src/unweave" / module).read_bytes()).hexdigest()[:8]
    config, session = FOLDER / f"{name}.toml", FOLDER / f"{name}.{version}.sqlite"
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "socket"
        facts = {"module": module, "patience": PATIENCE, "python": sys.executable, "warm": WARM, "socket": socket}
        config.write_text(CONFIG.format(**facts), encoding="utf-8")
        with serving(clone, socket, TESTS[module]):
            if not session.exists():
                run(clone, "cosmic-ray", "baseline", config)
                begun = session.with_suffix(".begun")
                begun.unlink(missing_ok=True)
                run(clone, "cosmic-ray", "init", config, begun)
                run(clone, "cr-filter-operators", begun, config)
                begun.rename(session)
            with closing(sqlite3.connect(session)) as database, database:
                alive = database.execute("SELECT job_id, diff FROM work_results WHERE test_outcome = 'SURVIVED'")
                open_ = [(job,) for job, diff in alive.fetchall() if reason_for(diff, reasons) is None]
                database.executemany("DELETE FROM work_results WHERE job_id = ?", open_)
            run(clone, "cosmic-ray", "exec", config, session)
    return [json.loads(line) for line in run(clone, "cosmic-ray", "dump", session).splitlines()]


def change_of(diff: str) -> str:
    """Lines that a mutant takes out and puts in."""
    return "\n".join(line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def reason_for(diff: str, reasons: dict[str, str]) -> str | None:
    """Why no test can notice a mutant, if that is explained for the change or for its line."""
    change = change_of(diff)
    line = "\n".join(line[1:].strip() for line in change.splitlines() if line.startswith("-")).strip()
    return reasons.get(change) or reasons.get(line)


def survivor(item: dict[str, Any], result: dict[str, Any], reasons: dict[str, str]) -> dict[str, str]:
    """What was changed and went unnoticed, with the reason if there is one."""
    operator = str(item["mutations"][0]["operator_name"]).removeprefix("core/")
    reason = reason_for(str(result["diff"]), reasons)
    found = {"operator": operator, "change": change_of(str(result["diff"]))}
    return found | ({"reason": reason} if reason else {})


def judged(pairs: list[list[dict[str, Any]]], reasons: dict[str, str]) -> dict[str, Any]:
    """Counts of what became of a module's mutants, and those that no test noticed."""
    tested = [(item, result) for item, result in pairs if result["worker_outcome"] != "skipped"]
    outcomes = Counter(str(result["test_outcome"]) for _, result in tested)
    alive = [survivor(item, result, reasons) for item, result in tested if result["test_outcome"] == "survived"]
    return {"mutants": len(tested), "outcomes": dict(outcomes), "survivors": alive}


def main() -> None:
    """Mutate, test, count and keep."""
    asked = sys.argv[1:] or [*TESTS]
    FOLDER.mkdir(parents=True, exist_ok=True)
    clones: SimpleQueue[Path] = SimpleQueue()
    for number in range(os.cpu_count() or 1):
        clone = FOLDER / f"clone{number}"
        if not clone.exists():
            subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
        run_git = ["git", "-C", str(clone)]
        subprocess.run([*run_git, "fetch", "--quiet", str(PROJECT), "HEAD"], check=True)
        subprocess.run([*run_git, "reset", "--quiet", "--hard", "FETCH_HEAD"], check=True)
        clones.put(clone)
    explained = yaml.safe_load(Path(__file__).with_name("explained.yaml").read_text(encoding="utf-8"))
    reasons = {
        module: {text: reason for reason, texts in found.items() for text in texts}
        for module, found in explained.items()
    }
    kept = PROJECT / "tests/mutation/results.json"

    def tested(module: str) -> dict[str, Any]:
        clone = clones.get()
        try:
            known = reasons[ANY] | reasons.get(module, {})
            return judged(mutated(module, clone, known), known)
        finally:
            clones.put(clone)

    modules = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    with ThreadPoolExecutor(clones.qsize()) as workers:
        for module, found in zip(asked, workers.map(tested, asked), strict=True):
            modules[module] = found
            print(module, found["outcomes"], flush=True)
            write_json(kept, modules)


if __name__ == "__main__":
    main()
