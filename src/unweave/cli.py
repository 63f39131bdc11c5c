"""Look at results, plan runs, and run single stages of the workflow.

The stages are the only door from the workflow's rules to the code. Each stage checks its spec, imports what it needs,
does its work and records provenance. A mistake that the user can mend ends in one line on standard error and exit
status 2, anything else in one line and exit status 1; `--verbose` or the environment variable UNWEAVE_VERBOSE adds the
traceback.
"""

import errno
import json
import logging
import os
import re
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unweave.commands.compare import compare
from unweave.commands.doctor import doctor
from unweave.commands.features import features
from unweave.commands.plan import calibrate, plan
from unweave.commands.show import show
from unweave.commands.steer import steer
from unweave.commands.verify import verify
from unweave.config import (
    CorpusSettings,
    DatasetEntry,
    EvaluationEntry,
    ExplorerLimits,
    HarvestSettings,
    MethodEntry,
    ModelEntry,
    PypiSource,
    validated,
)
from unweave.errors import UnweaveError, one_line

if TYPE_CHECKING:
    import torch

STAGES = "Stages of the workflow, which Snakemake calls"
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Take language-model activations apart: look at results, plan runs, run stages.",
)

for command in (doctor, show, features, steer, compare, verify, plan, calibrate):
    app.command(rich_help_panel="For you")(command)

Spec = Annotated[str, typer.Option(help="JSON that describes the job")]
Output = Annotated[Path, typer.Option(help="file to write")]
Download = Annotated[Path | None, typer.Option(help="wheel that was fetched for this entry")]
Gpu = Annotated[int, typer.Option(help="0 hides every GPU; otherwise one is used if there is one")]


VERBOSE = "UNWEAVE_VERBOSE"


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", envvar=VERBOSE, help="show the traceback of an error")] = False,
) -> None:
    """Take what holds for every stage."""
    os.environ[VERBOSE] = "1" if verbose else ""
    if not verbose:
        # HDF5 prints tracebacks of its own where it cannot close a file, besides the error that it raises.
        sys.excepthook = sys.unraisablehook = _silent


def _silent(*_: object) -> None:
    """Print nothing."""


