"""What figures are drawn from: models as facts, and measurements, each view of them made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from slm_atlas import catalog
from slm_atlas.catalog import Model
from slm_atlas.insights import frame
from slm_atlas.insights.capability import Capability, capability
from slm_atlas.insights.claims.evidence import EMPTY
from slm_atlas.insights.frame import Dataset, Row
from slm_atlas.insights.profiles import Profile, profiles
from slm_atlas.survey.composition import Period


class Material:
    """One's own data.

    Args:
        read: gives what was measured, when a figure asks for it.
        models: those of the catalogue that are counted; None: all.
        period: how time is divided.
    """

    def __init__(
        self,
        read: Callable[[], Dataset] = lambda: EMPTY,
        models: Sequence[Model] | None = None,
        period: Period = Period.HALF_YEAR,
    ) -> None:
        self._read = read
        self.models = catalog.models() if models is None else tuple(models)
        self.period = period

    @cached_property
    def dataset(self) -> Dataset:
        """What was measured."""
        return self._read()

    @cached_property
    def rows(self) -> list[Row]:
        """One row a file, machine, engine and way of measuring."""
        return frame.rows(self.dataset)

    @cached_property
    def profiles(self) -> list[Profile]:
        """Where the time goes."""
        return profiles(self.dataset)

    @cached_property
    def able(self) -> Capability:
        """What models can do."""
        return capability(self.dataset)
