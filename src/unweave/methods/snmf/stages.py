"""One checkpoint for a fit of several stages, each of which keeps its own state."""

from typing import Any, NamedTuple

from torch import Tensor
from typing_extensions import override

from unweave.methods.checkpoint import Checkpoint


class Finished(NamedTuple):
    """What the stages before `stage` ended in."""

    stage: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def finished_stages(whole: Checkpoint) -> Finished:
    """Return where an interrupted fit was; stage 0 with nothing finished where there is none."""
    kept = whole.load()
    if kept is None:
        return Finished(0, {}, {})
    tensors, facts = kept
    return Finished(facts["stage"], _below("finished.", tensors), facts["finished"])


class StageCheckpoint(Checkpoint):
    """The checkpoint that a stage sees: its own state, which is kept in one file with what is finished."""

    def __init__(self, whole: Checkpoint, finished: Finished) -> None:
        super().__init__()
        self._whole = whole
        self._finished = finished

    @property
    @override
    def due(self) -> bool:
        return self._whole.due

    @override
    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        named = {f"finished.{name}": tensor for name, tensor in self._finished.tensors.items()}
        named |= {f"state.{name}": tensor for name, tensor in tensors.items()}
        self._whole.save(named, {"stage": self._finished.stage, "finished": self._finished.facts, "state": facts})

    @override
    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        kept = self._whole.load()
        if kept is None or kept[1]["stage"] != self._finished.stage:
            return None
        return _below("state.", kept[0]), kept[1]["state"]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
