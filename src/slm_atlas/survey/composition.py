"""How models are composed, period by period: counts and shares of labels, medians of numbers.

What is not published is counted apart and is in no share: it is not zero. The sizes of a family count as models of
their own, as in the survey.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from slm_atlas import stats
from slm_atlas.catalog import Model
from slm_atlas.survey.facets import Facet, Labels, Measure

NOT_PUBLISHED = "not published"
"""The label of models that have none."""


class Period(StrEnum):
    """How time is divided."""

    HALF_YEAR = "half-year"
    YEAR = "year"

    def of(self, release: str) -> str:
        """The period of a month.

        >>> Period.HALF_YEAR.of("2024-06"), Period.HALF_YEAR.of("2024-07"), Period.YEAR.of("2024-07")
        ('2024H1', '2024H2', '2024')
        """
        year, month = release.split("-")
        return year if self is Period.YEAR else f"{year}H{1 if int(month) <= 6 else 2}"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """How many models of a period have a label."""

    facet: str
    """The facet's name."""
    period: str
    """Such as 2024H1, or 2024."""
    label: str
    """The label, or `not published`."""
    count: int
    """Models of the period that have it."""
    n: int
    """Models of the period for which the facet is published."""
    share: float | None
    """`count` of `n`; None: it is no share of them."""
    low: float | None
    """Lower end of the share's 95% interval (Wilson)."""
    high: float | None
    """Upper end of the share's 95% interval (Wilson)."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a period's models."""

    facet: str
    """The measure's name."""
    period: str
    """Such as 2024H1, or 2024."""
    n: int
    """Models of the period for which it is published."""
    missing: int
    """Models of the period for which it is not."""
    median: float | None
    """The median; None: published for none of them."""
    low: float | None
    """Lower end of the median's 95% interval (order statistics)."""
    high: float | None
    """Upper end of the median's 95% interval (order statistics)."""
    least: float | None
    """The least."""
    most: float | None
    """The most."""


def by_period(models: Iterable[Model], period: Period) -> dict[str, list[Model]]:
    """The models of each period that has some, in order of time."""
    found: defaultdict[str, list[Model]] = defaultdict(list)
    for model in models:
        found[period.of(model.release)].append(model)
    return dict(sorted(found.items()))


def composition(models: Sequence[Model], facet: Facet, period: Period = Period.HALF_YEAR) -> list[Share]:
    """How many models of each period have each label of a facet.

    Labels of a facet with a fixed order stand in every period, be it with a count of zero; of others, only those that
    occur in the period, the most frequent of all periods first.
    """
    order = facet.order or _by_frequency(models, facet)
    rows: list[Share] = []
    for name, group in by_period(models, period).items():
        rows += _shares(facet, name, [facet.labels(model) for model in group], order)
    return rows


def summary(models: Sequence[Model], measure: Measure, period: Period = Period.HALF_YEAR) -> list[Summary]:
    """The numbers of each period's models: median, least and most."""
    rows = []
    for name, group in by_period(models, period).items():
        values = [value for model in group if (value := measure.value(model)) is not None]
        missing = len(group) - len(values)
        if not values:
            ends = dict.fromkeys(("median", "low", "high", "least", "most"))
            rows.append(Summary(facet=measure.name, period=name, n=0, missing=missing, **ends))
            continue
        median = stats.median_estimate(values)
        rows.append(
            Summary(
                facet=measure.name,
                period=name,
                n=len(values),
                missing=missing,
                median=statistics.median(values),
                low=median.low,
                high=median.high,
                least=min(values),
                most=max(values),
            )
        )
    return rows


def _by_frequency(models: Sequence[Model], facet: Facet) -> Labels:
    counts = Counter(label for model in models for label in set(facet.labels(model)))
    return tuple(sorted(counts, key=lambda label: (-counts[label], label.lower())))


def _shares(facet: Facet, period: str, answers: Sequence[Labels], order: Labels) -> list[Share]:
    counts = Counter(label for labels in answers for label in set(labels))
    n = sum(bool(labels) for labels in answers)
    strange = set(counts) - set(order)
    if strange:
        raise ValueError(f"{facet.name} has no label {', '.join(sorted(strange))}")
    wanted = [label for label in order if counts[label] or facet.order]
    rows = [_share(facet, period, label, counts[label], n) for label in wanted] if n else []
    missing = len(answers) - n
    if missing:
        rows.append(
            Share(
                facet=facet.name,
                period=period,
                label=NOT_PUBLISHED,
                count=missing,
                n=n,
                share=None,
                low=None,
                high=None,
            )
        )
    return rows


def _share(facet: Facet, period: str, label: str, count: int, n: int) -> Share:
    found = stats.wilson(count, n)
    return Share(
        facet=facet.name,
        period=period,
        label=str(label),
        count=count,
        n=n,
        share=found.value,
        low=found.low,
        high=found.high,
    )
