"""The binary autoencoder where the entropy is known: r independent directions, each there half of the time, are r bits.

As in Section 4.1 of arXiv 2509.20997, of which we know neither widths nor sample sizes: here d = 64 and F = 256, with
8,192 rows to train on and 2,048 to measure.
"""

import math
from collections.abc import Iterator

import torch

from benchmarks.truth.check import Check
from unweave.activations.memory import InMemoryActivations
from unweave.methods.bae import Settings, fit
from unweave.methods.bae.penalties import covariance_penalty, marginal_entropy

CPU = torch.device("cpu")
D, TRAINED, MEASURED = 64, 8192, 2048
PAPER = "arXiv 2509.20997, Section 4.1"
LONG = Settings(
    epochs=2000,
    tokens=2000 * TRAINED,
    gradient="sigmoid",
    entropy_weight=1e-3,
    covariance_weight=0.0,
    validation_fraction=MEASURED / (TRAINED + MEASURED),
)
SHORT = LONG.model_copy(update={"epochs": 250})


def directions(r: int, seed: int = 0) -> InMemoryActivations:
    """Rows C B / sqrt(r) with fair coins C (n, r) and Gaussian directions B (r, d)."""
    generator = torch.Generator().manual_seed(seed)
    coins = torch.randint(0, 2, (TRAINED + MEASURED, r), generator=generator).float()
    return InMemoryActivations(coins @ torch.randn(r, D, generator=generator) / math.sqrt(r))


def checks() -> Iterator[Check]:
    """Return every check, the quick ones first."""
    yield from formulas()
    yield from released()
    yield from planted()


def formulas() -> Iterator[Check]:
    """Return the penalties of codes for which they are known."""
    yield Check(
        name="entropy of 8192 channels that are on half of the time, in bits",
        value=float(marginal_entropy(torch.full((8192,), 0.5))),
        lowest=8192,
        highest=8192,
        source="arithmetic",
    )
    copies = (torch.arange(512) % 2.0)[:, None].expand(512, 512).contiguous()
    yield Check(
        name="covariance of 512 copies of a channel that is on in half of 512 rows",
        value=float(covariance_penalty(copies, copies.sum(0))[0]),
        lowest=65536,
        highest=65536,
        source="m (m - 1) n / (4 (n - 1))",
    )
    coins = torch.randint(0, 2, (512, 2048), generator=torch.Generator().manual_seed(0)).float()
    yield Check(
        name="covariance of 2048 independent fair coins in 512 rows",
        value=float(covariance_penalty(coins, coins.sum(0))[0]),
        lowest=36_993 * 0.99,
        highest=36_993 * 1.01,
        source="m (m - 1) / 4 sqrt(2 / (pi (n - 1)))",
    )


def released() -> Iterator[Check]:
    """Return what the published gradient makes of 8 bits: the number may be right while the code is not."""
    note = "why an entropy is reported beside its FVU"
    settings = SHORT.model_copy(update={"gradient": "released"})
    facts = fit(directions(8), settings, 0, CPU).diagnostics
    yield Check(
        name="8 bits, published gradient, entropy weight .001, 250 epochs: FVU (a failure that is expected)",
        value=facts["fvu"],
        lowest=0.1,
        source="our reading of the released code",
        note=f"{facts['entropy_miller_madow']:.2f} bits, Chow-Liu {facts['entropy_chow_liu']:.2f}; {note}",
    )
    published = settings.model_copy(update={"entropy_weight": 1e-7, "covariance_weight": 1e-7})
    facts = fit(directions(8), published, 0, CPU).diagnostics
    yield Check(
        name="8 bits, published gradient and weights 1e-7, 250 epochs: bits (a failure that is expected)",
        value=facts["entropy_miller_madow"],
        lowest=16,
        source="our reading of the released code",
        note=f"FVU {facts['fvu']:.3f}, Chow-Liu {facts['entropy_chow_liu']:.2f}; {note}",
    )


def planted() -> Iterator[Check]:
    """Return the bits that the sigmoid's gradient finds in 8, 16 and 32."""
    for r in (8, 16, 32):
        facts = fit(directions(r), LONG, 0, CPU).diagnostics
        note = (
            f"sum over channels {facts['entropy_miller_madow']:.2f}, Chow-Liu {facts['entropy_chow_liu']:.2f}, "
            f"FVU {facts['fvu']:.4f}, {facts['epochs']:.0f} epochs"
        )
        estimate = "entropy_chow_liu" if r == 8 else "entropy_miller_madow"
        yield Check(
            name=f"{r} bits, gradient of the sigmoid: {'Chow-Liu bound' if r == 8 else 'sum over channels'} in bits",
            value=facts[estimate],
            lowest=r - 0.1,
            highest=r + 0.1,
            source=f"{r} fair coins, {PAPER}",
            note=note,
        )
        yield Check(
            name=f"{r} bits, gradient of the sigmoid: FVU on held-out rows",
            value=facts["fvu"],
            highest=0.02,
            source="a right number of bits counts for nothing without it",
            note=note,
        )