def _read(spec: str, *keys: str) -> dict[str, Any]:
    """Read what describes a job, in which `keys` stand."""
    try:
        content = json.loads(spec)
    except (ValueError, RecursionError) as error:
        raise UnweaveError(f"--spec: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise UnweaveError("--spec: must be a JSON object")
    for key in keys:
        if key not in content:
            raise UnweaveError(f"--spec: {key}: is missing: `snakemake -n -p` prints what a job is given")
    return content


def _device(gpu: int) -> "torch.device":
    from unweave.devices import claim_gpu, visible_gpus

    # Before torch is imported: it looks at the variable once.
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif claimed := claim_gpu(visible_gpus()):
        os.environ["CUDA_VISIBLE_DEVICES"] = claimed
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _named_paths(pairs: list[str], option: str) -> dict[str, Path]:
    named = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator:
            raise UnweaveError(f"{option}: expected NAME=PATH, got {pair!r}")
        named[name] = Path(path)
    return named


@app.command(rich_help_panel=STAGES)
def fetch(spec: Spec, output: Output) -> None:
    """Download one pinned wheel."""
    from unweave.fetch import fetch_wheel
    from unweave.provenance import record

    started, content = time.monotonic(), _read(spec)
    fetch_wheel(validated(PypiSource, content, "--spec"), output)
    record("fetch", [output], [], content, started)


@app.command(rich_help_panel=STAGES)
def model(name: str, spec: Spec, output: Output, download: Download = None) -> None:
    """Obtain one language model as a folder that transformers loads offline."""
    from unweave.models.prepare import prepare_model
    from unweave.provenance import record

    started, content = time.monotonic(), _read(spec)
    prepare_model(name, validated(ModelEntry, content, f"models.yaml: {name}"), download, output.parent)
    record("model", [output], [download] if download else [], content, started)


@app.command(rich_help_panel=STAGES)
def text(name: str, spec: Spec, output: Output, download: Download = None) -> None:
    """Prepare one data set as an Arrow folder."""
    from unweave.datasets.prepare import prepare_dataset
    from unweave.provenance import record

    started, content = time.monotonic(), _read(spec)
    prepare_dataset(name, validated(DatasetEntry, content, f"datasets.yaml: {name}"), download, output.parent)
    record("text", [output], [download] if download else [], content, started)


@app.command(rich_help_panel=STAGES)
def harvest(
    spec: Spec,
    model: Annotated[Path, typer.Option(help="manifest of the prepared model")],
    text: Annotated[Path, typer.Option(help="manifest of the prepared data set")],
    output: Annotated[list[str], typer.Option(help="SITE=PATH of each activation file")],
    gpu: Gpu = 0,
) -> None:
    """Run the model once over a corpus and store activations, or the tokens alone if they are not to be stored."""
    from unweave.provenance import record, require_unchanged

    started, content = time.monotonic(), _read(spec, "corpus", "settings", "description")
    outputs = _named_paths(output, "--output")
    require_unchanged([model, text])
    corpus = validated(CorpusSettings, content["corpus"], "corpora")
    if corpus.stored:
        from unweave.activations.harvest import harvest as run
    else:
        from unweave.activations.token_index import index_tokens as run
    settings = validated(HarvestSettings, content["settings"], "harvest")
    run(model.parent, text.parent, corpus, settings, outputs, _device(gpu), content["description"])
    record("harvest", outputs.values(), [model, text], content, started)


@app.command(rich_help_panel=STAGES)
def fit(
    spec: Spec,
    activations: Annotated[Path, typer.Option(help="activation file")],
    layer: Annotated[int, typer.Option(help="layer to fit")],
    seed: Annotated[int, typer.Option(help="of initialisation and order of the tokens")],
    output: Output,
    target: Annotated[Path | None, typer.Option(help="activation file of the site that a transcoder rebuilds")] = None,
    text: Annotated[Path | None, typer.Option(help="manifest of the data set whose labels are learned")] = None,
    model: Annotated[Path | None, typer.Option(help="manifest of the model that computes what is not stored")] = None,
    gpu: Gpu = 0,
) -> None:
    """Fit one method at one layer from one seed."""
    from unweave.methods.fit import fit_dictionary
    from unweave.provenance import record, require_unchanged

    started, content = time.monotonic(), _read(spec, "entry", "description")
    entry = validated(MethodEntry, content["entry"], "methods.yaml")
    read = [path for path in (activations, target, text, model) if path]
    require_unchanged(read)
    fit_dictionary(
        activations,
        layer,
        entry,
        seed,
        output.parent,
        _device(gpu),
        content["description"],
        target_path=target,
        text_folder=text.parent if text else None,
        model_folder=model.parent if model else None,
    )
    record("fit", [output], read, content, started)


@app.command(rich_help_panel=STAGES)
def evaluate(
    spec: Spec,
    dictionary: Annotated[Path, typer.Option(help="manifest of the dictionary")],
    model: Annotated[Path, typer.Option(help="manifest of the prepared model")],
    output: Output,
    activations: Annotated[
        list[str] | None, typer.Option(help="CORPUS=PATH of each activation file, in order, if any")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="CORPUS=PATH of each data set's manifest")] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="CORPUS=PATH of the activations that a transcoder rebuilds")
    ] = None,
    gpu: Gpu = 0,
) -> None:
    """Run one evaluation of one dictionary and write its scores."""
    from unweave.evaluations.run import run_evaluation
    from unweave.provenance import record, require_unchanged

    started, content = time.monotonic(), _read(spec, "entry", "key")
    entry = validated(EvaluationEntry, content["entry"], "evaluations.yaml")
    activation_paths = _named_paths(activations or [], "--activations")
    texts = _named_paths(text or [], "--text")
    targets = _named_paths(target or [], "--target")
    read = [dictionary, model, *activation_paths.values(), *targets.values(), *texts.values()]
    require_unchanged(read)
    run_evaluation(
        dictionary_folder=dictionary.parent,
        activation_paths=activation_paths,
        dataset_folders={name: path.parent for name, path in texts.items()},
        model_folder=model.parent,
        entry=entry,
        key=content["key"],
        output=output,
        device=_device(gpu),
        target_paths=targets,
    )
    record("evaluate", [output], read, content, started)


