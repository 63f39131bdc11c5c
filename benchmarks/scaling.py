"""Memory and time of a harvest and a fit against the number of tokens: `python -m benchmarks.scaling`.

Needs results/models/smollm2 and results/text/news (any finished run). Every size is a process of its own, whose CPU
seconds and peak resident memory are what the kernel says. Writes docs/scaling.png and benchmarks/scaling.json.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.process import measured
from unweave.config import PROJECT
from unweave.files import write_json

UNWEAVE = (sys.executable, "-m", "unweave")
SIZES = (50_000, 100_000, 200_000, 400_000, 800_000)
LAYER = 2
CORPUS = {"dataset": "news", "split": "all", "context": 1024}
HARVEST = {"sites": ["resid"], "layers": [LAYER], "layers_at": {}, "batch_tokens": 4096}
# A tenth of a gigabyte, so that the smallest size is about the last that is kept in memory as a whole.
FIT = {"gate": {"kind": "topk", "k": 32}, "expansion": 4, "batch_size": 1024, "memory_gb": 0.1}


def stages(tokens: int, folder: Path) -> dict[str, dict[str, float]]:
    """Harvest so many tokens, and fit an autoencoder that sees each of them once."""
    file = folder / f"{tokens}.h5"
    harvest = {"corpus": {**CORPUS, "tokens": tokens}, "settings": HARVEST, "description": {}}
    fit = {"entry": {"method": "sae", "title": "SAE", "settings": {**FIT, "tokens": tokens}}}
    fit["description"] = {"layer": LAYER}
    inputs = ["--model", "results/models/smollm2/manifest.json", "--text", "results/text/news/manifest.json"]
    place = ["--activations", str(file), "--layer", str(LAYER), "--seed", "0"]
    outputs = {"harvest": f"resid={file}", "fit": str(folder / "sae/manifest.json")}
    found = {
        stage: measured([*UNWEAVE, stage, "--spec", json.dumps(spec), *options, "--output", outputs[stage]])
        for stage, spec, options in (("harvest", harvest, inputs), ("fit", fit, place))
    }
    file.unlink()
    return found


def slope(tokens: list[int], seconds: list[float]) -> float:
    """Slope of log seconds against log tokens, from the second size on: the first is mostly start-up."""
    return float(np.polyfit(np.log(tokens[1:]), np.log(seconds[1:]), 1)[0])


def draw(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw memory and time against tokens, one line for each stage."""
    from unweave.plots.style import house, plain_numbers

    with house():
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
        for stage, points in results.items():
            tokens = [point["tokens"] for point in points]
            axes[0].plot(tokens, [point["peak_bytes"] / 1e9 for point in points], marker="o", label=stage)
            axes[1].plot(tokens, [point["cpu_seconds"] for point in points], marker="o", label=stage)
        for axis, label in zip(axes, ("peak memory (GB)", "CPU time (s)"), strict=True):
            axis.set(xscale="log", xlabel="tokens (thousands)", ylabel=label)
            axis.set_xticks(SIZES, [f"{size // 1000}" for size in SIZES])
            axis.minorticks_off()
        axes[0].set_ylim(bottom=0)
        axes[1].set_yscale("log")
        axes[1].set_yticks([10, 30, 100, 300])
        plain_numbers(axes[1].yaxis)
        axes[0].legend()
        figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, keep and draw."""
    results: dict[str, list[dict[str, float]]] = {"harvest": [], "fit": []}
    with tempfile.TemporaryDirectory() as folder:
        for tokens in SIZES:
            for stage, point in stages(tokens, Path(folder)).items():
                results[stage].append({"tokens": tokens, **point})
                print(stage, tokens, point, flush=True)
    slopes = {
        stage: slope([int(p["tokens"]) for p in points], [p["cpu_seconds"] for p in points])
        for stage, points in results.items()
    }
    print(slopes)
    write_json(PROJECT / "benchmarks/scaling.json", {"stages": results, "slopes": slopes})
    draw(results, PROJECT / "docs/scaling.png")


if __name__ == "__main__":
    main()
