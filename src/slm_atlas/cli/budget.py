"""`slm eval --budget`: says how many items each task gets, and which interval to expect, before anything is asked."""

from __future__ import annotations

import msgspec

from slm_atlas import home, stats
from slm_atlas.cli.measure import planned, with_files
from slm_atlas.cli.output import say
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.store import RunKind, Store
from slm_atlas.studies import Study, measuring
from slm_atlas.studies.budget import PROBE_ITEMS, Budget, Share, kept, spend
from slm_atlas.units import format_seconds


def within(study: Study, budget_s: float, engine: str | None) -> Study:
    """The study with a limit for each task, so that it takes about so long.

    Raises:
        UserError: another measurement is running, or the time is too short.
    """
    with Store(home.store_path()) as store, StudyProgress() as progress:
        found = planned(study, store, engine, progress)
        cells = [cell for cell in found.cells if cell.kind is RunKind.EVAL]
        budget = kept(cells, budget_s)
        if budget is None:
            progress.say(f"Trying {PROBE_ITEMS} items of each task, for the time they take.")
            files = {cell.subject.artifact.sha256 for cell in cells}
            with measuring():
                budget = spend(with_files(cells, files, progress), found.session.engine.name, budget_s)
    _say(budget, budget_s)
    return msgspec.structs.replace(study, limits={share.task: share.limit for share in budget.shares})


def _say(budget: Budget, budget_s: float) -> None:
    for share in budget.shares:
        say(share_text(share))
    if budget.shares:
        took, may = format_seconds(budget.expected_s), format_seconds(budget_s)
        say(f"About {took} of {may}, at {budget.tokens_per_s:,.0f} tokens a second.")


def share_text(share: Share) -> str:
    """How many items a task gets, and the widest interval they give.

    >>> share_text(Share(task="piqa", limit=381, items=1838))
    'piqa: 381 of 1,838 items, an interval of at most 5.0 points to each side.'
    """
    points = 100 * stats.half_width(share.limit)
    wide = f"an interval of at most {points:.1f} points to each side"
    return f"{share.task}: {share.limit:,} of {share.items:,} items, {wide}."
