"""How much each job of a plan has to compute, read and store, told from the configuration alone.

Floating-point operations count a multiplication and an addition as two. They are orders of magnitude, not counts: what
a method really needs for one of them (its rate) is measured, see `unweave.costs.calibration`.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from unweave.config import SCHEMAS, Architecture, CorpusSettings, HarvestSettings, Site
from unweave.plan import Fit, Plan

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
TOKEN_BYTES = 12
"""Id, document and position of a token."""
BASE_MEMORY = 800e6
"""Of a process that has imported torch and transformers."""
CHARACTERS_PER_TOKEN = 4
UNKNOWN_TOKENS_PER_DOCUMENT = 64
"""Of a corpus that names neither tokens nor documents of each label."""


@dataclass(frozen=True)
class Work:
    """One job: what it does and what it leaves."""

    rule: str
    kind: str
    """Module that decides the rate: of the method, of the evaluation, or the rule itself."""
    name: str
    """Wildcards, in words."""
    tokens: float
    flops: float
    disk: float
    """Bytes of its results."""
    memory: float
    """Bytes that it holds at its peak."""
    turn: str = ""
    """Jobs of one turn keep their results at the same time, and lose them before the next; empty where results stay."""


def parameters(architecture: Architecture) -> float:
    """Weights of all blocks: four square attention projections and three of the MLP each, so rather too many."""
    d = architecture.d_model
    return architecture.blocks * (4.0 * d * d + 3.0 * d * architecture.d_mlp)


def width(architecture: Architecture, site: Site) -> int:
    """Width of an activation."""
    return architecture.d_mlp if site == "mlp_neurons" else architecture.d_model


def tokens_of(corpus: CorpusSettings, labels: int) -> float:
    """Tokens of a corpus: what it asks for, at most."""
    if corpus.tokens is not None:
        return float(corpus.tokens)
    if corpus.documents_per_label is not None:
        return float(corpus.documents_per_label * max(labels, 1) * (2 if corpus.split == "all" else 1) * corpus.context)
    return float(UNKNOWN_TOKENS_PER_DOCUMENT * corpus.context)


@cache
def _defaults(kind: str, module: str) -> dict[str, Any]:
    schema = json.loads((SCHEMAS / kind / f"{module}.schema.json").read_text(encoding="utf-8"))
    return {name: field.get("default") for name, field in schema["properties"].items()}


def settings_of(plan: Plan, method: str) -> dict[str, Any]:
    """Read the settings of an arm with the defaults of its module."""
    entry = plan.methods[method]
    return _defaults("methods", entry.method) | entry.settings


def features_of(settings: dict[str, Any], d: int) -> int:
    """Count the features of a dictionary by what its settings say, d where they say nothing."""
    if settings.get("groups") and settings.get("group_size"):
        return int(settings["groups"]) * int(settings["group_size"])
    if settings.get("levels"):
        return int(settings["levels"][0])
    if settings.get("expansion"):
        return int(settings["expansion"]) * d
    count = settings.get("n_features") or settings.get("components") or settings.get("n_components")
    return int(count) if count else d


def fit_flops(settings: dict[str, Any], n: float, d: int) -> float:
    """Operations of a fit on n rows of width d: by training tokens, by iterations, or one pass for the moments."""
    features = features_of(settings, d)
    moments = 2.0 * n * d * d
    if settings.get("trained") is False:
        return moments
    if settings.get("epochs") or settings.get("tokens"):
        trained = n * settings["epochs"] if settings.get("epochs") else float(settings["tokens"])
        return moments + 12.0 * trained * d * features
    if settings.get("iterations"):
        passes = float(settings["iterations"]) + (settings.get("refits") or 0) * (settings.get("refit_iterations") or 0)
        # A patience ends a factorisation long before its last allowed iteration.
        if settings.get("patience"):
            passes = min(passes, 3.0 * settings["patience"])
        return moments + 4.0 * passes * n * d * features
    return moments


def works(plan: Plan) -> list[Work]:
    """Every job of a plan but downloads and figures."""
    return [*_models(plan), *_texts(plan), *_harvests(plan), *_fits(plan), *_evaluations(plan)]


def _used_models(plan: Plan) -> list[str]:
    return sorted({fit.model for fit in plan.fits})


def _used_corpora(plan: Plan, model: str) -> list[str]:
    fitted = {corpus for fit, corpus in plan.fits.items() if fit.model == model}
    scored = {corpus for name, fit in plan.scores if fit.model == model for corpus in plan.corpora_of(name)}
    return sorted(fitted | scored)


def _corpus_tokens(plan: Plan, corpus: str) -> float:
    settings = plan.config.corpora[corpus]
    return tokens_of(settings, len(plan.datasets[settings.dataset].labels))


def model_work(plan: Plan, name: str) -> Work:
    """Work of preparing one model."""
    architecture = plan.models[name].architecture
    weights = parameters(architecture) + architecture.vocabulary * architecture.d_model
    # Kept as they are published (16 bits); those converted from a GGUF file are float32.
    size = weights * (4 if plan.models[name].format == "gguf" else 2)
    return Work("model", "model", name, 0, 2 * weights * 512, size, BASE_MEMORY + 4.5 * weights)


def _models(plan: Plan) -> list[Work]:
    return [model_work(plan, name) for name in _used_models(plan)]


def _texts(plan: Plan) -> list[Work]:
    found = []
    for name in sorted(
        {plan.config.corpora[corpus].dataset for model in _used_models(plan) for corpus in _used_corpora(plan, model)}
    ):
        documents = plan.datasets[name].options.get("max_documents")
        if documents:
            size = 6000.0 * documents
        else:
            corpora = [corpus for corpus in plan.config.corpora if plan.config.corpora[corpus].dataset == name]
            size = CHARACTERS_PER_TOKEN * sum(_corpus_tokens(plan, corpus) for corpus in corpora)
        found.append(Work("text", "text", name, size / CHARACTERS_PER_TOKEN, 0, size, BASE_MEMORY))
    return found


def _harvests(plan: Plan) -> list[Work]:
    return [
        harvest_work(plan, model, corpus, group)
        for model in _used_models(plan)
        for corpus in _used_corpora(plan, model)
        for group in plan.config.harvest[model].groups()
    ]


def harvest_rule(model: str, group: HarvestSettings) -> str:
    """Name of the rule that harvests a group of layers."""
    return "_".join(filter(None, ["harvest", model, group.group]))


def harvest_work(plan: Plan, model: str, corpus: str, group: HarvestSettings) -> Work:
    """Work of one harvest of a group of layers."""
    architecture, settings = plan.models[model].architecture, plan.config.corpora[corpus]
    tokens = _corpus_tokens(plan, corpus)
    read = tokens * settings.context / max(1, settings.context - (0 if settings.keep_first else group.drop_positions))
    depth = (max(group.layers) + 1) / architecture.blocks
    row = sum(width(architecture, site) * len(group.layers_of(site)) for site in group.sites) * BYTES[group.store_dtype]
    if not settings.stored:
        read, row = float(2**18), 0
    weights = parameters(architecture) + 2 * architecture.vocabulary * architecture.d_model
    memory = BASE_MEMORY + 4 * weights + 3 * 16384 * row
    layers = f"layers {group.layers[0]} to {group.layers[-1]}"
    return Work(
        "harvest",
        "harvest",
        f"{model}, {corpus}, {layers}",
        read,
        2 * parameters(architecture) * depth * read,
        tokens * (row + TOKEN_BYTES),
        memory,
        f"{model} {group.group}" if group.group else "",
    )


def fit_work(plan: Plan, fit: Fit) -> Work:
    """Work of one fit."""
    architecture = plan.models[fit.model].architecture
    corpus = plan.config.corpora[plan.fits[fit]]
    d, n = width(architecture, fit.site), _corpus_tokens(plan, plan.fits[fit])  # type: ignore[arg-type]
    settings = settings_of(plan, fit.method)
    features = features_of(settings, d)
    flops = fit_flops(settings, n, d)
    limit = 1e9 * float(settings.get("memory_gb") or 4.0)
    memory = BASE_MEMORY + min(4 * n * d, limit) + 20.0 * d * features + 32.0 * d * d
    if not corpus.stored:
        depth = (fit.layer + 1) / architecture.blocks
        trained = float(settings.get("tokens") or n)
        flops += 2 * parameters(architecture) * depth * trained
        memory += 4 * parameters(architecture)
    name = f"{fit.method}, {fit.model} {fit.site} layer {fit.layer} seed {fit.seed}"
    return Work("fit", plan.methods[fit.method].method, name, n, flops, 8.0 * d * features, memory)


def _fits(plan: Plan) -> list[Work]:
    return [fit_work(plan, fit) for fit in plan.fits]


def evaluation_work(plan: Plan, evaluation: str, fit: Fit) -> Work:
    """Work of one evaluation of one dictionary: its corpora once through the model and once through the dictionary."""
    architecture = plan.models[fit.model].architecture
    d = width(architecture, fit.site)  # type: ignore[arg-type]
    features = features_of(settings_of(plan, fit.method), d)
    rows = sum(_corpus_tokens(plan, corpus) for corpus in plan.corpora_of(evaluation))
    weights = parameters(architecture) + architecture.vocabulary * architecture.d_model
    flops = rows * 4.0 * d * features + 2.0 * weights * 1000
    memory = BASE_MEMORY + 4.0 * weights + 12.0 * d * features + min(rows * d * 4.0, 4e9)
    name = f"{evaluation} of {fit.method}, {fit.model} layer {fit.layer}"
    return Work("evaluate", evaluation, name, rows, flops, 40e3, memory)


def _evaluations(plan: Plan) -> list[Work]:
    return [evaluation_work(plan, name, fit) for name, fit in plan.scores]
