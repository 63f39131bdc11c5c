import builtins
import copyreg
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest

from unweave.datasets.plain_pickle import load_plain_pickle
from unweave.errors import UnweaveError

PLAIN = [(["a text"], 1), {"key": {1.5, True}}, b"bytes", None, "ä"]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Malicious:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


class Extension:
    """Reached through the extension registry instead of by name."""


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back(protocol: int) -> None:
    plain = [value for value in PLAIN if protocol >= 4 or not isinstance(value, dict | bytes)]
    assert load_plain_pickle(pickle.dumps(plain, protocol), "x") == plain


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "owned"
    content = pickle.dumps([("harmless", 0), Malicious(target)], protocol)
    with pytest.raises(UnweaveError, match=r"words\.dataset: refused .*mkdir"):
        load_plain_pickle(content, "words.dataset")
    assert not target.exists()
    pickle.loads(content)
    assert target.exists(), "the pickle would have run"


@pytest.mark.parametrize("value", [OrderedDict(a=1), Path("x"), builtins.eval, ValueError("x"), complex(1, 2)])
def test_every_class_and_function_is_refused_however_harmless(value: object) -> None:
    with pytest.raises(UnweaveError, match="refused"):
        load_plain_pickle(pickle.dumps(value), "x")


def test_the_old_instance_opcode_is_refused() -> None:
    with pytest.raises(UnweaveError, match=r"os\.getcwd"):
        load_plain_pickle(b"(ios\ngetcwd\n.", "x")


def test_the_extension_registry_is_no_way_around() -> None:
    copyreg.add_extension(__name__, "Extension", 240)
    try:
        with pytest.raises(UnweaveError, match="refused"):
            load_plain_pickle(b"\x80\x02\x82\xf0.", "x")
    finally:
        copyreg.remove_extension(__name__, "Extension", 240)


def test_persistent_ids_are_refused() -> None:
    with pytest.raises(UnweaveError, match="refused"):
        load_plain_pickle(b"Pid\n.", "x")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(PLAIN)[:-5], b"\x80\x04K\x01"])
def test_a_damaged_pickle_is_one_line(content: bytes) -> None:
    with pytest.raises(UnweaveError, match=r"^x: refused") as caught:
        load_plain_pickle(content, "x")
    assert "\n" not in str(caught.value)
