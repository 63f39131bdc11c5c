"""Recursive semi-NMF (SNMF, arXiv 2506.10920): features are themselves factorised into fewer and broader features."""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from unweave.activations.memory import InMemoryActivations
from unweave.activations.source import Activations
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.snmf.dictionary import TRAITS, NonNegativeDictionary
from unweave.methods.snmf.estimate import diagnostics
from unweave.methods.snmf.factorisation import factorise
from unweave.methods.snmf.features import kept_neurons
from unweave.methods.snmf.fine_tuning import ChainObjective, chained, fine_tune
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.snmf.settings import Initialisation, SolverSettings
from unweave.methods.snmf.stages import Finished, StageCheckpoint, finished_stages


class Settings(SolverSettings):
    """Settings of recursive semi-NMF; `iterations` are those of each level."""

    levels: list[int] = Field(
        default=[400, 200, 100, 50], min_length=2, description="features of each level, finest first"
    )
    initialisation: Initialisation = Field(default="random", description="of the coefficients of every level")
    level_sparsity: Literal["same", "scaled"] = Field(
        default="same",
        description="same: features of all levels keep the share `sparsity` of the neurons, as published; scaled: "
        "level l keeps min(1, sparsity k_0 / k_l), room for the neurons of all features that it stands for",
    )
    fine_tuning: Literal["none", "unconstrained", "projected"] = Field(
        default="projected",
        description="of all levels at once by Adam. unconstrained: as published, coefficients may become negative and "
        "features dense; projected: both constraints are restored after every step",
    )
    fine_tuning_iterations: int = Field(default=500, ge=1, description="steps of Adam over all tokens")
    learning_rate: float = Field(default=1e-3, gt=0, description="of Adam")

    @model_validator(mode="after")
    def _levels_become_coarser(self) -> Self:
        if self.levels[-1] < 1 or any(
            coarse >= fine for fine, coarse in zip(self.levels, self.levels[1:], strict=False)
        ):
            raise ValueError("levels must fall from each to the next, such as [400, 200, 100, 50]")
        return self


