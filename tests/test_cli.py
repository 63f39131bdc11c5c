import errno
import subprocess
import sys

import pytest

from unweave import cli
from unweave.errors import UnweaveError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "unweave", *arguments], capture_output=True, text=True, check=False)


def test_help_lists_the_stages_without_importing_anything_heavy():
    code = "import sys, unweave.cli; print({'torch', 'transformers', 'pandas', 'h5py'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
    for stage in ("fetch", "model", "text", "harvest", "fit", "evaluate", "figure", "schemas"):
        assert stage in run("--help").stdout


def test_a_mistake_is_one_line_and_status_2():
    call = run("fetch", "--spec", '{"type": "pypi"}', "--output", "x.whl")
    assert call.returncode == 2
    assert call.stderr.count("\n") == 1
    assert call.stderr.startswith("error: --spec: project: ")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (UnweaveError("config.yaml: layer 40 is missing"), "error: config.yaml: layer 40 is missing\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/results/x.h5"),
            "error: /results/x.h5: No space left on device",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/results"), "error: /results: Permission denied"),
    ],
)
def test_what_the_user_can_mend_never_shows_a_traceback(monkeypatch, capsys, failure, message):
    def fail() -> None:
        raise failure

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()
