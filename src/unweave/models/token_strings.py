"""What single tokens say."""

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase


def token_strings(ids: NDArray[np.integer], tokenizer: PreTrainedTokenizerBase) -> NDArray[np.str_]:
    """Text (n,) of each token id (n,), without the space around it."""
    distinct, places = np.unique(ids, return_inverse=True)
    texts = np.array([str(tokenizer.decode([int(i)])).strip() for i in distinct], dtype=np.str_)
    return texts[places]
