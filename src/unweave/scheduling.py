"""What Snakemake's scheduler is told where its jobs run on this machine."""

from typing import Any


def schedule_here(scheduler: Any, gpus: int) -> None:
    """Tell a scheduler that is about to start jobs on a machine with `gpus` usable GPUs.

    - Nothing holds jobs back. By default Snakemake starts at most 100 a second, and so, after each look at its ready
      jobs, it sets an alarm to look again in a second. Each alarm sets another one: after 250 jobs it tries to look 250
      times a second, which took half a core. A cluster needs the limit, and is not meant here.
    - As many jobs use a GPU at once as there are GPUs, unless the call gives a number (`--resources gpu=N`). More would
      wait for a free one.
    """
    scheduler.job_rate_limiter = None
    if gpus:
        for table in (scheduler.global_resources, scheduler.resources):
            table.setdefault("gpu", gpus)
