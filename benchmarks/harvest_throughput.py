"""How fast the harvest is, against the bare forward pass and against a plain transformers loop.

    python benchmarks/harvest_throughput.py --model results/models/smollm2 --text results/text/news --layers 2,10,20

Every round reads the same documents in the same batches and dtype in four ways, in rotating order, in one process:

- harvest: the harvest's own path: tokenise, read, copy out, cast and write one part to disk
- bare: a forward pass that ends after the deepest layer and keeps nothing
- all hidden states: a forward pass of the whole model with `output_hidden_states=True`, without logits
- plain loop: the same with logits, which is what calling the loaded model does

Ratios are medians over rounds of one way's time by another's in the same round, once in wall time and once in CPU time;
only the latter means anything on a busy machine, and only with `--threads 1`, because waiting threads spin. Making the
activation file from the parts is timed at the end.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from unweave.activations import harvest
from unweave.activations.documents import Document, length_bucketed, select_rows
from unweave.activations.parts import PartFolder
from unweave.activations.writer import write_store
from unweave.config import CorpusSettings, HarvestSettings
from unweave.datasets.stored import load_dataset
from unweave.models.hook_points import HookPoint, blocks_of, width
from unweave.models.language_model import load_language_model, preferred_dtype

WAYS = ("harvest", "bare", "all hidden states", "plain loop")


@contextmanager
def truncated(model: PreTrainedModel, layer: int) -> Iterator[None]:
    """Leave only blocks 0 to `layer` in the model."""
    blocks = blocks_of(model)
    upper = list(blocks[layer + 1 :])
    del blocks[layer + 1 :]
    try:
        yield
    finally:
        blocks.extend(upper)


def batches_of(documents: Sequence[Document], batch_tokens: int, device: torch.device) -> list[Tensor]:
    """Token ids (B, T) in the harvest's batches."""
    return [
        pad_sequence([torch.tensor(documents[index].ids) for index in batch], batch_first=True).to(device)
        for batch in length_bucketed([len(document.ids) for document in documents], batch_tokens)
    ]


class Seconds(NamedTuple):
    """Duration of one call."""

    wall: float
    cpu: float


