import numpy as np

from unweave.models.token_strings import token_strings


class FakeTokenizer:
    def decode(self, ids):
        return {0: " Monday", 3: "red "}[ids[0]]


def test_tokens_lose_their_space():
    assert token_strings(np.array([0, 3, 0]), FakeTokenizer()).tolist() == ["Monday", "red", "Monday"]
