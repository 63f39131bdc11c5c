import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.group_ranks import ISOTROPIC, Settings, evaluate, isotropic_spectra, written_spectra
from unweave.methods.sasa.dictionary import SubspaceDictionary
from unweave.methods.sasa.ranks import rank90

D, R = 12, 3


def grouped(decoder=None, bias=0.0):
    """Four groups of three coordinates each; the two strongest are active."""
    tensors = {
        "encoder": torch.eye(D),
        "decoder": torch.eye(D) if decoder is None else decoder,
        "encoder_bias": torch.full((D,), bias),
        "decoder_bias": torch.zeros(D),
    }
    return SubspaceDictionary.build(tensors, group_size=R, active_groups=2, layer_norm=False)


def planted_rows(ranks, n=4000, seed=0):
    """Rows in which group g varies in the first `ranks[g]` of its coordinates, two groups at a time."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, D, generator=generator)
    keep = torch.zeros(D)
    for group, rank in enumerate(ranks):
        keep[group * R : group * R + rank] = 1
    present = torch.rand(n, len(ranks), generator=generator).topk(2, dim=1).indices
    mask = torch.zeros(n, len(ranks)).scatter_(1, present, 1.0)
    return x * keep * mask.repeat_interleave(R, dim=1)


def test_planted_ranks_are_counted_whatever_the_decoder_allows(make_corpus, make_data, find):
    data = make_data({"c": make_corpus(planted_rows([1, 2, 2, 3]))})
    scores = evaluate(grouped(), data, Settings(), 0)
    assert find(scores, metric="rank90", label="written") == 2
    assert find(scores, metric="rank90", label="codes") == 2
    assert find(scores, metric="rank90", label="decoder") == 3
    assert find(scores, metric="rank90", label=ISOTROPIC) == 3
    shares = [find(scores, metric="rank_share", label="written", x=float(rank)) for rank in (1, 2, 3)]
    assert shares == [0.25, 0.5, 0.25]
    assert find(scores, metric="alive_groups") == 1


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_what_a_group_writes_does_not_depend_on_its_basis(seed):
    rng = np.random.default_rng(seed)
    factor, blocks = torch.from_numpy(rng.standard_normal((2, 3, 3))), torch.from_numpy(rng.standard_normal((2, 3, 7)))
    covariance = factor @ factor.mT
    basis = torch.from_numpy(rng.standard_normal((2, 3, 3))) + 3 * torch.eye(3, dtype=torch.float64)
    # codes -> codes @ basis, atoms -> basis^-1 @ atoms
    changed = written_spectra(basis.mT @ covariance @ basis, torch.linalg.solve(basis, blocks))
    assert torch.allclose(written_spectra(covariance, blocks), changed, rtol=1e-6, atol=1e-8)
    direct = torch.linalg.eigvalsh(blocks.mT @ covariance @ blocks)[:, -3:]
    assert torch.allclose(written_spectra(covariance, blocks), direct, rtol=1e-6, atol=1e-8)


def test_a_decoder_of_parallel_rows_writes_one_dimension_though_codes_have_three(make_corpus, make_data, find):
    decoder = torch.eye(D)
    decoder[1] = decoder[2] = decoder[0]
    scores = evaluate(grouped(decoder), make_data({"c": make_corpus(planted_rows([3, 3, 3, 3]))}), Settings(), 0)
    assert find(scores, metric="rank_share", label="written", x=1.0) == 0.25
    assert find(scores, metric="rank_share", label="decoder", x=1.0) == 0.25
    assert find(scores, metric="rank_share", label="codes", x=1.0) == 0


def test_few_tokens_show_less_than_the_full_participation_even_without_structure():
    few, many = isotropic_spectra(torch.tensor([10] * 50), 4, 0), isotropic_spectra(torch.tensor([2000] * 50), 4, 0)
    assert rank90(few).double().mean() < rank90(many).double().mean() == 4


def test_single_codes_have_rank_one(make_corpus, make_data, make_dictionary, find):
    scores = evaluate(make_dictionary(D), make_data({"c": make_corpus(torch.randn(500, D))}), Settings(), 0)
    for label in ("decoder", "codes", "written", ISOTROPIC):
        assert find(scores, metric="rank90", label=label) == 1
        assert find(scores, metric="participation_ratio", label=label) == pytest.approx(1)


def test_a_silent_dictionary_is_refused_with_the_corpus(make_corpus, make_data):
    silent = grouped()
    silent.tensors["encoder"] = torch.zeros(D, D)
    with pytest.raises(UnweaveError, match=r"^c: fewer than two features fire on ten tokens"):
        evaluate(silent, make_data({"c": make_corpus(planted_rows([1, 2, 2, 3]))}), Settings(), 0)
