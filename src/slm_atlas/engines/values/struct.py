"""The base of the values that engines take and give."""

from __future__ import annotations

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the engines' values, which travel over a pipe."""
