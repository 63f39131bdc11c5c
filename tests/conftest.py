"""Tests on several processes at once (`pytest -n 2 --dist loadgroup`): what shares an expensive run stays together."""

import os
from pathlib import Path

import pytest

TOGETHER = ("workflow", "explorer", "slurm", "golden")
"""Folders whose tests share a run of the workflow, a site or a cluster; elsewhere the tests of a file do."""

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: one thread each, as there are as many processes as cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.pluginmanager.hasplugin("xdist"):
        return

    def group(item: pytest.Item) -> str:
        path = item.path.relative_to(Path(__file__).parent)
        return path.parts[0] if path.parts[0] in TOGETHER else str(path)

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    # The longest group starts first.
    items.sort(key=lambda item: TOGETHER.index(group(item)) if group(item) in TOGETHER else len(TOGETHER))
