from types import SimpleNamespace

import pytest
import torch

from unweave.activations.batches import Batch
from unweave.activations.memory import InMemoryActivations


@pytest.fixture(scope="session")
def batch_of():
    """A batch that rebuilds what it reads."""
    return lambda x: Batch(x, x)


@pytest.fixture(scope="session")
def sparse_truth():
    """Rows of d = 24 numbers made of 3 of 32 unit directions on average, plus an offset and a little noise."""
    generator = torch.Generator().manual_seed(0)
    n, d, F = 16_000, 24, 32
    directions = torch.nn.functional.normalize(torch.randn(F, d, generator=generator))
    present = torch.rand(n, F, generator=generator) < 3 / F
    codes = present * (1 + torch.rand(n, F, generator=generator))
    offset = torch.randn(d, generator=generator)
    x = codes @ directions + offset + 0.01 * torch.randn(n, d, generator=generator)
    return SimpleNamespace(x=x, codes=codes, directions=directions, offset=offset, activations=InMemoryActivations(x))
