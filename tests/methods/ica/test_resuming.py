"""A fit that is killed goes on from its checkpoint to the same bytes."""

import pytest
import torch

from unweave.methods.checkpoint import Checkpoint
from unweave.methods.ica import Settings, fit


class KilledError(Exception):
    pass


class KilledAfter(Checkpoint):
    """A checkpoint whose fit is killed right after the k-th save."""

    def __init__(self, path, saves):
        super().__init__(path, "fit", interval_s=0)
        self.saves = saves

    def save(self, tensors, facts):
        super().save(tensors, facts)
        self.saves -= 1
        if not self.saves:
            raise KilledError


FITS = {
    "symmetric": Settings(iterations=12),
    "refits": Settings(iterations=4, tolerance=1e-13, refits=3, refit_iterations=3),
    "deflation": Settings(algorithm="deflation", iterations=8),
    "lbfgs in bfloat16": Settings(algorithm="lbfgs", iterations=9, precision="bfloat16"),
    "lbfgs with held-out rows": Settings(
        algorithm="lbfgs", iterations=9, precision="float32", plateau=1e-9, held_out=0.2
    ),
    "ensemble": Settings(algorithm="lbfgs", iterations=3, precision="float32", ensemble=1),
}


@pytest.mark.parametrize("name", FITS)
def test_a_killed_fit_ends_as_if_it_had_not_been_killed(plant, cpu, tmp_path, name):
    activations, settings = plant(n=3000, d=6, gaussian=2).activations, FITS[name]
    path = tmp_path / "checkpoint"
    whole = fit(activations, settings, 3, cpu)
    kills = 0
    # Killed after every third save, from wherever it then was, until it gets through.
    while True:
        try:
            resumed = fit(activations, settings, 3, cpu, KilledAfter(path, 3))
            break
        except KilledError:
            kills += 1
    assert kills >= 2
    assert resumed.history == whole.history
    assert resumed.diagnostics == whole.diagnostics
    for key, tensor in whole.dictionary.tensors.items():
        assert torch.equal(resumed.dictionary.tensors[key], tensor)


def test_iterations_that_a_checkpoint_holds_are_not_repeated(planted, in_memory, cpu, tmp_path):
    from unweave.methods.ica import fixed_point

    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        fit(planted.activations, Settings(iterations=10), 0, cpu, KilledAfter(path, 7))
    taken = []
    original = fixed_point.summary
    fixed_point.summary = lambda lim: taken.append(1) or original(lim)
    try:
        fit(planted.activations, Settings(iterations=10), 0, cpu, Checkpoint(path, "fit"))
    finally:
        fixed_point.summary = original
    assert len(taken) == 3
