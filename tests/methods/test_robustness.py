"""What no entry of config/methods.yaml may do with rows that are hostile: crash, or hand back what is not finite.

An entry either refuses rows in one line, or fits them; then the dictionary, its codes and its facts are finite.
"""

import json

import numpy as np
import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.config import PROJECT, MethodEntry, read_yaml, validated
from unweave.errors import UnweaveError
from unweave.methods.fit import method_module

ENTRIES = {
    name: validated(MethodEntry, entry, name) for name, entry in read_yaml(PROJECT / "config" / "methods.yaml").items()
}
QUICK = {"tokens": 2000, "batch_size": 100, "iterations": 8, "warmup_steps": 2, "fine_tuning_iterations": 3}
"""What limits the work of a fit, where a method has such a setting."""
N, D = 600, 16


def rows(n=N, d=D, rank=None):
    """Sparse skewed sources, mixed, about an offset."""
    generator = np.random.default_rng(0)
    sources = generator.exponential(size=(n, rank or d)) * (generator.random((n, rank or d)) < 0.3)
    mixed = sources @ generator.normal(size=(rank or d, d)) + generator.normal(size=d)
    return torch.tensor(mixed, dtype=torch.float32)


def with_massive_rows():
    """Two rows that are 10,000 times as long as the others (first positions are 166 times as long in SmolLM2)."""
    x = rows()
    x[[5, 300]] *= 1e4
    return x


def with_constant_features():
    x = rows()
    x[:, [2, 7]] = torch.tensor([3.0, 0.0])
    return x


HOSTILE = {
    "rank-deficient": lambda: rows(rank=3),
    "constant features": with_constant_features,
    "zero rows": lambda: rows() * (torch.arange(N) % 3 > 0)[:, None],
    "repeated rows": lambda: rows(20).repeat(30, 1),
    "massive rows": with_massive_rows,
    "tiny": lambda: rows() * 1e-6,
    "huge": lambda: rows() * 1e6,
    "fewer rows than dimensions": lambda: rows(n=12),
    "one row": lambda: rows(n=1),
    "one dimension": lambda: rows(d=1),
    "all equal": lambda: torch.full((N, D), 2.0),
    "all zero": lambda: torch.zeros(N, D),
}


def activations(x):
    made = InMemoryActivations(x)
    made.labels = np.arange(len(x)) % 3
    made.documents = np.arange(len(x)) // 5
    made.targets = InMemoryActivations(x.flip(1))
    made.targets.site = "mlp_out"
    return made


def refit(name, x, **changes):
    entry = ENTRIES[name]
    module = method_module(entry.method)
    settings = validated(module.Settings, entry.settings, name)
    if getattr(settings, "needs_network", False):
        pytest.skip("downloads what it fits")
    lowered = {key: min(value, getattr(settings, key)) for key, value in QUICK.items() if hasattr(settings, key)}
    settings = settings.model_copy(update={**lowered, **changes})
    return module.fit(activations(x), settings, 0, torch.device("cpu"))


def fitted_or_refused(name, x, **changes):
    """The fit, or None if it was refused in one line."""
    try:
        return refit(name, x, **changes)
    except UnweaveError as error:
        refusal = str(error)
    assert refusal
    assert "\n" not in refusal
    return None


def assert_sound(fitted, x):
    """Dictionary, codes, strengths, reconstruction and facts are finite and agree with each other."""
    codes = fitted.dictionary.encode(x)
    rebuilt = fitted.dictionary.decode(codes, like=x)
    assert codes.shape == (len(x), fitted.dictionary.n_features)
    assert rebuilt.shape == x.shape
    for tensor in (*fitted.dictionary.tensors.values(), codes, rebuilt, fitted.dictionary.strengths(codes)):
        assert tensor.isfinite().all()
    facts = fitted.diagnostics
    json.dumps([facts, fitted.history], allow_nan=False)
    for name in ("dead", "unused", "dead_share", "code_density"):
        assert 0 <= facts.get(name, 0) <= 1, name
    for name in ("l0", "active_groups", "dead_groups", "dead_features", "reseeded", "fvu", "relative_error"):
        assert facts.get(name, 0) >= 0, name
    assert facts.get("fve", 0) <= 1


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", ENTRIES)
def test_hostile_rows_are_refused_in_one_line_or_fitted_soundly(name, kind):
    x = HOSTILE[kind]()
    fitted = fitted_or_refused(name, x)
    if fitted is not None:
        assert_sound(fitted, x)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ENTRIES)
def test_rows_that_are_not_finite_are_refused_unless_nothing_is_read_of_them(name, value):
    x = rows()
    x[17, 3] = value
    fitted = fitted_or_refused(name, x)
    if fitted is not None:
        for key, tensor in refit(name, rows()).dictionary.tensors.items():
            assert torch.equal(fitted.dictionary.tensors[key], tensor)


@pytest.mark.parametrize("name", ENTRIES)
def test_ordinary_rows_are_fitted(name):
    x = rows()
    assert_sound(refit(name, x), x)
