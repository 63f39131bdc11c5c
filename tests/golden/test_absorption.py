import numpy as np
import pytest
import torch
from sae_bench.evals.absorption.feature_absorption_calculator import FeatureAbsorptionCalculator

from unweave.evaluations.absorption import read_out
from unweave.evaluations.absorption.scoring import absorption

WORDS = [f"word{i}" for i in range(300)]
POSITION = -2


class Reads:
    """Stands in for the language model: the activation of a prompt is that of its last word."""

    def __init__(self, x):
        self.x = x

    def to_tokens(self, _):
        return torch.zeros(1, 3)

    def run_with_cache(self, prompts, *, names_filter):
        rows = [WORDS.index(prompt.rpartition("\n")[2].removesuffix(":")) for prompt in prompts]
        return None, {names_filter[0]: self.x[rows][:, None].expand(-1, 3, -1)}


@pytest.mark.parametrize("main", [[0], [3, 5], [1, 2, 4]])
def test_fraction_and_full_absorption_are_those_of_saebench(dictionary, reference_sae, main):
    if dictionary.traits.signed:
        pytest.skip("signed codes are split here")
    generator = torch.Generator().manual_seed(2)
    d = dictionary.atoms.shape[1]
    x = torch.randn(len(WORDS), d, generator=generator)
    probe = dictionary.atoms[7] + dictionary.atoms[main[0]] + 0.3 * torch.randn(d, generator=generator)
    x += 0.5 * probe
    calculator = FeatureAbsorptionCalculator(
        model=Reads(x), icl_word_list=WORDS, max_icl_examples=1, word_token_pos=POSITION, topk_feats=10
    )
    theirs = calculator.calculate_absorption(reference_sae(dictionary), WORDS, probe, main, 1, show_progress=False)

    codes, scales, atoms = read_out(dictionary, x)
    direction = (probe / probe.norm()).double().numpy()
    along = atoms @ direction
    cosines = along / np.linalg.norm(atoms, axis=1)
    ours = absorption(x.double().numpy() @ direction, scales * codes * along, codes, cosines, np.array(main))
    # SAEBench divides by the projection even where it is negative, which its caller has filtered.
    told = [result.probe_projection > 0 for result in theirs.word_results]
    fractions = np.array([result.absorption_fraction for result in theirs.word_results])
    full = np.array([result.is_full_absorption for result in theirs.word_results])
    np.testing.assert_allclose(ours.fraction[told], fractions[told], atol=1e-5)
    np.testing.assert_array_equal(ours.full[told], full[told])
    assert len(set(np.round(fractions[told], 3))) > 2
