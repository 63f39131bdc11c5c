"""Sparse autoencoders where the dictionary is known: more unit directions than dimensions, few of them in a row.

Rows are sums of 4 of 128 directions in 64 dimensions on average, each weighed between 1 and 2, about an offset and in a
little noise; 192 latents are trained on them. A one-to-one match of largest total cosine says how well atoms agree with
directions; random directions reach 0.33. Recovery of planted directions is the test of Sharkey et al. 2022 ("Taking
features out of superposition with sparse autoencoders"), and 0.9 the cosine from which they count a direction as found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.truth.check import Check
from unweave.activations.memory import InMemoryActivations
from unweave.methods.dictionary import Fit
from unweave.methods.sae import Settings, fit

CPU = torch.device("cpu")
SEEDS = (0, 1, 2)
D, F, L0 = 64, 128, 4
LATENTS = 192
FITTED, HELD_OUT = 40_000, 8_000
SHARKEY = "Sharkey et al. 2022: a cosine of 0.9 counts as found"

GATES: dict[str, dict[str, Any]] = {
    "TopK": {"kind": "topk", "k": L0},
    "signed TopK": {"kind": "topk", "k": L0, "signed": True},
    "BatchTopK": {"kind": "batchtopk", "k": L0},
    "Matryoshka BatchTopK": {"kind": "batchtopk", "k": L0, "prefixes": [0.25, 0.5]},
    "ReLU": {"kind": "relu", "l1_coefficient": 1.0},
    "JumpReLU": {"kind": "jumprelu", "target_l0": L0, "initial_threshold": 0.5, "bandwidth": 0.5},
    "gated": {"kind": "gated", "l1_coefficient": 1.0},
}


@dataclass(frozen=True)
class Planted:
    """Rows, and what they are made of."""

    x: Tensor
    """(n, 64)"""
    codes: Tensor
    """(n, 128)"""
    directions: Tensor
    """(128, 64) unit rows"""

    @property
    def fitted(self) -> InMemoryActivations:
        """What is trained on."""
        return InMemoryActivations(self.x[:FITTED])

    @property
    def held_out(self) -> Tensor:
        """What is not."""
        return self.x[FITTED:]


def planted(seed: int, *, signed: bool = False, offset: float = 1.0) -> Planted:
    """Draw rows whose directions are present independently of each other."""
    # The seed of a fit draws its first atoms: with the same one here they would be the answer.
    generator = torch.Generator().manual_seed(1000 + seed)
    n = FITTED + HELD_OUT
    directions = normalize(torch.randn(F, D, generator=generator))
    present = torch.rand(n, F, generator=generator) < L0 / F
    codes = present * (1 + torch.rand(n, F, generator=generator))
    if signed:
        codes = codes * torch.randint(0, 2, (n, F), generator=generator).mul(2).sub(1)
    center = offset * torch.randn(D, generator=generator)
    return Planted(codes @ directions + center + 0.02 * torch.randn(n, D, generator=generator), codes, directions)


def trained(data: InMemoryActivations, gate: dict[str, Any], seed: int, **changes: Any) -> Fit:
    """Train 192 latents for 1500 steps of 512 rows."""
    settings = {
        "gate": gate,
        "n_features": LATENTS,
        "tokens": 1500 * 512,
        "batch_size": 512,
        "learning_rate": 3e-3,
        "warmup_steps": 50,
        "subtract_b_dec": True,
    }
    return fit(data, Settings.model_validate({**settings, **changes}), seed, CPU)


def agreement(atoms: Tensor, directions: Tensor, *, signed: bool = False) -> Tensor:
    """Cosine of each direction with its atom in the one-to-one match of largest total; its size if `signed`."""
    cosines = normalize(directions) @ normalize(atoms).T
    cosines = cosines.abs() if signed else cosines
    return cosines[linear_sum_assignment(-cosines.numpy())]


def checks() -> Iterator[Check]:
    """Return every check."""
    for name, gate in GATES.items():
        yield from recovery(name, gate)
    yield transcoder()
    yield untrained()
    yield from revival()
    yield from hierarchy()


def recovery(name: str, gate: dict[str, Any]) -> Iterator[Check]:
    """Directions are found, and held-out rows have about as many active latents as were planted."""
    cosines, counts = [], []
    for seed in SEEDS:
        data = planted(seed, signed=gate.get("signed", False))
        dictionary = trained(data.fitted, gate, seed).dictionary
        cosines.append(float(agreement(dictionary.atoms, data.directions, signed=gate.get("signed", False)).mean()))
        counts.append(float((dictionary.encode(data.held_out) != 0).sum(1).float().mean()))
    yield Check(
        name=f"{name}: mean cosine with {F} planted directions in {D} dimensions",
        value=min(cosines),
        lowest=0.9,
        seeds=len(SEEDS),
        source=SHARKEY,
    )
    told = "k" in gate or "target_l0" in gate
    yield Check(
        name=f"{name}: active latents of a held-out row, {L0} planted",
        value=max(counts, key=lambda count: abs(count - L0)),
        lowest=0.75 * L0 if told else None,
        highest=1.25 * L0 if told else None,
        seeds=len(SEEDS),
        source="ours: within a quarter",
        note="" if told else "recorded, not judged: the coefficient of the L1 penalty decides",
    )


def transcoder() -> Check:
    """Find what is written at another site; a transcoder has no bias to subtract, so what it reads has no offset."""
    values = []
    for seed in SEEDS:
        data = planted(seed, offset=0.0)
        written = normalize(torch.randn(F, 48, generator=torch.Generator().manual_seed(2000 + seed)))
        fitted = data.fitted
        fitted.targets = InMemoryActivations((data.codes @ written)[:FITTED])
        fitted.targets.site = "mlp_out"
        atoms = trained(fitted, GATES["TopK"], seed, target=True, subtract_b_dec=None).dictionary.atoms
        values.append(float(agreement(atoms, written).mean()))
    return Check(
        name=f"transcoder (TopK): mean cosine with {F} directions that another site writes in 48 dimensions",
        value=min(values),
        lowest=0.9,
        seeds=len(SEEDS),
        source=SHARKEY,
    )


def untrained() -> Check:
    """Without training there is nothing but chance."""
    values = [
        float(
            agreement(trained(data.fitted, GATES["TopK"], seed, trained=False).dictionary.atoms, data.directions).mean()
        )
        for seed in SEEDS
        for data in [planted(seed)]
    ]
    return Check(
        name="untrained TopK (null): mean cosine with the planted directions",
        value=max(values),
        highest=0.4,
        seeds=len(SEEDS),
        source="ours: random directions reach 0.33",
    )


def revival() -> Iterator[Check]:
    """Bring back, by the auxiliary loss, latents that died because the decoder's bias began far from the rows."""
    for name, weight in (("without the auxiliary loss (null)", 0.0), ("with the auxiliary loss", 1 / 32)):
        values = []
        for seed in SEEDS:
            data = planted(seed)
            gate = {"kind": "topk", "k": L0, "aux_coefficient": weight}
            dictionary = trained(data.fitted, gate, seed, initial_b_dec="zero", dead_after_tokens=20_000).dictionary
            values.append(float(agreement(dictionary.atoms, data.directions).mean()))
        yield Check(
            name=f"TopK from a bias of zero, {name}: mean cosine with the planted directions",
            value=min(values) if weight else max(values),
            lowest=0.9 if weight else None,
            highest=None if weight else 0.9,
            seeds=len(SEEDS),
            source="Gao et al. 2024 (arXiv 2406.04093), A.2",
        )


