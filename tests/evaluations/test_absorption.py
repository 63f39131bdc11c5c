import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.absorption import letter_scores, read_out
from unweave.evaluations.absorption.latents import main_latents
from unweave.evaluations.absorption.scoring import absorption
from unweave.evaluations.absorption.words import Asked, Words, draw_words
from unweave.methods.linear import LinearDictionary
from unweave.models.language_model import load_language_model

ONE = np.array([0])


def scored(contributions, projection, main=ONE, cosines=None):
    contributions = np.atleast_2d(np.array(contributions, dtype=float))
    cosines = np.full(contributions.shape[1], 0.5) if cosines is None else np.array(cosines)
    return absorption(np.full(len(contributions), float(projection)), contributions, contributions, cosines, main)


def test_a_main_latent_that_says_it_all_leaves_nothing_to_absorb():
    result = scored([1.0, 0.6, 0.0], 1.0)
    assert result.fraction[0] == 0
    assert not result.full[0]


def test_a_silent_main_latent_and_one_that_speaks_instead_is_full_absorption():
    result = scored([0.0, 0.9, 0.0], 1.0)
    assert result.fraction[0] == 1
    assert result.full[0]


def test_half_and_half_is_half_absorbed():
    assert scored([0.5, 0.5, 0.0], 1.0).fraction[0] == pytest.approx(0.5)


def test_what_others_say_too_faintly_is_not_absorption():
    assert scored([0.0, 0.3, 0.0], 1.0).fraction[0] == 0
    assert not scored([0.0, 0.3, 0.0], 1.0).full[0]


def test_latents_that_point_elsewhere_do_not_absorb():
    result = scored([0.0, 0.9, 0.0], 1.0, cosines=[0.5, 0.02, 0.5])
    assert result.fraction[0] == 0
    assert not result.full[0]


@given(st.integers(0, 999), st.floats(0.1, 10))
def test_the_unit_of_activations_does_not_matter(seed, scale):
    rng = np.random.default_rng(seed)
    contributions, cosines = rng.standard_normal((20, 6)), rng.uniform(-1, 1, 6)
    projections = rng.uniform(0.5, 2, 20)
    one = absorption(projections, contributions, np.abs(contributions), cosines, ONE)
    other = absorption(scale * projections, scale * contributions, scale * np.abs(contributions), cosines, ONE)
    np.testing.assert_allclose(one.fraction, other.fraction, atol=1e-9)
    np.testing.assert_array_equal(one.full, other.full)
    assert ((one.fraction >= 0) & (one.fraction <= 1)).all()


def test_a_letter_that_two_latents_say_is_split():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    codes = 0.05 * np.abs(rng.standard_normal((400, 8)))
    halves = np.arange(400) // 2 % 2
    codes[(y == 1) & (halves == 0), 2] += 1
    codes[(y == 1) & (halves == 1), 5] += 1
    chosen, f1 = main_latents(codes[:300], y[:300], codes[300:], y[300:])
    assert set(chosen.tolist()) == {2, 5}
    assert f1[1] > f1[0] + 0.1


def test_latents_that_absorb_are_found_and_a_clean_latent_is_not_charged():
    """Letter 0 has a latent that fires on all its words; of letter 1 half the words have a latent of their own."""
    rng = np.random.default_rng(0)
    d, n = 8, 400
    letters = np.arange(n) % 4
    atoms = np.eye(d)
    codes = np.zeros((n, d))
    for letter in range(4):
        codes[letters == letter, letter] = 1
    absorbed = (letters == 1) & (np.arange(n) // 4 % 2 == 0)
    codes[absorbed, 1], codes[absorbed, 6] = 0, 1
    atoms[6] = 0.95 * np.eye(d)[1] + 0.31 * np.eye(d)[6]
    x = codes @ atoms + 0.02 * rng.standard_normal((n, d))
    found = letter_scores(x, codes, np.ones((n, 1)), atoms, letters, np.arange(n) // 4 % 5 > 0)
    assert len(found["main_latents"]) == 4
    assert found["full_absorption"][0] == 0
    charged = found["full_absorption"][1], found["main_latents"][1]
    assert charged[0] > 0.3 or charged[1] == 2


def test_signed_codes_are_split_and_add_up_to_the_reconstruction(make_dictionary):
    dictionary = make_dictionary(6)
    x = torch.randn(10, 6)
    codes, scales, atoms = read_out(dictionary, x)
    assert (codes >= 0).all()
    np.testing.assert_allclose((scales * codes) @ atoms, dictionary.decode(dictionary.encode(x)).numpy(), atol=1e-5)


def test_a_row_that_is_scaled_back_scales_its_terms(make_dictionary):
    dictionary = make_dictionary(6, row_norm=True)
    x = torch.randn(10, 6) * 7
    codes, scales, atoms = read_out(dictionary, x)
    np.testing.assert_allclose((scales * codes) @ atoms, x.numpy(), atol=1e-4)
    assert isinstance(dictionary, LinearDictionary)


class Vocabulary:
    tokens = (" apple", " an", "banana", " berry", " Beet", " c3po", " cherry")

    def __len__(self):
        return len(self.tokens)

    def decode(self, ids):
        return self.tokens[ids[0]]


def test_words_are_whole_tokens_of_letters():
    words = draw_words(Vocabulary(), 5, np.random.default_rng(0))
    assert sorted(words.texts) == [" Beet", " apple", " berry", " cherry"]
    assert dict(zip(words.texts, words.letters.tolist(), strict=True))[" Beet"] == 1


def test_a_vocabulary_without_words_is_refused():
    class Bytes(Vocabulary):
        tokens = ("a", "b")

    with pytest.raises(UnweaveError, match="no words of one token"):
        draw_words(Bytes(), 5, np.random.default_rng(0))


@torch.inference_mode()
def test_reading_the_examples_once_is_reading_them_with_every_word(tiny_model_folder):
    cpu = torch.device("cpu")
    model = load_language_model(tiny_model_folder, torch.float32, cpu)
    examples = Words(["boat", "bank"], np.array([1, 1]))
    words = Words(["river", "money", "loan"], np.array([17, 12, 11]))
    found = Asked(model, examples, cpu).activations(words, "resid", 1)
    prompt = "\nboat has the first letter: B\nbank has the first letter: B\n"
    for row, text in zip(found, words.texts, strict=True):
        ids = torch.tensor([model.tokenizer(prompt + f"{text} has the first letter:")["input_ids"]])
        hidden = model.model(input_ids=ids, output_hidden_states=True).hidden_states[2][0]
        place = ids[0].tolist().index(model.tokenizer(text)["input_ids"][0])
        torch.testing.assert_close(row, hidden[place], atol=1e-5, rtol=1e-4)