@app.command(rich_help_panel=STAGES)
def figure(
    notebook: Annotated[Path, typer.Argument(help="notebook source (jupytext percent)")],
    inputs: Annotated[list[Path], typer.Argument(help="score tables and YAML files that the notebook reads")],
    spec: Spec,
    output: Annotated[Path, typer.Option(help="executed notebook; the figure files are written beside it")],
) -> None:
    """Execute one notebook and keep the figure files that it writes."""
    from unweave.notebook import execute
    from unweave.provenance import record, require_unchanged
    from unweave.results import frozen

    started, content = time.monotonic(), _read(spec)
    require_unchanged(inputs)
    scores = [path for path in inputs if path.suffix == ".parquet"]
    frozen.require_listed(scores)
    written = execute(notebook, output, scores, content)
    record("figure", written, [notebook, *inputs], content, started)


@app.command(rich_help_panel=STAGES)
def checklist(
    items: Annotated[Path, typer.Argument(help="resources/checklist.yaml")],
    figures: Annotated[Path, typer.Argument(help="figures.yaml of the registry")],
    output: Output,
) -> None:
    """List what the papers print and what became of it."""
    from unweave.files import staged_file
    from unweave.plan import read_figures
    from unweave.provenance import record
    from unweave.results import checklist as printed

    started = time.monotonic()
    table = printed.table(printed.read(items), read_figures(figures), items)
    with staged_file(output) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
    record("checklist", [output], [items, figures], {}, started)


@app.command(rich_help_panel=STAGES)
def index(
    checklist: Annotated[Path, typer.Argument(help="checklist.csv, beside which the page lies")],
    spec: Spec,
    output: Output,
) -> None:
    """Write the page that shows every figure."""
    from unweave.files import staged_file
    from unweave.provenance import record, require_unchanged
    from unweave.results.index_page import SCORECARD, page

    started, content = time.monotonic(), _read(spec, "items")
    read = [path for path in (checklist, output.parent / SCORECARD) if path.exists()]
    require_unchanged(read)
    text = page(output.parent, checklist, content["items"])
    with staged_file(output) as partial:
        partial.write_text(text, encoding="utf-8")
    record("index", [output], read, content, started)


@app.command(rich_help_panel=STAGES)
def explore(
    spec: Spec,
    dictionary: Annotated[Path, typer.Option(help="manifest of the dictionary")],
    model: Annotated[Path, typer.Option(help="manifest of the prepared model")],
    activations: Annotated[list[str], typer.Option(help="CORPUS=PATH of each activation file, in order")],
    text: Annotated[list[str], typer.Option(help="CORPUS=PATH of each data set's manifest")],
    output: Annotated[Path, typer.Option(help="table of its features; the other data files are written beside it")],
    scores: Annotated[list[Path] | None, typer.Option(help="score tables that name features, if any")] = None,
    gpu: Gpu = 0,
) -> None:
    """Write what the explorer shows of one dictionary."""
    from unweave.explorer.explore import explore as run
    from unweave.provenance import record, require_unchanged

    started, content = time.monotonic(), _read(spec, "key", "limits")
    activation_paths, texts = _named_paths(activations, "--activations"), _named_paths(text, "--text")
    read = [dictionary, model, *activation_paths.values(), *texts.values(), *(scores or [])]
    require_unchanged(read)
    run(
        dictionary_folder=dictionary.parent,
        activation_paths=activation_paths,
        dataset_folders={name: path.parent for name, path in texts.items()},
        model_folder=model.parent,
        score_paths=scores or [],
        key=content["key"],
        limits=validated(ExplorerLimits, content["limits"], "explorer"),
        output=output,
        device=_device(gpu),
    )
    record("explore", [output], read, content, started, [output.parent])


