"""The real sae-lens loads what we export and computes the same codes and reconstructions."""

import pytest
import torch

from unweave.interchange.saelens import write_saelens


def test_an_exported_dictionary_is_the_same_in_sae_lens(dictionary, tmp_path):
    sae_lens = pytest.importorskip("sae_lens")
    ours = dictionary
    if ours.traits.group_size > 1:
        pytest.skip("sae-lens has no groups")
    write_saelens(ours, tmp_path / "sae", model="tiny", hook_name="blocks.1.hook_resid_post")
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "sae"), device="cpu")
    x = torch.randn(40, ours.atoms.shape[1], generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        codes = theirs.encode(x)
        expected = ours.encode(x)
        if ours.traits.linear:
            positive, negative = codes.chunk(2, dim=1)
            torch.testing.assert_close(positive - negative, expected, rtol=1e-4, atol=1e-5)
        else:
            torch.testing.assert_close(codes, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(theirs.decode(codes), ours.decode(expected), rtol=1e-4, atol=1e-5)
