import re
import shutil
import subprocess

import pytest

from unweave.config import PROJECT


def make(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("make") or "make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, **options)


def test_make_alone_lists_every_target():
    listed = set(re.findall(r"^make ([a-z-]+)", make().stdout, flags=re.MULTILINE))
    declared = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert declared
    assert listed == set(declared[1].split())


@pytest.mark.parametrize(
    ("target", "last"),
    [("figures", "snakemake --cores all"), ("unit-test", "tests/slurm"), ("test", "tests/slurm")],
)
def test_a_target_makes_its_environment_first_if_that_is_missing(tmp_path, target, last):
    lines = make("--dry-run", target, f"VENV={tmp_path}/venv").stdout.splitlines()
    assert any("-m venv" in line for line in lines)
    assert any("--require-hashes --requirement envs/requirements.txt" in line for line in lines)
    assert lines[-1].endswith(last)


def test_an_old_python_is_refused_in_one_line(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    call = make("figures", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert call.returncode != 0
    assert "is not Python 3.11, 3.12 or 3.13: call make with PYTHON=" in call.stderr
    assert not (tmp_path / "venv").exists()
