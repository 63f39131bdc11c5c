import itertools
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from unweave import devices
from unweave.errors import UnweaveError

HOLD = """
import sys, time
from pathlib import Path
from unweave import devices
devices.LOCKS = Path(sys.argv[1])
gpu = devices.claim_gpu(sys.argv[2].split(","))
began = time.monotonic()
time.sleep(0.3)
print(gpu, began, time.monotonic())
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(devices, "LOCKS", tmp_path / "locks")
    return tmp_path / "locks"


def job(locks: Path, gpus: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, str(locks), gpus], stdout=subprocess.PIPE, text=True)


def test_jobs_that_run_at_once_never_share_a_gpu(own_locks: Path):
    jobs = [job(own_locks, "0,1") for _ in range(6)]
    held: dict[str, list[tuple[float, float]]] = {}
    for running in jobs:
        gpu, began, ended = running.communicate(timeout=60)[0].split()
        held.setdefault(gpu, []).append((float(began), float(ended)))
    assert sum(map(len, held.values())) == 6
    assert set(held) <= {"0", "1"}
    for times in held.values():
        ordered = sorted(times)
        assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(ordered))


def test_a_killed_job_frees_its_gpu(own_locks: Path):
    running = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD.replace("0.3", "60").replace("time.sleep", "print(flush=True); time.sleep"),
            str(own_locks),
            "0",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    running.stdout.readline()
    with pytest.raises(UnweaveError, match="--resources gpu=1"):
        devices.claim_gpu(["0"], timeout=0.1)
    running.kill()
    running.wait()
    assert devices.claim_gpu(["0"], timeout=10) == "0"


def test_a_link_in_the_place_of_a_lock_is_not_followed(own_locks: Path, tmp_path: Path):
    own_locks.mkdir(mode=0o700)
    (tmp_path / "precious").write_text("content")
    (own_locks / "0.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UnweaveError, match=r"0\.lock: cannot be opened as a lock \(.*\): delete it"):
        devices.claim_gpu(["0"])
    assert (tmp_path / "precious").read_text() == "content"


def test_a_lock_keeps_what_is_in_it_and_is_the_user_s_alone(own_locks: Path):
    own_locks.mkdir()
    own_locks.chmod(0o2700)  # as below a folder of a group
    (own_locks / "0.lock").write_text("content")
    assert devices.claim_gpu(["0"]) == "0"
    assert (own_locks / "0.lock").read_text() == "content"
    assert devices.claim_gpu(["1"]) == "1"
    assert (own_locks / "1.lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("planted", ["link", "file", "open to all"])
def test_a_folder_of_locks_that_another_could_write_is_refused(own_locks: Path, tmp_path: Path, planted: str):
    if planted == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        own_locks.symlink_to(tmp_path / "elsewhere")
    elif planted == "file":
        own_locks.touch(mode=0o700)
    else:
        own_locks.mkdir()
        own_locks.chmod(0o777)
    with pytest.raises(UnweaveError, match=r"locks: is not a folder of this user alone \(mode 700\).*: delete it"):
        devices.claim_gpu(["0"])


def test_a_folder_of_locks_of_another_user_is_refused(own_locks: Path, monkeypatch: pytest.MonkeyPatch):
    own_locks.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: own_locks.stat().st_uid + 1)
    with pytest.raises(UnweaveError, match="is not a folder of this user alone"):
        devices.claim_gpu(["0"])


def test_without_a_gpu_nothing_is_waited_for():
    assert devices.claim_gpu([]) is None


@pytest.mark.parametrize(("variable", "gpus"), [("2,3", ["2", "3"]), ("", []), ("-1", []), ("GPU-ab/1", ["GPU-ab/1"])])
def test_the_scheduler_says_which_gpus_a_job_has(monkeypatch: pytest.MonkeyPatch, variable: str, gpus: list[str]):
    monkeypatch.setattr(devices, "version", lambda _: "2.13.0+cu130")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert devices.visible_gpus() == gpus


def test_a_cpu_build_of_torch_or_none_uses_no_gpu(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for found in (lambda _: "2.13.0+cpu", missing):
        monkeypatch.setattr(devices, "version", found)
        assert devices.visible_gpus() == []
