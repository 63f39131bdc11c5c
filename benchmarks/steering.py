"""P21: calibrating steering strengths, against the released loop of one direction and target at a time.

Both sides find the strengths of the same directions for the same targets on SmolLM2; their divergences are compared, as
two strengths may reach the same target.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.functional import normalize

from benchmarks.data import LAYER, Data
from benchmarks.goal import Goal, paired
from benchmarks.peers import steering as published
from unweave.evaluations.steering.calibration import calibrate, divergence_from
from unweave.evaluations.steering.prompt import read_prompt
from unweave.models.language_model import load_language_model

MODEL = Path("results/models/smollm2")
PROMPT = "I think that"
DIRECTIONS = 3
TARGETS = (0.025, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5)


@torch.inference_mode()
def goals(data: Data) -> Iterator[Goal]:
    """Time both; one pair takes about a minute."""
    language_model = load_language_model(MODEL, torch.float32, torch.device("cpu"))
    model = language_model.model
    ids = torch.tensor([language_model.tokenizer(PROMPT)["input_ids"]])
    drawn = torch.randn(DIRECTIONS, data.resid.d, generator=torch.Generator().manual_seed(0))
    directions = torch.stack([sign * v for v in normalize(drawn) for sign in (1, -1) for _ in TARGETS])
    targets = torch.tensor(TARGETS).repeat(2 * DIRECTIONS)

    def ours() -> torch.Tensor:
        prompt = read_prompt(language_model, PROMPT, LAYER, model.device)
        return calibrate(divergence_from(model, LAYER, prompt.stream), directions, targets, prompt.unit).divergences

    def theirs() -> list[float | None]:
        return published.strengths(model, LAYER, ids, directions, targets.tolist())

    met = float(((ours() - targets).abs() <= published.ACCEPTED).double().mean())
    accepted = sum(found is not None for found in theirs()) / len(targets)
    times = paired(ours, theirs)
    yield Goal(
        goal="P21",
        name="calibrated strengths of steering against the released loop",
        ours=times.ours,
        peer=times.peer,
        unit="s",
        ratio=times.ratio,
        target=20,
        pairs=times.pairs,
        spread=times.spread,
        note=f"{len(targets)} strengths; within {published.ACCEPTED}: {met:.0%} of ours, {accepted:.0%} of theirs",
    )
