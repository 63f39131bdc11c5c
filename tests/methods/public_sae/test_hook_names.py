import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods.public_sae.hook_names import check_place, point_of


@pytest.mark.parametrize(
    ("hook_name", "point"),
    [
        ("blocks.7.hook_resid_post", ("resid", 7)),
        ("blocks.7.hook_resid_pre", ("resid", 6)),
        ("blocks.0.hook_resid_pre", None),
        ("blocks.11.hook_mlp_out", ("mlp_out", 11)),
        ("blocks.3.hook_attn_out", ("attn_out", 3)),
        ("blocks.3.mlp.hook_post", ("mlp_neurons", 3)),
        ("blocks.3.attn.hook_z", None),
        ("blocks.3.ln2.hook_normalized", None),
        ("hook_embed", None),
    ],
)
def test_names_of_transformer_lens_are_our_sites(hook_name, point):
    assert point_of(hook_name, "gpt2-small") == point


def test_outputs_that_a_model_norms_again_are_read_elsewhere_by_transformer_lens():
    assert point_of("blocks.3.hook_mlp_out", "gemma-2-2b") is None
    assert point_of("blocks.3.hook_attn_out", "google/gemma-3-1b-pt") is None
    assert point_of("blocks.3.hook_resid_post", "gemma-2-2b") == ("resid", 3)
    assert point_of("blocks.3.hook_mlp_out", "gemma-2b") == ("mlp_out", 3)


def activations(site="resid", layer=5):
    found = InMemoryActivations(torch.randn(4, 6))
    found.site, found.layer = site, layer
    return found


def test_the_right_place_passes():
    check_place({"hook_name": "blocks.6.hook_resid_pre"}, 6, activations())


def test_what_neither_side_knows_is_not_checked():
    check_place({}, 6, activations())
    check_place({"hook_name": "blocks.1.hook_mlp_out"}, 6, activations(site="", layer=None))


@pytest.mark.parametrize(
    ("metadata", "d_in", "message"),
    [
        ({}, 7, "reads 7 dimensions and the activations have 6"),
        ({"hook_name": "blocks.5.hook_mlp_out"}, 6, r"reads site mlp_out .* and the activations are from resid"),
        ({"hook_name": "blocks.5.hook_resid_pre"}, 6, r"the resid of block 4 .* the activations are from block 5"),
        (
            {"hook_name": "blocks.5.attn.hook_z", "model_name": "m"},
            6,
            "reads blocks.5.attn.hook_z of m, which is no site",
        ),
    ],
)
def test_another_place_is_refused_with_both_named(metadata, d_in, message):
    with pytest.raises(UnweaveError, match=message):
        check_place(metadata, d_in, activations())
