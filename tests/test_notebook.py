import ast
import shutil
import subprocess
import sys

import nbformat
import pytest

from unweave import cli, notebook
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.notebook import execute
from unweave.provenance import read_record

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% tags=["parameters"]
scores, stem, word = [], "", "none"
# %%
from pathlib import Path
import sys
"""
DRAW = "for suffix in ('.png', '.svg', '.csv'):\n    Path(stem + suffix).write_text(f'{word} {len(scores)}')\n"


def source_of(tmp_path, body: str):
    path = tmp_path / "drawn.py"
    path.write_text(HEADER + body, encoding="utf-8")
    return path


def test_a_notebook_gets_its_parameters_and_its_files_land_beside_it(tmp_path):
    output = tmp_path / "figures" / "item.ipynb"
    written = execute(source_of(tmp_path, DRAW), output, [tmp_path / "a.parquet"], {"word": "hello"})
    assert (tmp_path / "figures/item.csv").read_text() == "hello 1"
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(path.name for path in written)


def test_the_stage_records_every_file_that_the_notebook_reads_and_hands_it_the_tables(tmp_path):
    read = [source_of(tmp_path, DRAW), tmp_path / "a.parquet", tmp_path / "claims.yaml"]
    for path in read[1:]:
        path.write_text(path.name)
    cli.figure(read[0], read[1:], "{}", tmp_path / "item.ipynb")
    assert (tmp_path / "item.csv").read_text() == "none 1"
    assert read_record(tmp_path / "item.csv")["inputs"] == {str(path): sha256_of(path) for path in read}


def test_two_runs_give_the_same_notebook_to_the_byte(tmp_path):
    source = source_of(tmp_path, DRAW)
    outputs = [tmp_path / name / "item.ipynb" for name in ("one", "two")]
    for output in outputs:
        execute(source, output, [], {"word": "same"})
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_the_cell_of_parameters_does_not_depend_on_what_else_is_installed(tmp_path, monkeypatch):
    titles = {f"method-{number}": {"title": f"Method {number}"} for number in range(9)}
    outputs = [tmp_path / name / "item.ipynb" for name in ("formatter", "none")]
    for output in outputs:
        execute(source_of(tmp_path, DRAW), output, [], {"titles": titles})
        monkeypatch.setitem(sys.modules, "black", None)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    (cell,) = [c for c in nbformat.read(outputs[0], 4).cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert max(map(len, cell.source.splitlines())) <= 100
    given = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}
    assert given["titles"] == titles


def test_the_kernel_is_the_interpreter_that_runs_the_workflow(tmp_path):
    body = DRAW.replace("{word}", "{sys.executable}")
    execute(source_of(tmp_path, body), tmp_path / "item.ipynb", [], {})
    assert (tmp_path / "item.csv").read_text().startswith(sys.executable)


def test_a_failing_cell_is_named_and_leaves_no_figure(tmp_path):
    output = tmp_path / "figures" / "item.ipynb"
    with pytest.raises(UnweaveError, match=r"drawn.py: cell \d+: ValueError: nothing to draw"):
        execute(source_of(tmp_path, DRAW + "raise ValueError('nothing to draw')\n"), output, [], {})
    assert [path.name for path in output.parent.iterdir()] == ["item.failed.ipynb"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
            "its kernel was killed, .*: give the rule more mem_mb",
        ),
        ("import time\ntime.sleep(60)\n", "a cell ran for more than 3 s: make it smaller"),
    ],
)
def test_a_kernel_that_is_killed_or_never_done_is_one_line_and_leaves_no_figure(tmp_path, monkeypatch, body, message):
    monkeypatch.setattr(notebook, "CELL_TIMEOUT_SECONDS", 3)
    output = tmp_path / "figures" / "item.ipynb"
    with pytest.raises(UnweaveError, match=rf"drawn\.py: {message} \(see .*item\.failed\.ipynb\)") as error:
        execute(source_of(tmp_path, DRAW + body), output, [], {})
    assert "\n" not in str(error.value)
    assert [path.name for path in output.parent.iterdir()] == ["item.failed.ipynb"]
    assert body.splitlines()[-1] in output.with_suffix(".failed.ipynb").read_text()


def test_a_notebook_that_draws_nothing_is_refused(tmp_path):
    with pytest.raises(UnweaveError, match=r"wrote no \.png file"):
        execute(source_of(tmp_path, "pass\n"), tmp_path / "item.ipynb", [], {})


def test_what_a_cell_writes_to_standard_error_is_logged_and_not_kept(tmp_path, caplog):
    caplog.set_level("INFO", logger="unweave.notebook")
    body = DRAW + "print('no cache in', '/tmp/of-this-machine', file=sys.stderr)\nprint('kept')\n"
    execute(source_of(tmp_path, body), tmp_path / "item.ipynb", [], {})
    for suffix in (".ipynb", ".html"):
        written = (tmp_path / "item").with_suffix(suffix).read_text(encoding="utf-8")
        assert "kept" in written
        assert "no cache in /tmp/of-this-machine" not in written
    assert "no cache in /tmp/of-this-machine" in caplog.text


def test_no_history_of_the_user_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    execute(source_of(tmp_path, DRAW), tmp_path / "item.ipynb", [], {})
    assert not list((tmp_path / "ipython").rglob("history.sqlite"))


SAID = """# %%
from IPython.display import HTML, Markdown
Markdown("It *said* <script>alert(1)</script> by <img src=x onerror=alert(2)>, [here](javascript:alert(3)) or "
         "[there](https://example.org), a &lt; b\\n\\n<iframe src=x></iframe>")
"""


def test_what_a_text_says_is_shown_and_nothing_in_it_runs(tmp_path):
    execute(source_of(tmp_path, DRAW + SAID), tmp_path / "item.ipynb", [], {})
    shown = (tmp_path / "item.html").read_text(encoding="utf-8").partition("output_markdown")[2]
    assert "It <em>said</em> &lt;script&gt;alert(1)&lt;/script&gt; by &lt;img" in shown
    assert "&lt;iframe" in shown
    assert 'href="https://example.org"' in shown
    assert "a &lt; b" in shown
    assert not [word for word in ("<script", "<img", "<iframe", "javascript:") if word in shown]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_page_opened_from_disk_shows_its_figure_and_runs_nothing(tmp_path):
    body = DRAW + "from IPython.display import HTML, Image, display\n"
    body += 'display(HTML(\'<img src="item.png"><script>document.title = "ran"</script>\'))\n'
    execute(source_of(tmp_path, body), tmp_path / "item.ipynb", [], {})
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=2000", "--dump-dom"]
    command += [(tmp_path / "item.html").as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<title>item</title>" in run.stdout
    (refused,) = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert "inline script violates the following Content Security Policy" in refused
