"""Disturb the jobs of a small workflow in every way that is known here, and count what becomes of it.

    python -m tests.faults                  # all trials: tests/faults/results.json
    python -m tests.faults --short FILE     # a tenth of them

The draws are seeded. What a kill meets at its moment differs a little from run to run.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.trials import Laboratory, Outcome

    Trial = Callable[[random.Random], Outcome]

RESULTS = Path(__file__).with_name("results.json")
SEED = 0
DISTURBED = ("fetch", "text", "model", "harvest", "fit", "evaluate", "figure")


def main() -> int:
    """Run the trials and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=Path, metavar="FILE", help="few trials, counts to FILE")
    parser.add_argument("--only", default="", help="trials whose kind starts with this, counts to standard output")
    arguments = parser.parse_args()
    # Before any library that looks at them is imported.
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    os.environ.pop("UNWEAVE_VERBOSE", None)
    from tests.faults.jobs import contents, import_what_jobs_import, planned, run_all
    from tests.faults.project import online, served, write_project
    from tests.faults.trials import Laboratory

    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        root = Path(name)
        _in_a_process(lambda: write_project(root))
        (root / "run").mkdir()
        jobs = planned(root / "run")
        import_what_jobs_import()
        with served(root / "index") as port:
            seconds = run_all(jobs, root / "run", online(port))
            lab = Laboratory(root, jobs, seconds, port)
            outcomes = []
            for number, (kind, trial) in enumerate(_trials(lab, short=arguments.short is not None)):
                if kind.startswith(arguments.only):
                    outcome = trial(random.Random(f"{SEED}/{number}"))
                    outcomes.append(outcome)
                    _tell(number, outcome)
            unspoilt = contents(root / "run") == lab.contents
    counts = _counts(outcomes)
    written = json.dumps(counts, indent=2) + "\n"
    if arguments.only:
        sys.stdout.write(written)
    else:
        (arguments.short or RESULTS).write_text(written, encoding="utf-8")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    sys.stderr.write(f"{sum(one.ru_utime + one.ru_stime for one in used) / 60:.1f} CPU minutes\n")
    bad = [outcome for outcome in outcomes if outcome.ended in ("loss", "unclear")]
    return int(bool(bad) or not unspoilt)


def _in_a_process(work: Callable[[], None]) -> None:
    """Do what would start threads, which do not survive a fork."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the project could not be written")


def _tell(number: int, outcome: "Outcome") -> None:
    if outcome.ended in ("loss", "unclear") or outcome.detail:
        sys.stderr.write(f"{number} {outcome.kind}, {outcome.stage}: {outcome.ended}: {outcome.detail}\n")


def _trials(lab: "Laboratory", short: bool) -> Iterator[tuple[str, "Trial"]]:
    """Kind and function of every trial."""
    from tests.faults import damage, trials

    draw = random.Random(SEED)
    jobs = [job for job in lab.jobs if job.stage in DISTURBED]
    cheap = [job for job in jobs if job.stage != "figure"]
    resumed = [job for job in jobs if job.stage in ("harvest", "fit")]
    rounds = 1 if short else 4
    for job in draw.sample(cheap, 6) if short else jobs * rounds:
        yield "killed", lambda d, job=job: trials.killed(lab, job, d)
    # The page of all figures checks no other data than what it prints: `verify` does.
    paths = [path for path in lab.contents if path.startswith("results/") and lab.consumers(path)]
    by_kind: dict[str, list[str]] = {}
    for path in paths:
        by_kind.setdefault(trials.artifact(path), []).append(path)
    for _ in range(rounds):
        for known in by_kind.values():
            for how in draw.sample(sorted(damage.EVERY), 1) if short else damage.EVERY:
                path = draw.choice(known)
                consumer = draw.choice(lab.consumers(path))
                if short and consumer.stage == "figure":
                    continue
                yield "damaged", lambda d, a=(path, consumer, how): trials.damaged(lab, *a, d)
    for path in draw.sample(sorted(lab.contents), 4 if short else 40):
        how = draw.choice(sorted(damage.EVERY))
        yield "verify", lambda d, a=(path, how): trials.unverified(lab, *a, d)
    for job in [] if short else resumed * 2:
        how = draw.choice(sorted(damage.EVERY))
        yield "damaged state", lambda d, a=(job, how): trials.damaged_state(lab, *a, d)
    for job in draw.sample(resumed, 2) if short else [*resumed[:6], *jobs[:4]]:
        yield "clock skew", lambda d, job=job: trials.clock_skew(lab, job, d)
    for job in draw.sample(cheap, 3) if short else jobs:
        yield "file size limit", lambda d, job=job: trials.file_size_limit(lab, job, d)
    if trials.may_mount(lab.folder.parent):
        for job in draw.sample(cheap, 3) if short else jobs:
            yield "full disk", lambda d, job=job: trials.full_disk(lab, job, d)
        for job in draw.sample(cheap, 2) if short else draw.sample(jobs, 12):
            yield "read-only folder", lambda d, job=job: trials.read_only(lab, job, d)
    for mode in ("lost", "refused") if short else ("lost", "stalled", "cut", "altered", "refused") * 2:
        yield f"network {mode}", lambda _, mode=mode: trials.network(lab, jobs[0], mode)
    if not short:
        firsts = [next(job for job in jobs if job.stage == stage) for stage in DISTURBED]
        for job in firsts:
            yield "unwritable cache", lambda _, job=job: trials.unwritable_cache(lab, job)
        for stopped in (False, True):
            yield "second instance", lambda _, stopped=stopped: trials.second_instance(lab, stopped)
    # A harvest always keeps its state; a fit may have ended before it does.
    for job in [job for job in resumed if job.stage == "harvest"][:1] if short else resumed * 2:
        how = draw.choice(sorted(damage.OF_HEADERS))
        yield "damaged header of state", lambda d, a=(job, how): trials.damaged_state(lab, *a, d)


def _counts(outcomes: "list[Outcome]") -> dict[str, Any]:
    from tests.faults.trials import CLEAR, LOSS, RECOVERED, UNCLEAR, UNHARMED

    def tally(chosen: "list[Outcome]") -> dict[str, int]:
        ended = Counter(outcome.ended for outcome in chosen)
        return {
            "trials": len(chosen),
            "faults": len(chosen) - ended[UNHARMED],
            "recovered": ended[RECOVERED],
            "clear": ended[CLEAR],
            "unclear": ended[UNCLEAR],
            "losses": ended[LOSS],
        }

    def by(key: str) -> dict[str, dict[str, int]]:
        values = sorted({getattr(outcome, key) for outcome in outcomes})
        return {value: tally([outcome for outcome in outcomes if getattr(outcome, key) == value]) for value in values}

    return {"seed": SEED, **tally(outcomes), "by_stage": by("stage"), "by_kind": by("kind")}


if __name__ == "__main__":
    sys.exit(main())
