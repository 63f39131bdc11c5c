"""The trials: each disturbs one job in one way, then looks at what is there and lets the same command end its work.

A trial ends as
    unharmed    the fault changed nothing: it came too late, or hit bytes that nobody reads
    recovered   the same command, run again, ended in the content of an undisturbed run
    clear       one line said what is wrong and what to do; doing that ended in the content of an undisturbed run
    unclear     it failed otherwise, or did not end
    loss        other content passed for a finished result
"""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults import damage
from tests.faults.jobs import Ended, Job, contents, inodes, snakemake, start, view
from tests.faults.project import online

from unweave.config import PROJECT

UNHARMED, RECOVERED, CLEAR, UNCLEAR, LOSS = "unharmed", "recovered", "clear", "unclear", "loss"


@dataclass(frozen=True)
class Outcome:
    """What became of a trial."""

    kind: str
    stage: str
    ended: str
    detail: str = ""


class Laboratory:
    """A finished run, copies of which are disturbed."""

    def __init__(self, root: Path, jobs: list[Job], seconds: Mapping[str, float], port: int) -> None:
        self.prepared = root / "run"
        self.folder = root / "trial"
        self.jobs = jobs
        self.seconds = seconds
        self.port = port
        self.contents = contents(self.prepared)
        self.known = inodes(self.prepared, self.contents)
        self.network = online(port)

    def fresh(self, job: Job | None = None) -> Path:
        """A copy of the finished run, without the results of `job`."""
        view(self.prepared, self.folder)
        if job:
            job.clear(self.folder)
        return self.folder

    def run(self, job: Job, **options: object) -> Ended:
        """Run a job in the copy."""
        return start(job, self.folder, **{"environment": self.network, **options}).wait()  # type: ignore[arg-type]

    def differences(self, job: Job | None = None) -> list[str]:
        """Results, of `job` or of all, that are missing or not those of the undisturbed run."""
        found = contents(self.folder, self.known)
        return [
            path
            for path, digest in self.contents.items()
            if (job is None or job.owns(path)) and found.get(path) != digest
        ]

    def half_finished(self, job: Job) -> list[str]:
        """Finished names that hold something else than the finished file."""
        found = contents(self.folder, self.known)
        named = [path for path in found if job.owns(path) and not path.endswith(".partial")]
        return [path for path in named if self.contents.get(path) != found[path]]

    def leftovers(self) -> list[str]:
        """Files that an undisturbed run does not leave."""
        return sorted(contents(self.folder, self.known).keys() - self.contents.keys())

    def producer(self, path: str) -> Job:
        """Job that makes a file."""
        return next(job for job in self.jobs if job.owns(path))

    def consumers(self, path: str) -> list[Job]:
        """Jobs that read a file, or the folder that it belongs to."""
        return [
            job for job in self.jobs if any(self.producer(path).owns(read) and _with(read, path) for read in job.inputs)
        ]

    def judged(self, kind: str, job: Job, ended: Ended, mend: Callable[[], Ended | None]) -> Outcome:
        """Outcome of a job that ran into a fault; `mend` does what a refusal asks for and runs it again."""
        if ended.status == 0:
            wrong = self.differences(job)
            return Outcome(kind, job.stage, LOSS if wrong else UNHARMED, ", ".join(wrong))
        if self.half_finished(job):
            return Outcome(kind, job.stage, LOSS, f"half finished: {', '.join(self.half_finished(job))}")
        again = mend()
        if again is not None and again.status != 0:
            return Outcome(kind, job.stage, UNCLEAR, f"the mend fails: {_last(again)}")
        if self.differences():
            return Outcome(kind, job.stage, LOSS, f"after the mend: {', '.join(self.differences())}")
        if not ended.is_clear:
            return Outcome(kind, job.stage, UNCLEAR, _last(ended))
        return Outcome(kind, job.stage, CLEAR, ended.refusals[0])


def _with(read: str, path: str) -> bool:
    """Whether reading `read` reads `path`: it is the same file, or lies in the folder that the manifest stands for."""
    return read == path or (read.endswith("/manifest.json") and Path(read).parent == Path(path).parent)


def _last(ended: Ended) -> str:
    lines = [line for line in ended.output.splitlines() if line.strip()]
    return f"status {ended.status}: {lines[-1] if lines else 'silent'}"[:400]


def killed(lab: Laboratory, job: Job, draw: random.Random) -> Outcome:
    """Kill a job at a random moment, now and then again in its second run, with clocks that may have jumped back."""
    lab.fresh(job)
    hit = False
    for _ in range(draw.choice((1, 1, 2))):
        running = start(job, lab.folder, lab.network)
        hit |= not running.ended_within(draw.random() * lab.seconds[job.name])
        running.kill()
        running.wait()
        if half := lab.half_finished(job):
            return Outcome("killed", job.stage, LOSS, f"half finished: {', '.join(half)}")
    return _rerun("killed", lab, job, hit)


