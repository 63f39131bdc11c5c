from pathlib import Path

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.library import encode_text, fit

X = torch.randn(300, 16, generator=torch.Generator().manual_seed(1))


def test_a_text_is_encoded_token_by_token(model_folder: Path):
    encoded = encode_text(fit(X, "pca"), model_folder, "abcde", site="resid", layer=1)
    assert encoded.tokens == list("abcde")
    assert encoded.codes.shape == (5, 16)


def test_a_dictionary_of_another_width_is_refused(model_folder: Path):
    with pytest.raises(UnweaveError, match="has 16 dimensions, the dictionary reads 8"):
        encode_text(fit(X[:, :8], "pca"), model_folder, "abc", site="resid", layer=1)
