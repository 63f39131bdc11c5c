"""Run every check against planted answers, print a table and write benchmarks/truth/truth.json.

    python -m benchmarks.truth            # all
    python -m benchmarks.truth bae sasa   # these, keeping what truth.json holds of the others

The status is 1 if a check fails.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

MODULES = ("ica", "bae", "snmf", "sasa", "sae")
RESULTS = Path(__file__).with_name("truth.json")


def bounds(check: dict[str, Any]) -> str:
    """Text of the interval that passes; a null or an arm that only stands beside has none."""
    low, high = check["lowest"], check["highest"]
    if low is None and high is None:
        return "stated only"
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f">= {low:g}" if low is not None else f"<= {high:g}"


def main() -> None:
    """Check, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[[], *MODULES], help="default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in arguments.modules or MODULES:
        kept[name] = [check.record() for check in importlib.import_module(f"benchmarks.truth.{name}").checks()]
        RESULTS.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shown = Table("method", "planted and measured", "value", "passes", "passed", "seeds")
    for name in MODULES:
        for check in kept.get(name, []):
            judged = check["lowest"] is not None or check["highest"] is not None
            passed = "" if not judged else "yes" if check["passed"] else "NO"
            shown.add_row(name, check["name"], f"{check['value']:.4g}", bounds(check), passed, str(check["seeds"]))
    Console(width=180).print(shown)
    sys.exit(not all(check["passed"] for checks in kept.values() for check in checks))


if __name__ == "__main__":
    main()
