"""Settings that ask for more than there is: refused in one line, or fitted with finite numbers."""

import numpy as np
import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.config import validated
from unweave.errors import UnweaveError
from unweave.methods.fit import method_module

N, D = 60, 8
FEW = {"tokens": 600, "batch_size": 30}
TOO_MUCH = {
    "more clusters than rows": ("kmeans", {"n_features": 1000}),
    "more components than dimensions": ("ica", {"n_components": 1000, "iterations": 5}),
    "more factors than rows": ("snmf", {"n_features": 1000, "iterations": 5}),
    "a level larger than the one below": ("snmf_hierarchy", {"levels": [4, 1000], "iterations": 5}),
    "more active latents than latents": ("sae", {**FEW, "n_features": 16, "gate": {"kind": "topk", "k": 1000}}),
    "more active latents of a batch": ("sae", {**FEW, "n_features": 16, "gate": {"kind": "batchtopk", "k": 1000}}),
    "more active groups than groups": ("sasa", {**FEW, "groups": 4, "group_size": 2, "active_groups": 1000}),
    "groups larger than the width": ("sasa", {**FEW, "groups": 4, "group_size": 100, "active_groups": 1}),
    "batches larger than the rows": ("sae", {"tokens": 600, "batch_size": 100_000, "n_features": 16}),
    "bits by the thousand": ("bae", {**FEW, "expansion": 500}),
    "fewer tokens than a batch": ("bae", {"tokens": 1, "batch_size": 30}),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_too_much_is_refused_in_one_line_or_fitted_soundly(kind):
    name, settings = TOO_MUCH[kind]
    module = method_module(name)
    x = torch.tensor(np.random.default_rng(0).exponential(size=(N, D)), dtype=torch.float32)
    try:
        checked = validated(module.Settings, settings, name)
        fitted = module.fit(InMemoryActivations(x), checked, 0, torch.device("cpu"))
    except UnweaveError as error:
        refusal = str(error)
    else:
        codes = fitted.dictionary.encode(x)
        assert codes.isfinite().all()
        assert fitted.dictionary.decode(codes, like=x).isfinite().all()
        return
    assert refusal.isprintable()
    assert len(refusal) > 10
