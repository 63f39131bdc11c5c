"""The same features in the terminal: strongest contexts, and texts that a feature changes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from unweave.methods.dictionary import Fit, save
from unweave.methods.linear import LinearDictionary

FACTS = {"site": "resid", "layer": 1, "settings": {}, "seed": 0}


@pytest.fixture(scope="module")
def axes(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dictionary") / "axes"
    save(Fit(LinearDictionary.build(torch.zeros(16), torch.eye(16), torch.eye(16))), folder, FACTS)
    return folder


def unweave(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unweave", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def features(axes: Path, folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    places = ["--activations", folder / "resid.h5", "--text", folder / "text", "--model", folder / "model"]
    return unweave("features", axes, *more, *places)


def test_the_contexts_of_a_feature_hold_its_word(axes: Path, inputs: Path):
    call = features(axes, inputs, 1, "--top", 3)
    assert call.returncode == 0, call.stderr
    lines = [line for line in call.stdout.splitlines() if not line.startswith("feature")]
    assert "feature 1" in call.stdout
    assert len(lines) >= 3
    assert all("bank" in line for line in lines[:3])


def test_text_that_looks_like_markup_is_printed_as_it_is(axes: Path, inputs: Path):
    assert "<script>hacked=1</script>" in features(axes, inputs, 12, "--top", 2).stdout


def test_a_feature_that_is_not_there_is_refused(axes: Path, inputs: Path):
    call = features(axes, inputs, 99)
    assert call.returncode == 2
    assert "has features 0 to 15" in call.stderr


def test_a_prompt_is_continued_with_and_without_a_feature(axes: Path, inputs: Path):
    arguments = ("steer", axes, 2, "the bank", "--model", inputs / "model", "--tokens", 5)
    weak, strong = (unweave(*arguments, "--strength", strength).stdout for strength in (0, 50))
    assert weak.count("the bank") == 2
    plain, steered = (text.splitlines()[1] for text in (weak, strong))
    assert plain == steered
    assert weak.splitlines()[3] != strong.splitlines()[3]


def test_steering_tells_what_is_wrong(axes: Path, inputs: Path):
    call = unweave("steer", axes, 77, "the", "--model", inputs / "model")
    assert (call.returncode, call.stderr.count("\n")) == (2, 1)
    assert "has codes 0 to 15" in call.stderr