class FeatureTree(NonNegativeDictionary):
    """A dictionary of the finest features, and how broader ones are composed of them.

    Level 0 is the finest. Tensors: `atoms` Z_0^T (k_0, d); `level_l.atoms` Z_l^T (k_l, d) and `level_l.links` Y_l
    (k_l, k_(l-1)) with Z_(l-1) = Z_l Y_l; and, if the chain was fine-tuned, `tuned.level_l.links` and
    `tuned.level_L.atoms` of the coarsest level L. Encoding and `atoms` are always those before fine-tuning: a tuned
    chain has the rank of its coarsest level.
    """

    form = "snmf_hierarchy.FeatureTree"

    @property
    def coarsest(self) -> int:
        """L, the number of the last level."""
        return max(int(name.split(".")[0].removeprefix("level_")) for name in self.tensors if name.startswith("level_"))

    def links(self, level: int, *, tuned: bool = False) -> Tensor:
        """Y_l (k_l, k_(l-1)): how strongly each feature of level l >= 1 holds each of the level below."""
        return self.tensors[f"{'tuned.' if tuned else ''}level_{level}.links"]

    def level_atoms(self, level: int, *, tuned: bool = False) -> Tensor:
        """Features (k_l, d) of a level: as they were fitted, or Z_L Y_L ... Y_(l+1) of the tuned chain."""
        if not tuned:
            return self.tensors[f"level_{level}.atoms"] if level else self.atoms
        atoms = self.tensors[f"tuned.level_{self.coarsest}.atoms"]
        for above in range(self.coarsest, level, -1):
            atoms = self.links(above, tuned=True).T @ atoms
        return atoms

    def level_codes(self, codes: Tensor, level: int, *, tuned: bool = False) -> Tensor:
        """Effective activations (n, k_l) of a level's features where codes (n, k_0) are those of the finest ones."""
        chain = chained([self.links(i, tuned=tuned) for i in range(1, level + 1)], codes.shape[1])
        return codes @ chain.T.to(codes)


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Fit:
    """Factorise A = Z_0 Y_0, then Z_0 = Z_1 Y_1 and so on, then fine-tune A = Z_L Y_L ... Y_0.

    Level l starts from seed + l. Diagnostics hold those of semi-NMF for each level, and `mean_squared_error` of the
    whole chain before and after fine-tuning. Fine-tuning needs 16 n k_0 bytes: the finest coefficients, their
    gradient and Adam's two moments.

    Raises
    ------
    UnweaveError
        as semi-NMF, or if fine-tuning diverges.
    """
    tensors, facts = _levels(activations, settings, seed, device, checkpoint)
    coarsest = len(settings.levels) - 1
    atoms = [tensors[f"level_{level}.atoms"] for level in range(coarsest + 1)]
    links = [tensors[f"level_{level}.coefficients"] for level in range(1, coarsest + 1)]
    kept = {"atoms": atoms[0]}
    for level, link in enumerate(links, start=1):
        kept |= {f"level_{level}.atoms": atoms[level], f"level_{level}.links": link}
    found: dict[str, Any] = {"levels": [facts[f"level_{level}"]["diagnostics"] for level in range(coarsest + 1)]}
    history = {
        f"level_{level}_relative_error": facts[f"level_{level}"]["relative_error"] for level in range(coarsest + 1)
    }

    if settings.fine_tuning != "none":
        s = kept_neurons(_sparsity(settings, coarsest), activations.d) if settings.fine_tuning == "projected" else None
        neurons = NeuronBlocks(activations, settings.memory_gb, device)
        objective = ChainObjective(neurons, atoms[-1], links, tensors["level_0.coefficients"], s)
        before = objective.error()
        stage = StageCheckpoint(checkpoint, Finished(coarsest + 1, tensors, facts))
        curves = fine_tune(objective, settings.fine_tuning_iterations, settings.learning_rate, stage)
        found["mean_squared_error"] = {"before": before, "after": objective.error()}
        history["fine_tuning_mean_squared_error"] = curves["loss"]
        kept |= {f"tuned.level_{level}.links": link for level, link in enumerate(objective.links, start=1)}
        kept[f"tuned.level_{coarsest}.atoms"] = objective.parameters["atoms"]
    return Fit(FeatureTree(kept, TRAITS), diagnostics=found, history=history)


def _sparsity(settings: Settings, level: int) -> float:
    if settings.level_sparsity == "same":
        return settings.sparsity
    return min(1.0, settings.sparsity * (settings.levels[0] / settings.levels[level]))


def _levels(
    activations: Activations, settings: Settings, seed: int, device: torch.device, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Fit one level after the other; of each: atoms (k_l, d), coefficients (k_l, k_(l-1)) or (k_0, n), and facts."""
    reached, tensors, facts = finished_stages(checkpoint)
    tensors = {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}
    for level in range(reached, len(settings.levels)):
        source = activations if level == 0 else InMemoryActivations(tensors[f"level_{level - 1}.atoms"])
        solver = SolverSettings(
            **settings.model_dump(include=set(SolverSettings.model_fields) - {"sparsity"}),
            sparsity=_sparsity(settings, level),
        )
        fitted = factorise(
            source,
            settings.levels[level],
            settings.initialisation,
            solver,
            seed + level,
            device,
            StageCheckpoint(checkpoint, Finished(level, tensors, facts)),
            f"semi-NMF, level {level}",
        )
        assert fitted.best.features is not None
        tensors = tensors | {
            f"level_{level}.atoms": fitted.best.features.float(),
            f"level_{level}.coefficients": torch.cat(fitted.best.coefficients, dim=1),
        }
        facts = facts | {f"level_{level}": {"diagnostics": diagnostics(fitted), "relative_error": fitted.errors}}
    return tensors, facts
