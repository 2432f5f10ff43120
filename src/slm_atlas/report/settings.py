"""Settings of runs in words, and the few of them that tell rows apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_NAMES = {"n_prompt": "prompt", "n_gen": "generate", "kv_type": "KV type", "micro_batch": "micro-batch"}
_NEVER = ("protocol",)
"""Settings that say nothing to a reader who compares two rows; they stand where all settings do."""


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings on one line.

    >>> settings_text({"n_prompt": 50, "threads": 2, "mmap": True})
    'prompt 50, threads 2, mmap'
    """
    shown = {_NAMES.get(name, name.replace("_", " ")): value for name, value in settings.items()}
    parts = (
        name if value is True else f"{name} {value}" for name, value in shown.items() if value not in (None, False)
    )
    return ", ".join(parts)


def apart(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each of several settings, those in which they differ, in words; what has no settings stands aside.

    >>> apart([{"n_prompt": 8, "context": 512}, {"n_prompt": 50, "context": 512}, {}])
    ['prompt 8', 'prompt 50', '']
    """
    told = [each for each in found if each]
    names = [name for name in dict.fromkeys(name for each in told for name in each) if name not in _NEVER]
    differ = [name for name in names if len({msgspec.json.encode(each.get(name)) for each in told}) > 1]
    return [settings_text({name: each.get(name) for name in differ}) for each in found]
