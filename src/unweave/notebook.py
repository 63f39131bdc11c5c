"""Executing one notebook with papermill so that parallel runs never meet and nothing half-drawn is left behind."""

import logging
import os
import pprint
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from papermill.exceptions import PapermillExecutionError
from papermill.translators import PythonTranslator, papermill_translators
from traitlets.config import Config
from typing_extensions import override

from unweave.errors import UnweaveError
from unweave.files import staged_file, write_json

log = logging.getLogger(__name__)
CELL_TIMEOUT_SECONDS = 600
KERNEL = "unweave"
SUFFIXES = (".png", ".svg", ".csv")
TABLE_SUFFIXES = (".md", ".tex")
"""What the notebook of a table writes besides."""

EMBEDDED_IMAGE = re.compile(r"<img\b[^>]*data:image/png;base64[^>]*>")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' data:; \
style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 60rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #1c1c1c; }}
img {{ max-width: 100%; }}
pre {{ background: #f6f6f6; padding: .6rem; overflow-x: auto; font-size: .85rem; }}
table {{ border-collapse: collapse; font-size: .9rem; }}
td, th {{ border-bottom: 1px solid #e3e3e3; padding: .2rem .6rem; text-align: left; }}
.anchor-link {{ display: none; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


class _Literal(IPythonRenderer):
    """Markdown as HTML in which tags are shown as they stand; nbconvert's own way lets them through."""

    @override
    def block_html(self, html: str) -> str:
        return f"<p>{escape(html)}</p>\n"

    @override
    def inline_html(self, html: str) -> str:
        return escape(html)


def _html(markdown: str) -> str:
    """Markdown as HTML without tags of its own and without links that run something."""
    renderer = _Literal(escape=False, allow_harmful_protocols=False)
    return str(MarkdownWithMath(renderer=renderer).render(markdown))


class _Laid(PythonTranslator):  # type: ignore[misc]
    """Parameters as a cell. papermill's own way would lay them out otherwise where a formatter is installed."""

    @classmethod
    @override
    def codify(cls, parameters: dict[str, Any], comment: str = "Parameters") -> str:
        values = (f"{name} = {pprint.pformat(value, width=100)}\n" for name, value in parameters.items())
        return "".join([f"# {comment}\n", *values])


papermill_translators.register("python", _Laid)


def execute(source: Path, output: Path, scores: list[Path], parameters: dict[str, Any]) -> list[Path]:
    """Run `source` (jupytext percent) and write the executed notebook to `output`.

    The notebook runs in a folder of its own and gets `scores` (list of paths), `stem` (the name of its figure, without
    a suffix) and `parameters`. It must write `<stem>.png`, `.svg` and `.csv`, a table `.md` and `.tex` too. They are
    moved beside `output` once the whole notebook has run, with the executed notebook as a page.

    Returns
    -------
    The files that were written.

    Raises
    ------
    UnweaveError
        if a cell fails or takes too long, or the kernel is killed (the failed notebook is kept as
        `<output>.failed.ipynb`), or a figure file is missing.
    """
    notebook = jupytext.read(source)
    name = output.with_suffix("").name
    with _drawing_folder(output.with_name(f".{name}.drawing")) as folder, _private_kernel() as config:
        written = folder / "input.ipynb"
        nbformat.write(notebook, written)
        given = {"scores": [os.path.relpath(path, folder) for path in scores], "stem": name, **parameters}
        executed = folder / output.name
        try:
            papermill.execute_notebook(
                written,
                executed,
                parameters=given,
                kernel_name=KERNEL,
                progress_bar=False,
                execution_timeout=CELL_TIMEOUT_SECONDS,
                cwd=folder,
                config=config,
            )
        except PapermillExecutionError as error:
            problem = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
            raise UnweaveError(f"{source}: {problem} (see {_kept(executed, output)})") from None
        except CellTimeoutError:
            problem = f"a cell ran for more than {CELL_TIMEOUT_SECONDS} s: make it smaller"
            raise UnweaveError(f"{source}: {problem} (see {_kept(executed, output)})") from None
        except DeadKernelError:
            problem = "its kernel was killed, as happens where memory runs out: give the rule more mem_mb"
            raise UnweaveError(f"{source}: {problem} (see {_kept(executed, output)})") from None
        _forget_machine(executed)
        results = []
        _page(executed, folder / f"{name}.html")
        for suffix in (*SUFFIXES, *TABLE_SUFFIXES, ".ipynb", ".html"):
            drawn = (folder / name).with_suffix(suffix)
            if not drawn.exists() and suffix in TABLE_SUFFIXES:
                continue
            if not drawn.exists():
                raise UnweaveError(f"{source}: wrote no {suffix} file: end it with unweave.plots.figure.save(...)")
            with staged_file(output.with_suffix(suffix)) as partial:
                drawn.replace(partial)
            results.append(output.with_suffix(suffix))
    return results


def _kept(executed: Path, output: Path) -> Path:
    """Keep a notebook as far as it ran."""
    failed = output.with_suffix(".failed.ipynb")
    executed.replace(failed)
    return failed


@contextmanager
def _drawing_folder(path: Path) -> Iterator[Path]:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def _private_kernel() -> Iterator[Config]:
    """Describe a kernel of this very interpreter that talks through sockets in a folder of its own.

    Parallel kernels on TCP now and then pick the same port, and a user's own `python3` kernel may be another Python.
    """
    with tempfile.TemporaryDirectory(prefix="unweave-") as folder:
        specification = Path(folder, "kernels", KERNEL, "kernel.json")
        # Without a history, which would be a file that all kernels and the user share.
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        command += ["--HistoryManager.enabled=False"]
        write_json(specification, {"argv": command, "display_name": KERNEL, "language": "python"})
        config = Config()
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = str(Path(folder, "socket"))
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join([folder, *filter(None, [before])])
        try:
            yield config
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def _page(executed: Path, page: Path) -> None:
    """Write a notebook as one small HTML page that fetches nothing; its figure is the file beside it."""
    filters = {"markdown2html": _html}
    exporter: Any = HTMLExporter(template_name="basic", filters=filters)  # type: ignore[no-untyped-call]
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_filename(str(executed))
    body = EMBEDDED_IMAGE.sub(f'<img src="{page.stem}.png" alt="the figure">', body)
    page.write_text(PAGE.format(title=escape(page.stem), body=body), encoding="utf-8")


def _forget_machine(path: Path) -> None:
    """Remove papermill's clock times and paths of this machine, so that equal results give equal notebooks.

    What cells wrote to standard error is about the machine too, such as caches that could not be written: it is logged.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                log.info("cell %d: %s", number, output["text"].rstrip())
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, path)
