import pytest
import torch

from unweave.methods.sasa.dictionary import SubspaceDictionary


def dictionary(d=10, K=6, r=3, s=2, *, layer_norm=True, seed=0, **tensors):
    generator = torch.Generator().manual_seed(seed)
    made = {
        "encoder": torch.randn(K * r, d, generator=generator),
        "decoder": torch.randn(K * r, d, generator=generator),
        "encoder_bias": torch.zeros(K * r),
        "decoder_bias": torch.randn(d, generator=generator),
    }
    return SubspaceDictionary.build(made | tensors, group_size=r, active_groups=s, layer_norm=layer_norm)


@pytest.fixture
def x():
    return torch.randn(40, 10, generator=torch.Generator().manual_seed(9)) * 5 + 1


def test_permuting_groups_permutes_codes_and_leaves_reconstructions(x):
    one = dictionary()
    columns = torch.arange(18).view(6, 3)[torch.tensor([4, 0, 5, 1, 3, 2])].flatten()
    other = dictionary(**{name: one.tensors[name][columns] for name in ("encoder", "decoder")})
    assert torch.equal(other.encode(x), one.encode(x)[:, columns])
    torch.testing.assert_close(other.decode(other.encode(x), like=x), one.decode(one.encode(x), like=x))


def test_rotating_the_axes_of_each_group_leaves_strengths_and_reconstructions(x):
    one = dictionary()
    R = torch.linalg.qr(torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(1))).Q
    rotated = {name: (R @ one.tensors[name].view(6, 3, 10)).reshape(18, 10) for name in ("encoder", "decoder")}
    other = dictionary(**rotated)
    torch.testing.assert_close(other.strengths(other.encode(x)), one.strengths(one.encode(x)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        other.decode(other.encode(x), like=x), one.decode(one.encode(x), like=x), rtol=1e-4, atol=1e-4
    )


def test_tokens_that_a_group_spans_come_back_through_layer_norm(x):
    """Groups that project orthogonally, and tokens whose standardised rows lie in one of them."""
    basis = torch.linalg.qr(torch.cat([torch.ones(12, 1), torch.randn(12, 11, generator=torch.Generator())], 1)).Q.T
    rows = basis[1:10]
    spanned = torch.randn(40, 3, generator=torch.Generator().manual_seed(2)) @ rows[3:6] * 7 + 4
    made = dictionary(12, 3, 3, 1, encoder=rows, decoder=rows, decoder_bias=torch.zeros(12))
    codes = made.encode(spanned)
    assert (codes[:, 3:6] != 0).any(1).all()
    assert not codes[:, :3].any()
    torch.testing.assert_close(made.decode(codes, like=spanned), spanned, rtol=1e-4, atol=1e-3)


def test_groups_of_one_with_every_code_kept_are_signed_top_k(x):
    made = dictionary(r=1, K=18, s=4, layer_norm=False)
    before = (x - made.tensors["decoder_bias"]) @ made.tensors["encoder"].T
    codes = made.encode(x)
    assert (codes.count_nonzero(1) == 4).all()
    torch.testing.assert_close(codes.abs().amax(1), before.abs().amax(1))
    torch.testing.assert_close(codes[codes != 0], before[codes != 0])


def test_all_groups_active_is_the_linear_map(x):
    made = dictionary(s=6, layer_norm=False)
    before = (x - made.tensors["decoder_bias"]) @ made.tensors["encoder"].T
    torch.testing.assert_close(made.encode(x), before)


def test_without_a_count_the_threshold_decides(x):
    made = dictionary(s=None, threshold=torch.tensor([4.0]))
    strengths = made.strengths(made.encode(x))
    everything = dictionary(s=6)
    norms = everything.strengths(everything.encode(x))
    torch.testing.assert_close(strengths, norms * (norms > 4), rtol=1e-5, atol=1e-5)
    assert strengths.count_nonzero(1).unique().numel() > 1


def test_codes_do_not_depend_on_the_scale_and_offset_of_a_token(x):
    made = dictionary()
    torch.testing.assert_close(made.encode(100 * x + 7), made.encode(x), rtol=1e-3, atol=1e-3)
