from dataclasses import replace

import numpy as np
import pytest
import torch

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.position_entropy import Settings, evaluate, rows_at
from unweave.evaluations.run import refitting

POSITIONS = [1, 3]
SETTINGS = Settings(positions=POSITIONS, k=6, replaced={"tokens": 60_000})
BAE = {
    "method_module": "bae",
    "seed": 0,
    "settings": {
        "gradient": "sigmoid",
        "entropy_weight": 1e-3,
        "covariance_weight": 0.0,
        "batch_size": 128,
        "tokens": 1,
    },
}


@pytest.fixture
def corpus(make_corpus):
    """600 documents of tokens 1 to 3, some shorter: two random bits at position 1, six at the others."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(600, 3, 6)).astype(np.float32)
    bits[:, 0, 2:] = 0
    basis = np.linalg.qr(rng.standard_normal((16, 16)))[0][:6]
    x = (2 * bits - 1) @ basis + 0.01 * rng.standard_normal((600, 3, 16))
    docs, positions = np.repeat(np.arange(600), 3), np.tile([1, 2, 3], 600)
    long = (docs % 10 != 0) | (positions < 3)
    planted = make_corpus(torch.from_numpy(x.reshape(-1, 16)[long]))
    planted.tokens = StoredTokens(np.zeros(long.sum(), dtype=np.int64), docs[long], positions[long])
    return planted


def test_every_document_that_is_long_enough_gives_one_row_of_each_position(corpus):
    rows = rows_at(corpus, POSITIONS)
    assert rows.shape == (2, 540)
    assert (corpus.tokens.positions[rows] == np.array(POSITIONS)[:, None]).all()
    assert (corpus.tokens.docs[rows[0]] == corpus.tokens.docs[rows[1]]).all()


def test_bits_follow_what_is_said_at_a_position(corpus, make_data, make_dictionary, find):
    data = replace(make_data({"planted": corpus}), refit=refitting(BAE, torch.device("cpu")))
    scores = evaluate(make_dictionary(16), data, SETTINGS, 0)
    for x, bits in ((1, 2), (3, 6)):
        assert find(scores, metric="fvu", x=x) < 0.3
        assert find(scores, metric="entropy_joint", x=x) == pytest.approx(bits, rel=0.15)
        assert find(scores, metric="entropy_sum", label="", x=x) >= find(scores, metric="entropy_joint", x=x) - 0.1
    assert find(scores, metric="entropy_sum", label="PCA signs", x=3) == pytest.approx(6, abs=0.2)
    assert find(scores, metric="dimensions", x=1) == pytest.approx(2, abs=0.2)
    assert find(scores, metric="dimensions", x=3) == pytest.approx(6, rel=0.1)


def test_too_few_documents_are_refused(make_corpus, make_data, make_dictionary):
    data = make_data({"short": make_corpus(torch.randn(100, 16))})
    with pytest.raises(UnweaveError, match="short: 20 documents have tokens at all of the positions 1, 3"):
        evaluate(make_dictionary(16), replace(data, refit=lambda *_, **__: None), SETTINGS, 0)