def _rerun(kind: str, lab: Laboratory, job: Job, hit: bool) -> Outcome:
    again = lab.run(job)
    if again.status != 0:
        return Outcome(kind, job.stage, CLEAR if again.is_clear else UNCLEAR, _last(again))
    if wrong := lab.differences():
        return Outcome(kind, job.stage, LOSS, f"other content after the rerun: {', '.join(wrong)}")
    return Outcome(kind, job.stage, RECOVERED if hit else UNHARMED, ", ".join(lab.leftovers()))


def clock_skew(lab: Laboratory, job: Job, draw: random.Random) -> Outcome:
    """Kill a job, then date every file, its leftovers too, up to ten years into the future."""
    lab.fresh(job)
    running = start(job, lab.folder, lab.network)
    running.ended_within(draw.random() * lab.seconds[job.name])
    running.kill()
    running.wait()
    then = time.time() + draw.choice((60.0, 86400.0, 3e8))
    for path in lab.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
            os.utime(path, (then, then))
    return _rerun("clock skew", lab, job, hit=True)


def damaged(lab: Laboratory, path: str, consumer: Job, how: str, draw: random.Random) -> Outcome:
    """Damage a file, then run a job that reads it."""
    kind = f"damaged {artifact(path)}"
    lab.fresh(consumer)
    if not damage.spoil(lab.folder / path, how, draw):
        return Outcome(kind, consumer.stage, UNHARMED)

    def mend() -> Ended | None:
        maker = lab.producer(path)
        maker.clear(lab.folder)
        made = lab.run(maker)
        return made if made.status else lab.run(consumer)

    outcome = lab.judged(kind, consumer, lab.run(consumer), mend)
    return Outcome(kind, consumer.stage, outcome.ended, f"{how} {path}: {outcome.detail}")


def unverified(lab: Laboratory, path: str, how: str, draw: random.Random) -> Outcome:
    """Damage a file, then let `unweave verify` look for it."""
    kind, folder = f"verify {artifact(path)}", path.partition("/")[0]
    lab.fresh()
    if not damage.spoil(lab.folder / path, how, draw):
        return Outcome(kind, "verify", UNHARMED)
    ended = start(("verify", folder), lab.folder).wait()
    named = f"changed: {path}" in ended.output.splitlines()
    if ended.status == 1 and named and "Traceback" not in ended.output:
        return Outcome(kind, "verify", CLEAR)
    return Outcome(kind, "verify", LOSS if ended.status == 0 else UNCLEAR, f"{how} {path}: {_last(ended)}")


def artifact(path: str) -> str:
    """What kind of file it is."""
    kinds = {".whl": "wheel", ".h5": "HDF5", ".arrow": "Arrow", ".json": "JSON"}
    return kinds.get(Path(path).suffix, Path(path).suffix.removeprefix("."))


def damaged_state(lab: Laboratory, job: Job, how: str, draw: random.Random) -> Outcome:
    """Kill a job when it has kept its state, damage that state, and run the job again."""
    kind = "damaged header of state" if how in damage.OF_HEADERS else "damaged state"
    lab.fresh(job)
    running = start(job, lab.folder, lab.network)
    kept: list[Path] = []
    while not running.ended_within(0.005):
        kept = [path for path in _kept(lab.folder / job.place) if path.stat().st_size]
        if kept and draw.random() < 0.3:
            break
    running.kill()
    running.wait()
    kept = [path for path in kept if path.exists()]
    if not kept:
        return Outcome(kind, job.stage, UNHARMED)
    path = draw.choice(kept)
    if not damage.spoil(path, how, draw):
        return Outcome(kind, job.stage, UNHARMED)

    def mend() -> Ended:
        for file in _kept(lab.folder / job.place):
            file.unlink()
        return lab.run(job)

    again = lab.run(job)
    detail = f"{how} {path.relative_to(lab.folder)}"
    if again.status == 0 and not lab.differences():
        return Outcome(kind, job.stage, RECOVERED, detail)
    outcome = lab.judged(kind, job, again, mend)
    return Outcome(kind, job.stage, outcome.ended, f"{detail}: {outcome.detail}")


def _kept(place: Path) -> list[Path]:
    """Parts of a harvest and checkpoints of a fit."""
    return sorted([*place.glob(".*.parts/part-*.safetensors"), *place.glob(".*.checkpoint")])


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A file system in memory at `place`."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether this user may mount a file system."""
    with suppress(subprocess.CalledProcessError, FileNotFoundError), mounted(folder / "mounted", "size=64k"):
        return True
    return False


def _size(lab: Laboratory, job: Job) -> int:
    return sum((lab.prepared / path).stat().st_size for path in lab.contents if job.owns(path))


