import shutil
from pathlib import Path

import pytest

from unweave import fingerprint as module
from unweave.fingerprint import fingerprint, fingerprint_of_script


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small `unweave` in which `top` imports `middle` inside a function, and `middle` imports `base`."""
    folder = tmp_path / "unweave"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Package."""\n')
    (folder / "base.py").write_text("def area(r):\n    return 3 * r * r\n")
    (folder / "middle.py").write_text('"""Middle."""\nfrom unweave.base import area\n')
    (folder / "top.py").write_text("def run():\n    from unweave import middle\n    return middle\n")
    (folder / "other.py").write_text("X = 1\n")
    (folder / "errors.py").write_text("class UnweaveError(Exception):\n    pass\n")
    monkeypatch.setattr(module, "SOURCE", tmp_path)
    module._tree.cache_clear()
    yield folder
    module._tree.cache_clear()


def after(package: Path, file: str, text: str) -> str:
    (package / file).write_text(text)
    module._tree.cache_clear()
    return fingerprint("unweave.top")


def test_a_change_deep_in_the_import_closure_counts(package):
    before = fingerprint("unweave.top")
    assert after(package, "base.py", "def area(r):\n    return 3.14 * r * r\n") != before


def test_comments_docstrings_and_layout_do_not_count(package):
    before = fingerprint("unweave.top")
    text = '"""New module text."""\n\n\ndef area(r):  # a remark\n    """New text."""\n    return 3 * r * r\n'
    assert after(package, "base.py", text) == before


def test_modules_that_are_not_imported_do_not_count(package):
    before = fingerprint("unweave.top")
    assert after(package, "other.py", "X = 2\n") == before


def test_the_error_class_does_not_count(package):
    (package / "base.py").write_text("from unweave.errors import UnweaveError\n")
    module._tree.cache_clear()
    before = fingerprint("unweave.top")
    assert after(package, "errors.py", "class UnweaveError(ValueError):\n    pass\n") == before


def test_a_script_is_known_by_what_it_imports_and_not_by_its_own_text(package, tmp_path):
    script = tmp_path / "notebook.py"
    script.write_text("from unweave import middle\nprint(1)\n")
    before = fingerprint_of_script(script)
    script.write_text("from unweave import middle\nprint(2)\n")
    assert fingerprint_of_script(script) == before
    shutil.copy(package / "other.py", package / "base.py")
    module._tree.cache_clear()
    assert fingerprint_of_script(script) != before


def test_import_circles_end(package):
    (package / "base.py").write_text("import unweave.top\n")
    module._tree.cache_clear()
    assert fingerprint("unweave.top")