def hierarchy() -> Iterator[Check]:
    """Under each of 16 parents lie four children, never present without it; so many latents are in the first prefix."""
    gates = {
        "Matryoshka BatchTopK": {"kind": "batchtopk", "k": 4, "prefixes": [0.2]},
        "BatchTopK (null)": {"kind": "batchtopk", "k": 4},
    }
    for name, gate in gates.items():
        values = []
        for seed in SEEDS:
            parents, rows = family(seed)
            atoms = trained(InMemoryActivations(rows), gate, seed, n_features=80).dictionary.atoms
            values.append(float(agreement(atoms[:16], parents).mean()))
        null = "null" in name
        yield Check(
            name=f"{name}: mean cosine of the first 16 of 80 atoms with 16 planted parents",
            value=max(values) if null else min(values),
            lowest=None if null else 0.9,
            highest=0.9 if null else None,
            seeds=len(SEEDS),
            source="ours; Bussmann et al. 2025 (arXiv 2503.17547): early latents hold general features",
        )


def family(seed: int) -> tuple[Tensor, Tensor]:
    """Draw parents (16, 64) and rows (40,000, 64): half of the time a parent comes with one of its four children."""
    generator = torch.Generator().manual_seed(3000 + seed)
    directions = normalize(torch.randn(80, D, generator=generator))
    parents, children = directions[:16], directions[16:].view(16, 4, D)
    present = torch.rand(FITTED, 16, generator=generator) < 2 / 16
    which = torch.randint(0, 8, (FITTED, 16), generator=generator)
    codes = torch.stack([present & (which == child) for child in range(4)], dim=2).float()
    rows = present.float() @ parents + torch.einsum("npc,pcd->nd", codes, children)
    return parents, rows + 0.02 * torch.randn(FITTED, D, generator=generator)
