"""Mutation tests of the numeric modules: each small change of the code must make a test of that module fail.

`make mutants` lets cosmic-ray change one operator, number or comparison at a time in a clone of the last commit, and
runs the tests that TESTS names. Survivors are listed in tests/mutation/results.json; those that change nothing that a
test could see are explained in tests/mutation/explained.yaml. A run that was cut off goes on where it stopped.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
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
    "evaluations/pooling.py": "tests/evaluations/test_sparse_probing.py",
    "evaluations/code_entropy.py": "tests/evaluations/test_code_entropy.py",
    "evaluations/nongaussianity.py": "tests/evaluations/test_nongaussianity.py",
    "evaluations/concept_detection.py": "tests/evaluations/test_concept_detection.py",
    "evaluations/synthetic/recovery.py": "tests/evaluations/test_synthetic.py",
    "evaluations/setting_sweep.py": "tests/evaluations/test_setting_sweep.py",
}
"""Module below src/unweave, and the tests that must notice a change of it."""
FOLDER = PROJECT / "results/mutation"
CLONE = FOLDER / "clone"
SECONDS = 120
CONFIG = """
[cosmic-ray]
module-path = "src/unweave/{module}"
timeout = {seconds}
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def cosmic_ray(*arguments: object) -> str:
    """Call cosmic-ray in the clone."""
    command = [str(PROJECT / ".venv-mutants/bin/cosmic-ray"), *map(str, arguments)]
    return subprocess.run(command, cwd=CLONE, check=True, stdout=subprocess.PIPE, text=True).stdout


def mutated(module: str) -> list[list[dict[str, Any]]]:
    """Mutants of one module with what became of them, those tested before included."""
    name = module.removesuffix(".py").replace("/", ".")
    config, session = FOLDER / f"{name}.toml", FOLDER / f"{name}.sqlite"
    if not session.exists():
        config.write_text(
            CONFIG.format(module=module, seconds=SECONDS, python=sys.executable, tests=TESTS[module]), encoding="utf-8"
        )
        cosmic_ray("baseline", config)
        cosmic_ray("init", config, session)
    cosmic_ray("exec", config, session)
    return [json.loads(line) for line in cosmic_ray("dump", session).splitlines()]


def survivor(item: dict[str, Any], result: dict[str, Any], explained: dict[str, str]) -> dict[str, str]:
    """What was changed and went unnoticed, with the reason if there is one."""
    lines = [line for line in str(result["diff"]).splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    change = "\n".join(lines)
    found = {"operator": str(item["mutations"][0]["operator_name"]).removeprefix("core/"), "change": change}
    reason = explained.get(change)
    return found | ({"reason": reason} if reason else {})


def main() -> None:
    """Mutate, test, count and keep."""
    if not CLONE.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(CLONE)], check=True)
    explained = yaml.safe_load((Path(__file__).parent / "explained.yaml").read_text(encoding="utf-8")) or {}
    modules: dict[str, Any] = {}
    for module in TESTS:
        pairs = mutated(module)
        outcomes = Counter(str(result["test_outcome"]) for _, result in pairs)
        alive = [survivor(item, result, explained) for item, result in pairs if result["test_outcome"] == "survived"]
        modules[module] = {"mutants": len(pairs), "outcomes": dict(outcomes), "survivors": alive}
        print(module, dict(outcomes), flush=True)
        write_json(PROJECT / "tests/mutation/results.json", modules)


if __name__ == "__main__":
    main()
