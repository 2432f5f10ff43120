"""Which run is next: blocks until each arm is settled or the time spent, disturbed blocks once more, then the rest.

A block is repeated as a whole, so that its arms are still compared within it, and because something disturbed the
machine while one of its runs was made: never because of what a run measured. A repeat is another attempt at the same
key. Readers see the later attempt unless it alone was disturbed, and the store keeps both; a run that repeats says what
it replaces and why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from slm_atlas.errors import Outcome
from slm_atlas.store import Run, RunKind, Store
from slm_atlas.studies.plan import Cell
from slm_atlas.studies.stopping import Stopping

GIVE_UP = 2
"""So many repeats in a row that were disturbed as well say that the machine is always busy."""


class Turn(NamedTuple):
    """A run to make now."""

    cell: Cell
    """The run."""
    done: int
    """Runs that need not be made any more."""
    total: int
    """Runs of the study, repeats included."""
    left: Sequence[Cell]
    """It, and those that may follow it."""
    repeats: dict[str, Any] | None
    """What it replaces, and why; None for a run made for the first time."""

    @property
    def following(self) -> Cell | None:
        """What is next, as far as is known."""
        return self.left[1] if len(self.left) > 1 else None


def due(disturbed: Collection[int], repeated: Sequence[bool], blocks: int) -> list[int]:
    """The blocks to repeat: half of all blocks at most, and none where repeats are disturbed as well.

    Args:
        disturbed: blocks with a disturbed run, not repeated yet.
        repeated: of each repeat that was made, in order, whether it was disturbed too.
        blocks: blocks that were made.

    >>> due({3, 1, 4}, [], 5), due({4}, [False, False], 5), due({4}, [True, True], 20)
    ([1, 3], [], [])
    """
    if len(repeated) >= GIVE_UP and all(repeated[-GIVE_UP:]):
        return []
    return sorted(disturbed)[: max(0, blocks // 2 - len(repeated))]


class Agenda:
    """The turns of a study, decided one by one from what the store holds then.

    Args:
        cells: all runs of the study.
        todo: those to be made.
        store: where they are kept.
        stopping: when an arm needs no more.
        repeat: whether disturbed blocks are repeated.
    """

    def __init__(
        self, cells: Sequence[Cell], todo: Sequence[Cell], store: Store, stopping: Stopping, *, repeat: bool
    ) -> None:
        self._cells, self._store, self._repeat = cells, store, repeat
        self.stopping = stopping
        self._costs = [cell for cell in todo if cell.kind is RunKind.BENCH]
        # Profiles and tasks: neither stops early, and a share of the time suffers little from what takes a core.
        self._others = [cell for cell in todo if cell.kind is not RunKind.BENCH]
        self._total, self._done = len(cells), len(cells) - len(todo)

    def outstanding(self) -> list[Cell]:
        """The runs that are to be made as far as is known now, repeats included."""
        costs = [] if self.stopping.spent() else [cell for cell in self._costs if not self.stopping.settled(cell)]
        return [*costs, *(cell for block in self._due() for cell in block), *self._others]

    def __iter__(self) -> Iterator[Turn]:
        """Each run, when the one before is in the store."""
        yield from self._blocks(self._costs)
        while repeats := next(iter(self._due()), []):
            self._total += len(repeats)
            for number, cell in enumerate(repeats):
                yield self._turn(cell, repeats[number:], self._replaced(cell))
            # Without its disturbed run, an interval may be wider than it was.
            yield from self._blocks(self._unmade())
        for number, cell in enumerate(self._others):
            yield self._turn(cell, self._others[number:])

    def _turn(self, cell: Cell, left: Sequence[Cell], repeats: dict[str, Any] | None = None) -> Turn:
        self._done += 1
        left = [*left, *self._others] if cell.kind is RunKind.BENCH else left
        return Turn(cell, self._done - 1, self._total, left, repeats)

    def _blocks(self, costs: Sequence[Cell]) -> Iterator[Turn]:
        block = None
        for number, cell in enumerate(costs):
            if cell.block != block and self.stopping.spent():
                self._done += len(costs) - number
                return
            block = cell.block
            if self.stopping.settled(cell):
                self._done += 1
            else:
                yield self._turn(cell, costs[number:])

    def _unmade(self) -> list[Cell]:
        cells = [cell for cell in self._costs if self._store.outcome(cell.key) is None]
        self._done -= len(cells)
        return cells

    def _due(self) -> list[list[Cell]]:
        """The blocks to repeat, each as its runs that are not repeated yet."""
        if not self._repeat or self.stopping.spent():
            return []
        made = self._made()
        again = {number: runs for number, runs in made.items() if any(map(is_repeat, runs.values()))}
        in_order = sorted(again.values(), key=lambda runs: max(run.started_at for run in runs.values()))
        disturbed = {number for number in made.keys() - again.keys() if _disturbed(made[number].values())}
        found = due(disturbed, [_disturbed(runs.values()) for runs in in_order], len(made))
        # First those that were interrupted.
        blocks = [self._open(made[number]) for number in [*again, *found]]
        return [block for block in blocks if block]

    def _made(self) -> dict[int, dict[str, Run]]:
        """The cost runs that ended well, by block and key."""
        blocks = {cell.key: cell.block for cell in self._cells if cell.kind is RunKind.BENCH}
        made: dict[int, dict[str, Run]] = {}
        for run in self._store.runs(outcome=Outcome.OK, keys=list(blocks)):
            made.setdefault(blocks[run.key], {})[run.key] = run
        return made

    def _open(self, runs: dict[str, Run]) -> list[Cell]:
        """The runs of a block that nobody has tried to repeat, in the block's order."""
        return [cell for cell in self._cells if cell.key in runs and not self._tried(cell.key, runs[cell.key])]

    def _tried(self, key: str, best: Run) -> bool:
        """Whether a run was repeated, with whatever outcome."""
        return is_repeat(best) or any(is_repeat(attempt.run) for attempt in self._store.attempts(key))

    def _replaced(self, cell: Cell) -> dict[str, Any]:
        """What a repeat says of the run that it replaces."""
        block = self._made()[cell.block]
        because = dict.fromkeys(doubt for run in block.values() for doubt in _doubts(run))
        replaced = block[cell.key]
        return {"started_at": replaced.started_at, "elapsed_s": replaced.elapsed_s, "because": list(because)}


def is_repeat(run: Run) -> bool:
    """Whether a run replaces one whose block was disturbed."""
    return "repeats" in run.notes


def _disturbed(runs: Collection[Run]) -> bool:
    return any(map(_doubts, runs))


def _doubts(run: Run) -> list[str]:
    """What took the machine from a run; runs of older versions do not say."""
    return list(run.notes.get("disturbed", []))
