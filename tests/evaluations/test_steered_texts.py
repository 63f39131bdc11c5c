import pytest
import torch

from unweave.evaluations.steered_texts import WITHOUT, Settings, evaluate
from unweave.evaluations.steering.calibration import calibrate, divergence_from
from unweave.evaluations.steering.generation import continuations, mean_losses
from unweave.evaluations.steering.prompt import read_prompt
from unweave.models.language_model import load_language_model

LAYER, D = 1, 16
CPU = torch.device("cpu")
PROMPT = "she paid the"


@pytest.fixture(scope="module")
def whole(tiny_model_folder):
    return load_language_model(tiny_model_folder, torch.float32, CPU)


@pytest.fixture
def texts_of(make_data, make_dictionary, tiny_model_folder):
    """Label of every text by its divergence, and all rows, of given settings."""

    def texts(**settings):
        chosen = Settings(**{"prompt": PROMPT, "features": 2, "targets": [0.1], "tokens": 6, **settings})
        return evaluate(make_dictionary(D), make_data({}, tiny_model_folder), chosen, 0)

    return texts


def test_every_direction_has_a_text_of_either_sign_beside_the_one_without(texts_of):
    texts = [(row.label.split(": ")[0], row.x) for row in texts_of() if row.metric == "text_loss"]
    named = sorted({name for name, _ in texts})
    assert len(named) == 5
    assert sum(name.startswith("feature ") for name in named) == 2
    assert [x for name, x in texts if name == WITHOUT] == [0]
    assert all({x for other, x in texts if other == name} == {0.1, -0.1} for name in named if name != WITHOUT)


def test_the_text_without_a_feature_is_what_the_model_writes_and_its_loss_is_the_models(texts_of, whole):
    (row,) = (row for row in texts_of(greedy=True, tokens=4) if row.label.startswith(WITHOUT))
    ids = torch.tensor(whole.tokenizer(PROMPT)["input_ids"])
    with torch.inference_mode():
        written = whole.model.generate(ids[None], max_new_tokens=4, do_sample=False)[0, len(ids) :]
        assert row.label == f"{WITHOUT}: {whole.tokenizer.decode(written)}"
        assert row.value == pytest.approx(float(mean_losses(whole.model, ids, written[None])))


@pytest.mark.parametrize("positions", ["every", "last"])
@torch.inference_mode()
def test_the_strength_on_file_reaches_the_divergence(texts_of, whole, make_data, make_dictionary, positions):
    rows = texts_of(positions=positions)
    strengths = [row for row in rows if row.metric == "strength" and row.label.startswith("feature")]
    layer, atoms = make_data({}).layer, torch.nn.functional.normalize(make_dictionary(D).atoms)
    stream = read_prompt(whole, PROMPT, layer, CPU).stream
    divergence = divergence_from(whole.model, layer, stream, last_only=positions == "last")
    for row in strengths:
        feature = int(row.label.split(":")[0].removeprefix("feature "))
        direction = atoms[[feature]] * (1 if row.x > 0 else -1)
        assert float(divergence(torch.tensor([row.value]), direction)) == pytest.approx(abs(row.x), rel=0.05)
    assert len(strengths) == 4


@torch.inference_mode()
def test_at_the_last_position_alone_the_next_token_moves_as_calibrated_and_nothing_is_added_later(whole):
    prompt = read_prompt(whole, PROMPT, LAYER, CPU)
    direction = torch.nn.functional.normalize(torch.randn(1, D, generator=torch.Generator().manual_seed(1)))
    divergence = divergence_from(whole.model, LAYER, prompt.stream, last_only=True)
    found = calibrate(divergence, direction, torch.tensor([0.3]), prompt.unit)
    assert float(found.divergences) == pytest.approx(0.3, rel=0.05)
    added = found.strengths[:, None] * direction
    written = continuations(whole.model, LAYER, prompt.ids, added, 5, None, last_only=True)[0]
    # The same by hand: one changed state, kept in the cache, and an untouched model from then on.
    states = []

    def change(_, __, output):
        hidden = output[0] if isinstance(output, tuple) else output
        if not states:
            hidden[:, -1] += added[0]
        states.append(hidden)

    handle = whole.model.model.layers[LAYER].register_forward_hook(change)
    expected = whole.model.generate(prompt.ids[None], max_new_tokens=5, do_sample=False)[0, len(prompt.ids) :]
    handle.remove()
    assert written.tolist() == expected.tolist()


def test_a_divergence_that_is_not_reached_has_no_text(texts_of):
    rows = texts_of(targets=[0.1, 1e6])
    assert [row.value for row in rows if row.metric == "calibrated"] == [0.5]
    assert {abs(row.x) for row in rows if row.metric != "calibrated"} == {0, 0.1}


@pytest.mark.parametrize("targets", [[], [0.1, 0.1], [0.0]])
def test_divergences_are_some_distinct_and_positive(targets):
    with pytest.raises(ValueError, match="targets"):
        Settings(targets=targets)


@torch.inference_mode()
def test_adding_everywhere_and_at_the_last_position_differ(whole):
    prompt = read_prompt(whole, PROMPT, LAYER, CPU)
    direction = torch.ones(1, D)
    every, last = (
        divergence_from(whole.model, LAYER, prompt.stream, last_only=only)(torch.ones(1), direction)
        for only in (False, True)
    )
    assert not torch.equal(every, last)