@app.command(rich_help_panel=STAGES)
def explorer(
    spec: Spec,
    tables: Annotated[list[Path], typer.Argument(help="tables of the dictionaries that are shown")],
    model: Annotated[list[str], typer.Option(help="MODEL=PATH of each model's manifest")],
    activations: Annotated[list[str], typer.Option(help="MODEL/CORPUS=PATH of an activation file of each")],
    text: Annotated[list[str], typer.Option(help="CORPUS=PATH of each data set's manifest")],
    output: Annotated[Path, typer.Option(help="index.html of the site")],
) -> None:
    """Make the site that shows dictionaries feature by feature."""
    from unweave.explorer.site import make_site
    from unweave.provenance import record, require_unchanged

    started, content = time.monotonic(), _read(spec, "dictionaries", "titles", "tokens")
    models, texts = _named_paths(model, "--model"), _named_paths(text, "--text")
    activation_paths = _named_paths(activations, "--activations")
    read = [*tables, *models.values(), *activation_paths.values(), *texts.values()]
    require_unchanged(read)
    make_site(
        dictionary_keys=content["dictionaries"],
        titles=content["titles"],
        activation_paths=activation_paths,
        dataset_folders={name: path.parent for name, path in texts.items()},
        model_folders={name: path.parent for name, path in models.items()},
        most_tokens=content["tokens"],
        output=output,
    )
    record("explorer", [output], read, content, started, [output.parent / "static", output.parent / "shared"])


@app.command(rich_help_panel=STAGES)
def freeze(
    scores: Annotated[list[Path], typer.Argument(help="score tables")],
    output: Annotated[Path, typer.Option(help="SHA256SUMS, beside which the tables are written")],
) -> None:
    """Join score tables by evaluation into a few files that can be committed."""
    from unweave.provenance import record, require_unchanged
    from unweave.results.frozen import freeze as freeze_tables

    started = time.monotonic()
    require_unchanged(scores)
    freeze_tables(scores, output)
    record("freeze", [output], scores, {}, started, [output.parent])


@app.command(rich_help_panel=STAGES)
def schemas() -> None:
    """Regenerate workflow/schemas from the settings classes in the code."""
    from unweave.schemas import write_schemas

    write_schemas()


@app.command(rich_help_panel=STAGES)
def readme() -> None:
    """Redraw the rule graph and the checklist in README.md."""
    from unweave.readme import write_readme

    write_readme()


@app.command(rich_help_panel=STAGES)
def reference() -> None:
    """Rewrite those pages of docs/reference that are made from the code."""
    from unweave.reference_pages import write_pages

    write_pages()


def main() -> None:
    """Entry point of the `unweave` command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    # oneDNN keeps a compiled product for each shape of batch that it has met: by default so many that the memory of a
    # model that reads a corpus grows with it. It looks at this once, after torch is imported.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    # A thread that has done its part of a product waits for the others by spinning, by default for so long that jobs
    # which share cores take each other's time. It looks at this once, when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    stage = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    # A fit may take a public SAE from the hub.
    if stage not in ("model", "text", "fit"):
        os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        app()
    except Exception as error:  # what is no UnweaveError is told as unexpected
        if os.environ.get(VERBOSE):
            traceback.print_exc()
        message, status = _told(error)
        sys.stderr.write(f"error: {message}\n")
        sys.exit(status)


STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def _told(error: Exception) -> tuple[str, int]:
    """Line that tells the user what happened, and exit status."""
    if isinstance(error, UnweaveError):
        return str(error), 2
    if (code := _storage_failure(error)) is not None:
        place = getattr(error, "filename", None) or _output()
        mend = "free space or choose another --directory"
        if code in (errno.EACCES, errno.EPERM) and (unreadable := _unreadable(str(place))):
            mend = f"make it readable for this user (chmod u+rX {unreadable})"
        return one_line(f"{place}: {os.strerror(code)}: {mend}"), 2
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}: {error}"
    return one_line(f"unexpected {what}: run with --verbose (a workflow: with {VERBOSE}=1)"), 1


def _output() -> str:
    """Name what the stage was to write."""
    given = sys.argv[1:]
    return given[given.index("--output") + 1].rpartition("=")[2] if "--output" in given[:-1] else "output"


def _unreadable(place: str) -> Path | None:
    """Find what of a path is there, if it must not be read: what must only not be written can be read."""
    there = next(path for path in (Path(place), *Path(place).absolute().parents) if os.path.lexists(path))
    return None if os.access(there, os.R_OK) else there


def _storage_failure(error: Exception) -> int | None:
    """Find the number of a disk's refusal; HDF5 and safetensors put it into their message alone."""
    code = error.errno if isinstance(error, OSError) else None
    if code is None and (stated := re.search(r"\b(?:os error|errno =) (\d+)", str(error))):
        code = int(stated[1])
    return code if code in STORAGE else None
