"""Core and exclusive neurons of the days of the week and of the months (Semi-NMF, Section 5; arXiv 2506.10920).

Each term gets the feature whose code it raises most. Neurons that most of a family's features share are its core,
neurons of one feature alone are exclusive to its term. The overlap of supports (`overlap`, Jaccard, by pair of terms)
shows whether a family shares neurons; the control is the overlap with features of no term.

Then the core, or one term's exclusive neurons, are amplified at the end of prompts: the mean of the features' atoms on
them, at a strength that changes the next token by KL = 0.25. If the parts mean what the paper says, the core raises the
logits of all terms of its family (`core_effect`: mean change of its terms' logits less that of the other family's), and
exclusive neurons raise their own term above its siblings (`exclusive_effect`). Controls: as many random neurons of the
union of the supports (`random neurons of the family`), and of the layer (`random neurons`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.neuron_groups.supports import core, exclusive, features_of_terms, jaccard, supports
from unweave.evaluations.resampled_scores import mean_score
from unweave.evaluations.steering.calibration import calibrate, divergence_from
from unweave.evaluations.steering.directions import in_residual_stream
from unweave.evaluations.steering.prompt import Prompt, read_prompt
from unweave.evaluations.temporal_geometry.prompts import FAMILIES, read_terms
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint
from unweave.models.language_model import LanguageModel, load_language_model
from unweave.models.partial_forward import logits_from
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

TARGET_KL = 0.25
PROMPTS = (
    "I think that",
    "We will meet again next",
    "It happened last",
    "She said that",
)


class Settings(Strict):
    """Settings of neuron groups; it makes its own text and needs a dictionary of MLP neurons."""

    support: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="share of the neurons that count as an atom's, by magnitude"
    )
    core_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="share of a family's features that a core neuron is in"
    )


def term_tokens(model: LanguageModel, names: Sequence[str]) -> Tensor:
    """First token (count,) of each term after a space."""
    return torch.tensor([model.tokenizer(f" {name}")["input_ids"][0] for name in names])


def amplified(model: LanguageModel, layer: int, prompts: Sequence[Prompt], directions: Tensor) -> Tensor:
    """Change of the next token's logits (directions, prompts, vocabulary) when each is added at KL = 0.25."""
    changes = []
    targets = torch.full((len(directions),), TARGET_KL, device=directions.device)
    for prompt in prompts:
        plain = logits_from(model.model, layer, prompt.stream[None])[0, -1].float()
        found = calibrate(divergence_from(model.model, layer, prompt.stream), directions, targets, prompt.unit)
        steered = prompt.stream + (found.strengths[:, None] * directions)[:, None]
        logits = logits_from(model.model, layer, steered)[:, -1].float()
        changes.append((logits - plain) - (logits - plain).mean(dim=1, keepdim=True))
    return torch.stack(changes, dim=1)


