import errno
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

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


@pytest.mark.parametrize(("readable", "mend"), [(True, "choose another --directory"), (False, "make it readable")])
@pytest.mark.parametrize("place", ["in.json", "folder/in.json"])
def test_reading_and_writing_that_is_not_permitted_have_their_own_mend(
    monkeypatch, capsys, tmp_path, readable, mend, place
):
    there = tmp_path / place.partition("/")[0]
    there.touch()

    def fail() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / place))

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(os, "access", lambda path, mode: readable or str(path) != str(there) or mode != os.R_OK)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {tmp_path / place}: Permission denied: ")
    assert mend in told
    assert (str(there) + ")" in told) != readable


def broken() -> None:
    raise RuntimeError("a bug\nin two lines")


def test_what_nobody_expected_is_one_line_and_status_1(monkeypatch, capsys):
    monkeypatch.delenv(cli.VERBOSE, raising=False)
    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("error: unexpected RuntimeError in test_cli.py, line ")
    assert told.endswith("a bug\\nin two lines: run with --verbose (a workflow: with UNWEAVE_VERBOSE=1)\n")
    assert told.count("\n") == 1


def test_verbose_adds_the_traceback(monkeypatch, capsys):
    monkeypatch.setenv(cli.VERBOSE, "1")
    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit):
        cli.main()
    told = capsys.readouterr().err
    assert told.startswith("Traceback (most recent call last):")
    assert "error: unexpected RuntimeError" in told.splitlines()[-1]


@pytest.mark.parametrize(
    ("stage", "offline"), [("model", False), ("text", False), ("fit", False), ("harvest", True), ("evaluate", True)]
)
def test_only_stages_that_may_take_something_from_the_hub_ask_it(monkeypatch, stage, offline):
    monkeypatch.setattr(cli, "app", lambda: None)
    monkeypatch.setattr(sys, "argv", ["unweave", stage])
    monkeypatch.setattr(os, "environ", {})
    cli.main()
    assert ("HF_HUB_OFFLINE" in os.environ) == offline


@pytest.mark.parametrize("arguments", [("--verbose", "fetch"), ("fetch",)])
def test_the_option_stands_before_the_stage(arguments):
    call = run(*arguments, "--spec", "{", "--output", "x.whl")
    assert call.returncode == 2
    assert ("Traceback" in call.stderr) == (arguments[0] == "--verbose")
    assert call.stderr.splitlines()[-1].startswith("error: --spec: not valid JSON")


STAGES_OF_PARTS = {
    "harvest --model m --text t --output resid=r.h5": "corpus",
    "fit --activations a --layer 1 --seed 0 --output o": "entry",
    "evaluate --dictionary d --model m --output o": "entry",
    "index c.csv --output o": "items",
    "explore --dictionary d --model m --activations n=a --text n=t --output o": "key",
    "explorer t.js --model m=m --activations m/n=a --text n=t --output o": "dictionaries",
}


@pytest.mark.parametrize("stage", STAGES_OF_PARTS)
def test_a_description_that_lacks_a_part_names_it(stage):
    call = CliRunner().invoke(cli.app, [*stage.split(), "--spec", "{}"])
    assert isinstance(call.exception, UnweaveError)
    assert str(call.exception).startswith(f"--spec: {STAGES_OF_PARTS[stage]}: is missing")


@pytest.mark.parametrize("message", ["Error { code: 28, No space left (os error 28) }", "can't write (errno = 28, x)"])
def test_a_full_disk_is_told_by_libraries_that_name_it_in_words_alone(monkeypatch, capsys, message):
    def fail() -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["unweave", "fit", "--output", "results/x.json"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: results/x.json: No space left on device: free space")
