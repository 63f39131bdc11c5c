"""What the graph itself costs: dry runs of many jobs, and the start of one job: `python -m benchmarks.graph`.

Writes benchmarks/graph.json. CPU seconds and peak memory are what the kernel says of each process.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.process import measured
from unweave.config import PROJECT
from unweave.files import write_json

SEEDS = {"1,000 jobs": 50, "10,000 jobs": 500}
METHODS, LAYERS = ["pca", "random"], [0, 1, 2, 3, 4]
STARTS = {
    "python": "pass",
    "unweave --help": "import unweave.cli",
    "fit": "import unweave.methods.fit, unweave.methods.ica",
    "evaluation without probes": "import unweave.evaluations.run, unweave.evaluations.reconstruction",
    "evaluation with probes": "import unweave.evaluations.run, unweave.evaluations.sparse_probing",
    "evaluation of the model": "import unweave.evaluations.run, unweave.evaluations.core",
    "figure": "import unweave.notebook, unweave.plots.comparison",
}


def configuration(seeds: int) -> dict[str, object]:
    """Describe a run of 20 jobs for each seed: ten fits and their scores."""
    corpus = {"dataset": "news", "split": "train", "tokens": 1000}
    return {
        "registry": "config",
        "corpora": {"news": corpus},
        "harvest": {"smollm2": {"sites": ["resid"], "layers": LAYERS}},
        "dictionaries": [
            {
                "model": "smollm2",
                "corpus": "news",
                "site": "resid",
                "layers": LAYERS,
                "methods": METHODS,
                "seeds": list(range(seeds)),
            }
        ],
        "evaluations": [{"evaluation": "reconstruction", "corpora": ["news"]}],
    }


def main() -> None:
    """Measure and keep."""
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, seeds in SEEDS.items():
            (folder / "many.json").write_text(json.dumps(configuration(seeds)))
            command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--dry-run"]
            profile = ["--quiet", "all", "--workflow-profile", str(PROJECT / "workflow/profiles/default")]
            results[f"dry run, {title}"] = measured([*command, *profile, "--configfile", "many.json"], folder)
        for title, code in STARTS.items():
            results[f"start, {title}"] = measured([sys.executable, "-c", code], folder)
    for title, values in results.items():
        print(f"{title:40} {values['cpu_seconds']:6.2f} s {values['peak_bytes'] / 1e6:7.0f} MB")
    write_json(PROJECT / "benchmarks/graph.json", results)


if __name__ == "__main__":
    main()
