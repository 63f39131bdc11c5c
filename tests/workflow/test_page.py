"""The committed page of figures opens from disk."""

import re
import shutil
import subprocess

import pytest
from matplotlib.image import imread

from unweave.config import PROJECT

FIGURES = PROJECT / "figures"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def targets(kind: str) -> set[str]:
    return set(re.findall(rf'{kind}="([^"]+)"', (FIGURES / "index.html").read_text(encoding="utf-8")))


def test_every_link_resolves():
    links = targets("href")
    text = (FIGURES / "index.html").read_text(encoding="utf-8")
    missing = [link for link in links if not link.startswith("#") and not (FIGURES / link).is_file()]
    assert not missing
    assert all(f'id="{link[1:]}"' in text for link in links if link.startswith("#"))


def test_every_image_loads():
    images = targets("src")
    assert len(images) > 30
    assert all(imread(FIGURES / image).size for image in images)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("page", ["index.html", "comparison/scorecard.html"])
def test_a_browser_reports_no_error_and_asks_the_network_for_nothing(page, tmp_path):
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path}", (FIGURES / page).as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<h1>Unweave</h1>" in run.stdout or "Scorecard" in run.stdout
    assert "CONSOLE" not in run.stderr, run.stderr
    assert not re.findall(r'(?:src|href)="https?:', run.stdout)
