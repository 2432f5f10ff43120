"""altair, imported when the first chart is made: half a second that a list of figures has no use for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
else:

    class _Altair:
        """Stands for the package; its first use imports it."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (any part of altair)
            module = import_module("altair")
            # altair would check each part of a chart against Vega-Lite's schema, a third of a report; a test does.
            import_module("altair.utils.schemapi").disable_debug_mode()
            self.__dict__.update(vars(module))
            return getattr(module, name)

    alt = _Altair()

__all__ = ["alt"]