def full_disk(lab: Laboratory, job: Job, draw: random.Random) -> Outcome:
    """Let the results lie on a disk that is too small for them."""
    lab.fresh(job)
    pages = 1 + int(draw.random() * _size(lab, job) / 4096)
    place = lab.folder / job.place
    others = {path for path in lab.contents if Path(path).is_relative_to(job.place) and not job.owns(path)}
    with mounted(place, f"size={4 * pages}k"):
        for path in others:
            (lab.folder / path).parent.mkdir(parents=True, exist_ok=True)
        ended = lab.run(job)
        if ended.status != 0 and lab.half_finished(job):
            return Outcome("full disk", job.stage, LOSS, f"half finished: {', '.join(lab.half_finished(job))}")
        if ended.status == 0 and lab.half_finished(job):
            return Outcome("full disk", job.stage, LOSS, f"unnoticed: {', '.join(lab.half_finished(job))}")
    if ended.status == 0:
        return Outcome("full disk", job.stage, UNHARMED)
    return lab.judged("full disk", job, ended, lambda: lab.run(job))


def file_size_limit(lab: Laboratory, job: Job, draw: random.Random) -> Outcome:
    """Let no file become as large as the largest result is."""
    lab.fresh(job)
    largest = max((lab.prepared / path).stat().st_size for path in lab.contents if job.owns(path))
    limit = int(largest * draw.uniform(0.1, 0.95))

    def lower() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = start(job, lab.folder, lab.network, lower).wait()
    return lab.judged("file size limit", job, ended, lambda: lab.run(job))


def read_only(lab: Laboratory, job: Job, draw: random.Random) -> Outcome:
    """Let the results lie on a file system that takes none."""
    lab.fresh(job)
    with mounted(lab.folder / job.place, "size=64k,ro"):
        ended = lab.run(job)
    return lab.judged("read-only folder", job, ended, lambda: lab.run(job))


def network(lab: Laboratory, job: Job, mode: str) -> Outcome:
    """Fetch from an index that fails, or from none."""
    lab.fresh(job)
    environment = online(1 if mode == "lost" else lab.port, "sound" if mode == "lost" else mode)
    ended = start(job, lab.folder, environment).wait()
    outcome = lab.judged(f"network {mode}", job, ended, lambda: lab.run(job))
    if outcome.ended == CLEAR and lab.leftovers():
        return Outcome(outcome.kind, job.stage, UNCLEAR, f"left behind: {', '.join(lab.leftovers())}")
    return outcome


CACHES = ("HF_HOME", "HF_DATASETS_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR", "HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")


def unwritable_cache(lab: Laboratory, job: Job) -> Outcome:
    """Give caches places where no file can be, in a process of its own: libraries look there when they are imported."""
    lab.fresh(job)
    paths = {"PYTHONPATH": str(PROJECT / "src"), **dict.fromkeys(CACHES, "/dev/null/nowhere")}
    run = subprocess.run(
        [sys.executable, "-m", "unweave", *job.arguments],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **lab.network, **paths},
    )
    ended = Ended(run.returncode, run.stdout + run.stderr, 0.0)
    if job.stage == "harvest" and ended.status == 0:
        # Its parts are larger than those of the other runs, which shows in the last bits.
        return Outcome("unwritable cache", job.stage, RECOVERED)
    outcome = lab.judged("unwritable cache", job, ended, lambda: lab.run(job))
    return Outcome(
        outcome.kind, outcome.stage, RECOVERED if outcome.ended == UNHARMED else outcome.ended, outcome.detail
    )


def second_instance(lab: Laboratory, stopped: bool) -> Outcome:
    """Start the workflow in a folder where it runs, or where it was killed."""
    kind = "workflow killed" if stopped else "second instance"
    lab.fresh()
    for job in lab.jobs:
        if job.stage == "evaluate":
            job.clear(lab.folder)
    environment = {**os.environ, **lab.network}
    targets = [job.outputs[0] for job in lab.jobs if job.stage == "evaluate"][:3]
    command = snakemake(lab.folder, "--rerun-triggers", "mtime", "--", *targets)
    first = subprocess.Popen(
        command,
        cwd=lab.folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    locks = lab.folder / ".snakemake" / "locks"
    while first.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
        time.sleep(0.02)
    if stopped:
        time.sleep(2.0)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    second = subprocess.run(command, cwd=lab.folder, env=environment, capture_output=True, text=True, check=False)
    told = second.returncode != 0 and "--unlock" in second.stdout + second.stderr
    first.wait()
    if stopped:
        for arguments in (snakemake(lab.folder, "--unlock"), command):
            subprocess.run([*arguments], cwd=lab.folder, env=environment, capture_output=True, check=False)
    found = contents(lab.folder, lab.known)
    wrong = [path for path in targets if found.get(path) != lab.contents[path]]
    if wrong:
        return Outcome(kind, "workflow", LOSS, ", ".join(wrong))
    return Outcome(kind, "workflow", CLEAR if told else UNCLEAR, "" if told else second.stderr[-300:])
