"""YAML that is no configuration but an attack on its reader."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.config import read_checked
from unweave.errors import UnweaveError
from unweave.yaml_file import LARGEST, read_yaml

LEVELS = "abcdefghij"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(10))}]\n" for before, name in pairwise(LEVELS)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name}\n  <<: [{', '.join(f'*{before}' for _ in range(10))}]\n" for before, name in pairwise(LEVELS)
)
REFUSED = {
    "aliases that expand without end": (BOMB, "its aliases stand for more than 200,000 values"),
    "merges that expand without end": (MERGES, "its aliases stand for more than 200,000 values"),
    "an alias inside itself": ("a: &a [*a]\n", "line 1: an alias stands inside what it names"),
    "a huge document": ("a: " + "x" * LARGEST, "at most 2,000,000 are read"),
    "nesting without end": ("[" * 50_000, "nested too deeply"),
    "nested mappings": ("{a: " * 50_000, "nested too deeply"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", "line 3: a stands twice"),
    "a key twice, deep down": ("x:\n  - y: 1\n    y: 2\n", "line 3: y stands twice"),
    "an object of Python": ("a: !!python/object/apply:os.system [id]\n", "line 1 is not valid YAML"),
    "a module of Python": ("a: !!python/module:os\n", "line 1 is not valid YAML"),
    "a day that never was": ("a: 2001-99-99\n", "is not valid YAML"),
    "a tag that lies": ("a: !!timestamp nonsense\n", "is not valid YAML"),
    "another tag that lies": ("a: !!bool perhaps\n", "is not valid YAML"),
    "a number of too many digits": ("a: " + "9" * 5000, "is not valid YAML"),
    "two documents": ("a: 1\n---\nb: 2\n", "is not valid YAML"),
    "control characters": ("a: \x01\n", "is not valid YAML"),
    "a list for a key": ("? [a]\n: 1\n", "is not valid YAML"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_document_is_refused_in_one_line(kind, tmp_path):
    text, message = REFUSED[kind]
    path = tmp_path / "methods.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnweaveError) as refusal:
        read_yaml(path)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(str(path))
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"a: \xc3\x28"])
def test_bytes_that_are_no_text_are_refused_in_one_line(content, tmp_path):
    path = tmp_path / "methods.yaml"
    path.write_bytes(content)
    with pytest.raises(UnweaveError, match="cannot be read as UTF-8 text"):
        read_yaml(path)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(UnweaveError, match="cannot be read"):
        read_yaml(tmp_path)


@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_bytes(content)
    for read in (read_yaml, lambda place: read_checked(place, dict[str, int])):
        with suppress(UnweaveError):
            read(path)


def test_honest_aliases_and_merges_are_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {k: 1, l: 2}\nb: {<<: *a, l: 3}\nc: [*a, *a]\n", encoding="utf-8")
    assert read_yaml(path) == {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}, "c": [{"k": 1, "l": 2}] * 2}
