from dataclasses import replace

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.evaluations.rate_distortion import Settings, evaluate
from unweave.evaluations.run import refitting

SAE = {
    "method_module": "sae",
    "seed": 0,
    "settings": {
        "gate": {"kind": "topk", "k": 4},
        "n_features": 48,
        "tokens": 60_000,
        "batch_size": 256,
        "learning_rate": 5e-3,
    },
}
POINTS = Settings(points=[{"gate.k": 8}, {"gate.k": 2}], shared={"tokens": 60_000})


@pytest.fixture
def data(make_corpus, make_data):
    def rows(seed):
        generator = torch.Generator().manual_seed(seed)
        codes = torch.rand(1500, 24, generator=generator) * (torch.rand(1500, 24, generator=generator) < 0.15)
        return codes @ torch.randn(24, 12, generator=torch.Generator().manual_seed(9))

    corpora = {"fitted": make_corpus(rows(0)), "measured": make_corpus(rows(1))}
    return replace(make_data(corpora), refit=refitting(SAE, torch.device("cpu")))


def test_fewer_bits_explain_less(data, make_dictionary, find):
    scores = evaluate(make_dictionary(12), data, POINTS, 0)
    for metric, falls in (("entropy_sum", True), ("entropy_chow_liu", True), ("l0", True), ("fvu", False)):
        many, few = (find(scores, metric=metric, x=x) for x in (0, 1))
        assert (many > few) == falls, metric


def test_points_that_change_nothing_are_refused(data, make_dictionary):
    nothing = Settings(points=[{"entropy_weight": 1.0}, {"entropy_weight": 2.0}], shared={"tokens": 5000})
    with pytest.raises(UnweaveError, match="the points change no setting of this method"):
        evaluate(make_dictionary(12), data, nothing, 0)


def test_it_needs_two_corpora_and_a_method_to_fit(data, make_dictionary):
    with pytest.raises(UnweaveError, match="needs two corpora"):
        evaluate(make_dictionary(12), replace(data, corpora={"one": data.corpora["fitted"]}), POINTS, 0)
    with pytest.raises(UnweaveError, match="fit a method again"):
        evaluate(make_dictionary(12), replace(data, refit=None), POINTS, 0)
