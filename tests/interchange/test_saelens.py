"""What is exported and read again encodes and decodes as before."""

from pathlib import Path

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.interchange.saelens import read_saelens, write_saelens
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary
from unweave.methods.sae.dictionary import SparseAutoencoder

D, F = 6, 20


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = draw(50, D, seed=9)


def autoencoder(gate: str, normalisation: str = "none", **options: int) -> SparseAutoencoder:
    tensors = {
        "W_enc": draw(F, D, seed=1),
        "center": draw(D, seed=2),
        "b_enc": 0.3 * draw(F, seed=3),
        "W_dec": torch.nn.functional.normalize(draw(F, D, seed=4)),
        "b_dec": draw(D, seed=5),
    }
    if gate == "threshold":
        tensors["threshold"] = draw(F, seed=6).abs()
    if gate == "gated":
        tensors |= {"r_mag": 0.2 * draw(F, seed=7), "b_mag": draw(F, seed=8)}
    traits = Traits(signed=gate == "signed_topk", linear=False, normalisation=normalisation)  # type: ignore[arg-type]
    return SparseAutoencoder(tensors, traits, {"gate": gate, **options})


GATES = [("relu", {}), ("topk", {"k": 3}), ("signed_topk", {"k": 3}), ("threshold", {}), ("gated", {})]


@pytest.mark.parametrize(("gate", "options"), GATES)
@pytest.mark.parametrize("normalisation", ["none", "layer_norm"])
def test_an_autoencoder_survives_the_round_trip(gate: str, options: dict[str, int], normalisation: str, tmp_path: Path):
    ours = autoencoder(gate, normalisation, **options)
    write_saelens(ours, tmp_path / "sae", model="tiny", hook_name="blocks.1.hook_resid_post")
    theirs = read_saelens(tmp_path / "sae")
    torch.testing.assert_close(theirs.encode(X), ours.encode(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        theirs.decode(theirs.encode(X), like=X), ours.decode(ours.encode(X), like=X), rtol=1e-4, atol=1e-5
    )


def test_a_signed_linear_dictionary_has_a_latent_for_each_sign(tmp_path: Path):
    ours = LinearDictionary.build(draw(D, seed=1), draw(4, D, seed=2), draw(4, D, seed=3))
    write_saelens(ours, tmp_path / "sae")
    theirs = read_saelens(tmp_path / "sae")
    codes = theirs.encode(X)
    assert (codes >= 0).all()
    torch.testing.assert_close(codes[:, :4] - codes[:, 4:], ours.encode(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(theirs.decode(codes), ours.decode(ours.encode(X)), rtol=1e-4, atol=1e-5)


def test_what_has_no_such_form_is_refused_and_nothing_is_written(tmp_path: Path):
    unit_rows = LinearDictionary.build(draw(D), draw(4, D), draw(4, D), row_norm=True)
    with pytest.raises(UnweaveError, match="row_norm"):
        write_saelens(unit_rows, tmp_path / "sae")
    assert not list(tmp_path.iterdir())
