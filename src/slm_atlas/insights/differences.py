"""What tells rows of results apart, beside their models."""

from __future__ import annotations

from collections.abc import Sequence

from slm_atlas.insights.frame import Row


def differences(found: Sequence[Row], *, settings: bool = True) -> list[str | None]:
    """What tells each row from the others: engine, machine, precision and settings that are not all alike.

    Args:
        found: the rows.
        settings: False: not by the settings of cost runs, for a table without costs.

    Returns:
        The facts of each row in a line, `context 512, n_gen 50`; None where there are none.
    """
    facts = [_facts(row) | (row.settings if settings else {}) for row in found]
    values: dict[str, set[object]] = {}
    for fact in facts:
        for name, value in fact.items():
            values.setdefault(name, set()).add(value)
    varying = [{name: value for name, value in fact.items() if len(values[name]) > 1} for fact in facts]
    return [
        ", ".join(f"{name} {value}" for name, value in fact.items() if value is not None) or None for fact in varying
    ]


def _facts(row: Row) -> dict[str, object]:
    engine, _, build = row.engine.partition(" | ")
    return {"engine": engine, engine: build, "machine": row.host, "compute": row.compute}
