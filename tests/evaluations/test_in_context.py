from dataclasses import replace

import numpy as np
import pytest
import torch

from unweave.errors import UnweaveError
from unweave.evaluations.in_context import Settings, answers, evaluate, labelled, last_tokens
from unweave.evaluations.in_context.prompts import Labelled, Template, prompts
from unweave.evaluations.run import refitting
from unweave.models.hook_points import HookPoint
from unweave.models.language_model import load_language_model

TEMPLATE = Template("review: ", "sentiment: ", ["bad", "good"])
POOL = Labelled([f"text {i}" for i in range(10)], np.arange(10) % 2)
QUERIES = Labelled(["one", "two", "three"], np.array([0, 1, 1]))
BAE = {
    "method_module": "bae",
    "seed": 0,
    "settings": {"gradient": "sigmoid", "batch_size": 16, "validation_fraction": 0.0, "tokens": 1},
}


def rng():
    return np.random.default_rng(0)


def test_a_prompt_ends_where_the_label_belongs():
    assert TEMPLATE.question("so it goes") == "review: so it goes sentiment:"
    assert TEMPLATE.answered(POOL.chosen(np.array([3]))) == "review: text 3 sentiment: good\n"


def test_fixed_demonstrations_leave_only_the_question_to_vary():
    written = prompts(TEMPLATE, POOL, QUERIES, 2, "fixed", rng())
    assert {prompt[: -len(TEMPLATE.question(text))] for prompt, text in zip(written, QUERIES.texts, strict=True)} == {
        "review: text 0 sentiment: bad\nreview: text 1 sentiment: good\n"
    }


def test_drawn_demonstrations_differ_between_prompts_and_keep_their_labels():
    written = prompts(TEMPLATE, POOL, QUERIES, 4, "random", rng())
    contexts = [prompt.split("\n")[:-1] for prompt in written]
    assert len({tuple(lines) for lines in contexts}) == 3
    for line in (line for lines in contexts for line in lines):
        number = int(line.split()[2])
        assert line.endswith(["bad", "good"][number % 2])
    assert all(len(set(lines)) == 4 for lines in contexts)


def test_labels_of_chance_are_wrong_as_often_as_right():
    many = Labelled(["query"] * 300, np.zeros(300, dtype=int))
    lines = [line for p in prompts(TEMPLATE, POOL, many, 2, "random labels", rng()) for line in p.split("\n")[:-1]]
    right = [line.endswith(["bad", "good"][int(line.split()[2]) % 2]) for line in lines]
    assert np.mean(right) == pytest.approx(0.5, abs=0.07)


def test_more_demonstrations_than_texts_are_refused():
    with pytest.raises(UnweaveError, match="11 demonstrations are asked for and 10 texts are there"):
        prompts(TEMPLATE, POOL, QUERIES, 11, "fixed", rng())


@pytest.fixture
def corpus(make_corpus, sentences):
    texts = [sentence for sentence in sentences for _ in range(8)]
    n = len(texts)
    return make_corpus(
        torch.randn(n, 16),
        documents=n,
        texts=texts,
        labels=np.arange(n) % 2,
        splits=np.array(["train", "test"] * (n // 2))[np.argsort(np.arange(n) // 2 % 2, kind="stable")],
        label_names=["money", "water"],
    )


def test_only_short_texts_with_a_label_of_the_split_are_taken(corpus):
    corpus.labels[0] = -1
    taken = labelled(corpus, "train", 6)
    assert all(len(text.split()) <= 6 for text in taken.texts)
    rows = [i for i in range(1, len(corpus.texts)) if corpus.splits[i] == "train" and len(corpus.texts[i].split()) <= 6]
    assert taken.labels.tolist() == corpus.labels[rows].tolist()


def test_padding_changes_no_activation_and_no_answer(tiny_model_folder):
    model = load_language_model(tiny_model_folder, torch.float32, torch.device("cpu"))
    point, device = HookPoint("resid", 1), torch.device("cpu")
    written = ["the bank", "she paid the money into the bank", "a small boat watched"]
    together = last_tokens(model, point, written, device)
    alone = torch.cat([last_tokens(model, point, [text], device) for text in written])
    assert torch.allclose(together, alone, atol=1e-5)
    names = ["river", "account", "money"]
    each = [int(answers(model, [text], names, device)[0]) for text in written]
    assert answers(model, written, names, device).tolist() == each


def test_labels_that_begin_alike_are_refused(tiny_model_folder):
    model = load_language_model(tiny_model_folder, torch.float32, torch.device("cpu"))
    with pytest.raises(UnweaveError, match="two of them begin with the same token"):
        answers(model, ["the bank"], ["money", "money money"], torch.device("cpu"))


def test_every_arm_is_measured_at_every_number_of_demonstrations(
    corpus, make_data, make_dictionary, find, tiny_model_folder
):
    data = replace(make_data({"planted": corpus}, tiny_model_folder), refit=refitting(BAE, torch.device("cpu")))
    settings = Settings(
        text_prefix="", label_prefix="", shots=[0, 2], prompts=16, answered=16, replaced={"tokens": 2000}
    )
    scores = evaluate(make_dictionary(16), data, settings, 0)
    found = {(s.label, s.x) for s in scores if s.metric == "fvu"}
    assert found == {("", 0), ("", 2), ("fixed", 2), ("random labels", 2)}
    assert find(scores, metric="dimensions", label="fixed", x=2) >= 1
    assert 0 <= find(scores, metric="accuracy", label="", x=2) <= 1
    with pytest.raises(UnweaveError, match="labelled test texts"):
        evaluate(make_dictionary(16), data, settings.model_copy(update={"prompts": 500}), 0)
