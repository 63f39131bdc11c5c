import pytest
import torch

from unweave.methods.sasa.ranks import (
    CodeCovariance,
    decoder_spectra,
    participation_ratio,
    rank90,
    stable_rank,
    summary,
)

SPECTRA = torch.tensor([[1.0, 1, 1, 1], [9, 1, 0, 0], [8, 2, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]], dtype=torch.float64)


def test_rank90_is_the_smallest_number_of_values_that_hold_nine_tenths():
    assert rank90(SPECTRA).tolist() == [4, 1, 2, 0, 1]


def test_soft_ranks_agree_on_flat_and_on_single_spectra():
    for soft in (stable_rank, participation_ratio):
        ranks = soft(SPECTRA)
        assert ranks[[0, 3, 4]].tolist() == [4, 0, 1]
        assert ((ranks[1:3] > 1) & (ranks[1:3] < 2)).all()


def test_soft_ranks_of_two_values_are_known():
    assert stable_rank(SPECTRA[1:3]).tolist() == pytest.approx([10 / 9, 10 / 8])
    assert participation_ratio(SPECTRA[1:3]).tolist() == pytest.approx([100 / 82, 100 / 68])


@pytest.mark.parametrize("scale", [1e-250, 1e-3, 1e140])
def test_no_rank_depends_on_the_scale_of_a_spectrum(scale):
    for rank in (rank90, stable_rank, participation_ratio):
        torch.testing.assert_close(rank(scale * SPECTRA), rank(SPECTRA))


def test_nine_tenths_up_to_rounding_are_nine_tenths():
    assert rank90(torch.tensor([[0.3, 0.3, 0.3, 0.1]], dtype=torch.float64)).tolist() == [3]
    assert rank90(torch.tensor([[0.3, 0.3, 0.29, 0.11]], dtype=torch.float64)).tolist() == [4]


def test_a_group_is_alive_from_ten_tokens_on_which_its_codes_are_more_than_rounding_errors():
    codes = torch.zeros(12, 6)
    codes[:10, :2] = codes[:9, 2:4] = 1
    codes[:, 4:] = 5e-7
    covariance = CodeCovariance.empty(3, 2, torch.device("cpu"))
    covariance.add(codes)
    assert covariance.counts.tolist() == [10, 9, 0]
    assert covariance.spectra()[1].tolist() == [True, False, False]


def test_decoder_spectra_are_squared_singular_values():
    D = torch.randn(5, 3, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.linalg.svdvals(D.double()).square().flip(1)
    torch.testing.assert_close(decoder_spectra(D), expected, rtol=1e-9, atol=0)


def test_spectra_of_small_blocks_are_small_and_none_is_negative():
    generator = torch.Generator().manual_seed(0)
    D = torch.randn(50, 4, 1, generator=generator) @ torch.randn(50, 1, 9, generator=generator)
    spectra = decoder_spectra(0.01 * D)
    torch.testing.assert_close(spectra, 1e-4 * decoder_spectra(D), rtol=1e-5, atol=1e-12)
    covariance = CodeCovariance.empty(50, 4, torch.device("cpu"))
    covariance.add(torch.randn(40, 50, 1, generator=generator).expand(40, 50, 4).reshape(40, 200))
    for found in (spectra, covariance.spectra()[0]):
        assert (found >= 0).all()
        assert (rank90(found) == 1).all()


def test_code_covariance_is_that_of_the_tokens_on_which_a_group_is_active():
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(300, 9, generator=generator) + 1
    codes[:, :3] *= torch.tensor([3.0, 1.0, 0.0])
    codes[100:, :3] = 0
    codes[5:, 6:] = 0
    covariance = CodeCovariance.empty(3, 3, torch.device("cpu"))
    for part in codes.split(77):
        covariance.add(part)
    spectra, alive = covariance.spectra()
    assert covariance.counts.tolist() == [100, 300, 5]
    assert alive.tolist() == [True, True, False]
    expected = torch.linalg.eigvalsh(torch.cov(codes[:100, :3].double().T, correction=0))
    torch.testing.assert_close(spectra[0], expected, rtol=1e-9, atol=1e-12)
    assert rank90(spectra[:1]).item() in (1, 2)


def test_a_summary_of_no_groups_is_empty_and_one_of_some_is_finite():
    assert summary(SPECTRA[:0]) == {}
    facts = summary(SPECTRA[:3])
    assert facts["rank90"] == pytest.approx(7 / 3)
    assert facts["rank90_median"] == 2
    assert (facts["rank90_p10"], facts["rank90_p90"]) == (pytest.approx(1.2), pytest.approx(3.6))
    assert facts["stable_rank"] == pytest.approx((4 + 10 / 9 + 10 / 8) / 3)
    assert facts["participation_ratio"] == pytest.approx((4 + 100 / 82 + 100 / 68) / 3)