def random_like(mask: NDArray[np.bool_], among: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """As many random neurons (d,) of those `among` as the mask has."""
    places = np.flatnonzero(among)
    drawn = np.zeros_like(mask)
    drawn[rng.permutation(places)[: int(mask.sum())]] = True
    return drawn


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Overlaps of supports and effects of amplified groups of neurons, for both families, with controls.

    Raises
    ------
    UnweaveError
        if the dictionary is not one of MLP neurons or has too few features.
    """
    if data.site != "mlp_neurons" or dictionary.traits.writes is not None:
        raise UnweaveError(f"{data.site}: groups of neurons need a dictionary of mlp_neurons: leave it out (`methods`)")
    most = max(len(names) for names in FAMILIES.values())
    if dictionary.n_features < 2 * most:
        raise UnweaveError(f"{dictionary.n_features} features are too few for {most} terms: fit more")
    model = load_language_model(data.model_folder, torch.float32, data.device)
    terms = read_terms(model, HookPoint("mlp_neurons", data.layer))
    codes = dictionary.encode(terms.x).double().cpu().numpy()
    atoms = dictionary.atoms.double().cpu().numpy()
    masks = supports(atoms, settings.support)
    prompts = [read_prompt(model, text, data.layer, data.device) for text in PROMPTS]
    tokens = {family: term_tokens(model, names) for family, names in FAMILIES.items()}
    scores: list[Score] = []
    for number, (family, names) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([seed, number])
        chosen = features_of_terms(codes, terms.family == family, terms.place, len(names))
        scores += _overlaps(family, names, masks, chosen, rng, seed)
        others = torch.cat([found for other, found in tokens.items() if other != family])
        groups = amplified_groups(masks[chosen], atoms[chosen], settings, rng)
        weights = torch.from_numpy(np.stack([group.weights for group in groups])).float().to(data.device)
        directions = in_residual_stream(model.model, data.site, data.layer, weights)
        changes = amplified(model, data.layer, prompts, directions).double().cpu().numpy()
        scores += _effects(family, groups, changes, tokens[family].numpy(), others.numpy(), seed)
    return scores


@dataclass(frozen=True)
class Group:
    """Neurons that are amplified together."""

    kind: str
    """`core` or `exclusive`"""
    term: int
    """whose neurons they are, for exclusive ones"""
    label: str
    weights: Floats
    """(d,) what is added to the neurons"""


def amplified_groups(masks: Masks, atoms: Floats, settings: Settings, rng: np.random.Generator) -> list[Group]:
    """Group the neurons of the features (F, d) of one family, with random ones in their place as controls.

    Random neurons are amplified by their largest magnitude in any atom of the family, or all alike in the layer.
    """
    union = np.asarray(masks.any(axis=0), dtype=np.bool_)
    largest = np.where(union, np.abs(atoms).max(axis=0), np.abs(atoms[masks]).mean())
    shared = core(masks, max(2, int(np.ceil(settings.core_share * len(masks)))))
    found: list[Group] = []
    parts = [("core", 0, shared, atoms.mean(axis=0))]
    parts += [("exclusive", term, alone, atoms[term]) for term, alone in enumerate(exclusive(masks))]
    for kind, term, mask, weights in parts:
        if not mask.any():
            continue
        found.append(Group(kind, term, "", weights * mask))
        for label, among in (
            ("random neurons of the family", union),
            ("random neurons", np.ones(len(union), dtype=np.bool_)),
        ):
            found.append(Group(kind, term, label, largest * random_like(mask, among, rng)))
    return found


def _effects(
    family: str,
    groups: Sequence[Group],
    changes: Floats,
    own: NDArray[np.int64],
    others: NDArray[np.int64],
    seed: int,
) -> list[Score]:
    """From changes of logits (groups, prompts, vocabulary)."""
    found: dict[tuple[str, str], list[Floats]] = {}
    sizes: dict[str, list[float]] = {}
    for group, change in zip(groups, changes, strict=True):
        of_terms = change[:, own]
        if group.kind == "core":
            effect = of_terms.mean(axis=1) - change[:, others].mean(axis=1)
        else:
            siblings = (of_terms.sum(axis=1) - of_terms[:, group.term]) / (len(own) - 1)
            effect = (of_terms[:, group.term] - siblings).mean(keepdims=True)
        found.setdefault((group.kind, group.label), []).append(effect)
        if not group.label:
            sizes.setdefault(group.kind, []).append(float((group.weights != 0).sum()))
    scores = [
        mean_score(f"{kind}_neurons", np.array(counts), seed=seed, unit="neurons", dataset=family)
        for kind, counts in sizes.items()
    ]
    for (kind, label), effects in found.items():
        scores.append(
            mean_score(
                f"{kind}_effect",
                np.concatenate(effects),
                seed=seed,
                unit="logit",
                better=True,
                dataset=family,
                label=label,
            )
        )
    return scores


def _overlaps(
    family: str, names: Sequence[str], masks: Masks, chosen: NDArray[np.int64], rng: np.random.Generator, seed: int
) -> list[Score]:
    within = jaccard(masks[chosen])
    pairs = [(i, j) for i in range(len(chosen)) for j in range(i)]
    rest = np.setdiff1d(np.arange(len(masks)), chosen)
    drawn = rng.choice(rest, size=min(len(rest), len(chosen)), replace=False)
    across = jaccard(masks[np.concatenate([chosen, drawn])])[: len(chosen), len(chosen) :]
    overlap = partial(mean_score, seed=seed, dataset=family)
    scores = [
        overlap("mean_overlap", np.array([within[pair] for pair in pairs])),
        overlap("mean_overlap", across.ravel(), label="with features of no term"),
    ]
    scores += [overlap("overlap", np.array([within[i, j]]), label=f"{names[j]}|{names[i]}") for i, j in pairs]
    return scores