def seconds(run: Callable[[], object], device: torch.device) -> Seconds:
    """Time one call."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


class Round(NamedTuple):
    """Tokens of one round and how long each way took."""

    tokens: int
    ways: dict[str, Seconds]


def measure(job: harvest.Job, parts: PartFolder, rounds: int) -> list[Round]:
    """Time each way in each round; a first round warms up and is left out."""
    model, device = job.model, job.model.device

    def forward(module: torch.nn.Module, **options: Any) -> None:
        for tokens_BT in batches:
            module(input_ids=tokens_BT, use_cache=False, **options)

    def bare() -> None:
        with truncated(model, max(job.layers)):
            forward(model.base_model)

    ways: dict[str, Callable[[], object]] = {
        "harvest": lambda: harvest.add_part(job, parts, lambda _: None),
        "bare": bare,
        "all hidden states": lambda: forward(model.base_model, output_hidden_states=True),
        "plain loop": lambda: forward(model, output_hidden_states=True),
    }
    results = []
    for index in range(rounds + 1):
        start = parts.reached.next_document
        documents = harvest.documents_for(job, start, harvest.PART_ROWS)
        if not documents:
            break
        batches = batches_of(documents, job.settings.batch_tokens, device)
        turn = index % len(WAYS)
        with torch.inference_mode():
            taken = {way: seconds(ways[way], device) for way in (*WAYS[turn:], *WAYS[:turn])}
        if index:
            results.append(Round(sum(len(document.ids) for document in documents), taken))
    return results


def report(job: harvest.Job, parts: PartFolder, results: list[Round], writing: Seconds) -> dict[str, Any]:
    """Rates in tokens/s and the ratios that the goals are about."""

    def rates(clock: str) -> dict[str, float]:
        return {
            way: round(statistics.median(each.tokens / getattr(each.ways[way], clock) for each in results), 1)
            for way in WAYS
        }

    def harvest_by(clock: str) -> dict[str, float]:
        times = [{way: getattr(taken, clock) for way, taken in each.ways.items()} for each in results]
        return {way: round(statistics.median(each[way] / each["harvest"] for each in times), 3) for way in WAYS[1:]}

    reading = statistics.median(each.ways["harvest"].cpu / each.tokens for each in results) * parts.reached.rows
    return {
        "model": job.language_model.name,
        "layers": job.layers,
        "blocks": len(blocks_of(job.model)),
        "sites": list(job.settings.sites),
        "dtype": str(job.model.dtype).removeprefix("torch."),
        "batch_tokens": job.settings.batch_tokens,
        "context": job.corpus.context,
        "threads": torch.get_num_threads(),
        "device": job.model.device.type,
        "rounds": len(results),
        "tokens": sum(each.tokens for each in results),
        "tokens_per_second": {clock: rates(clock) for clock in Seconds._fields},
        "harvest_by": {clock: harvest_by(clock) for clock in Seconds._fields},
        "writing_by_reading_cpu": round(writing.cpu / reading, 4),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "versions": {package: version(package) for package in ("torch", "transformers", "h5py")},
    }


def print_table(figures: dict[str, Any]) -> None:
    """Print what `report` found."""
    print(f"{'':>18} | tokens/s (wall, CPU) | harvest is faster by (wall, CPU)")
    for way in WAYS:
        rates = "   ".join(f"{figures['tokens_per_second'][clock][way]:8.0f}" for clock in Seconds._fields)
        ratios = "   ".join(f"{figures['harvest_by'][clock].get(way, 1):6.2f}" for clock in Seconds._fields)
        print(f"{way:>18} | {rates} | {ratios}")
    print(
        f"making the file from the parts adds {100 * figures['writing_by_reading_cpu']:.1f} % CPU time to the harvest"
    )


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a prepared model")
    parser.add_argument("--text", type=Path, required=True, help="folder of a prepared data set")
    parser.add_argument("--layers", default="20", help="comma-separated")
    parser.add_argument("--sites", default="resid", help="comma-separated")
    parser.add_argument("--dtype", default="auto", choices=["auto", "bfloat16", "float32"])
    parser.add_argument("--rows", type=int, default=4096, help="tokens of one round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--threads", type=int, help="of torch; default: all cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    layers = [int(layer) for layer in arguments.layers.split(",")]
    settings = HarvestSettings.model_validate(
        {
            "sites": arguments.sites.split(","),
            "layers": layers,
            "compute_dtype": arguments.dtype,
            "batch_tokens": arguments.batch_tokens,
        }
    )
    corpus = CorpusSettings(dataset=arguments.text.name, split="all", context=arguments.context)
    dataset = load_dataset(arguments.text)
    model = load_language_model(arguments.model, preferred_dtype(settings.compute_dtype, device), device)
    job = harvest.Job(model, dataset, select_rows(dataset, corpus), corpus, settings)
    harvest.PART_ROWS = arguments.rows
    with tempfile.TemporaryDirectory() as folder:
        parts = PartFolder(Path(folder) / "parts", {})
        results = measure(job, parts, arguments.rounds)
        writing = seconds(lambda: write(job, parts, Path(folder)), device)
        figures = report(job, parts, results, writing)
    print_table(figures)
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def write(job: harvest.Job, parts: PartFolder, folder: Path) -> None:
    """Make the activation file of each site."""
    dtype = getattr(torch, job.settings.store_dtype)
    for site in job.settings.sites:
        rows = {layer: parts.rows(HookPoint(site, layer)) for layer in job.layers}
        write_store(folder / f"{site}.h5", {}, parts.tokens(), width(job.model, site), dtype, rows)


if __name__ == "__main__":
    main()
