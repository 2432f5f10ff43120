"""Where the time of inference goes, over all processes: by part of the model, by operator and by kind of node.

Shares are medians over processes. Rates are of the work of the nodes over their share of the plain total, beside the
ceilings of the machine that the runs were checked against.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from slm_atlas.catalog.architecture import Part
from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset, Failure, failure
from slm_atlas.stats import Estimate, median_estimate
from slm_atlas.store.profiles import PHASES, Node, Observed, from_samples
from slm_atlas.store.records import Run, RunKind
from slm_atlas.store.stops import shape


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is found."""


class Ceilings(Struct, frozen=True):
    """The fastest that the machine of some runs was seen to work."""

    read_bytes_per_s: float
    """Bytes read in a second, of a working set as large as the model's weights."""
    flops: float
    """Operations in a second."""
    calibrated_at: str | None = None
    """When the machine was calibrated, in the engine's own kernels; None: measured quickly, with numpy."""


class Line(Struct, frozen=True):
    """One part, one operator, or one kind of node, in a pass."""

    label: str
    """Its name."""
    share: Estimate
    """Share of the time: the median over processes, all medians scaled to add up to 1."""
    seconds: float
    """That share of the plain total."""
    calls: float
    """Nodes computed."""
    flops: float
    """FLOPs of the matrix products."""
    bytes: float
    """Bytes read and written, each node's own; what a cache kept counts as well."""
    flops_per_s: float | None
    """FLOPs a second; None where there are none."""
    bytes_per_s: float | None
    """Bytes a second."""
    of_flops: float | None
    """FLOPs a second as a share of the ceiling measured here; None without one."""
    of_bandwidth: float | None
    """Bytes a second as a share of the ceiling measured here; None without one."""


class Breakdown(Struct, frozen=True):
    """Where the time of a phase goes, over all processes."""

    plain_s: Estimate
    """Seconds of a pass: a whole prompt, or a token."""
    overhead: Estimate
    """Time with every node timed, over plain time."""
    empty_s: float
    """What it takes to time a node."""
    parts: tuple[Line, ...]
    """By part, from the input of a model on."""
    operators: tuple[Line, ...]
    """By operator, most time first."""
    nodes: tuple[Line, ...]
    """By part, operator, name and type, most time first."""


class Profile(Struct, frozen=True):
    """Where the time goes in one file on one machine, run by one engine in one way."""

    artifact: str
    """sha256 of the file."""
    name: str
    """The name shown."""
    quantization: str
    """The label of its mix of types."""
    forged: bool
    """Random weights."""
    host: str
    """Id of the machine."""
    engine: str
    """Engine, version and build."""
    settings: dict[str, Any]
    """What all its runs share."""
    n_runs: int
    """Runs that ended well."""
    ceilings: Ceilings | None
    """What the rates stand beside."""
    prefill: Breakdown | None
    """A pass is the prompt; None: no run ended well."""
    decode: Breakdown | None
    """A pass is a token; None: no run ended well."""
    failures: tuple[Failure, ...]
    """The runs that ended badly."""

    @property
    def phases(self) -> dict[str, Breakdown]:
        """Those that were measured, by name."""
        found = {"prefill": self.prefill, "decode": self.decode}
        return {name: phase for name, phase in found.items() if phase is not None}


def profiles(dataset: Dataset) -> list[Profile]:
    """One profile a (file, machine, engine, settings), by parameters and name."""
    groups: dict[tuple[str, str, str, bytes], list[Run]] = defaultdict(list)
    for run in dataset.runs:
        if run.kind is RunKind.PROFILE:
            groups[run.artifact, run.host, run.engine, msgspec.json.encode(shape(run.settings), order="sorted")].append(
                run
            )
    found = [_profile(dataset, runs) for runs in groups.values()]
    size = {sha256: artifact.params or 0 for sha256, artifact in dataset.artifacts.items()}
    return sorted(found, key=lambda each: (size[each.artifact], each.name, each.quantization, each.host))


def _profile(dataset: Dataset, runs: Sequence[Run]) -> Profile:
    first, good = runs[0], [run for run in runs if run.outcome is Outcome.OK]
    artifact, ceilings = dataset.artifacts[first.artifact], _ceilings(good)
    seen = {phase: [from_samples(phase, dataset.samples.get(run.key, [])) for run in good] for phase in PHASES}
    prefill, decode = (_breakdown([one for one in seen[phase] if one is not None], ceilings) for phase in PHASES)
    return Profile(
        artifact=first.artifact,
        name=artifact.name,
        quantization=artifact.quantization,
        forged=artifact.forged,
        host=first.host,
        engine=first.engine,
        settings=shape(first.settings),
        n_runs=len(good),
        ceilings=ceilings,
        prefill=prefill,
        decode=decode,
        failures=tuple(failure(run) for run in runs if run.outcome is not Outcome.OK),
    )


def _ceilings(runs: Iterable[Run]) -> Ceilings | None:
    """The highest that any of the runs was checked against: each is a lower bound of what the machine can do."""
    noted = [msgspec.convert(run.notes["ceilings"], Ceilings) for run in runs if "ceilings" in run.notes]
    if not noted:
        return None
    return Ceilings(
        read_bytes_per_s=max(one.read_bytes_per_s for one in noted),
        flops=max(one.flops for one in noted),
        calibrated_at=max((one.calibrated_at for one in noted if one.calibrated_at), default=None),
    )


def _breakdown(observed: Sequence[Observed], ceilings: Ceilings | None) -> Breakdown | None:
    return breakdown(observed, ceilings) if observed else None


def breakdown(observed: Sequence[Observed], ceilings: Ceilings | None = None) -> Breakdown:
    """What all processes gave of one phase.

    Args:
        observed: a process each.
        ceilings: of this machine, to compare with.

    Raises:
        ValueError: no process.
    """
    plain_s = median_estimate([each.plain_s for each in observed])

    def lines(label: Callable[[Node], str]) -> list[Line]:
        return _lines(observed, label, plain_s.value, ceilings)

    return Breakdown(
        plain_s=plain_s,
        overhead=median_estimate([each.timed_s / each.plain_s for each in observed]),
        empty_s=statistics.median(each.empty_s for each in observed),
        parts=tuple(sorted(lines(lambda node: node.part), key=_place)),
        operators=tuple(sorted(lines(lambda node: node.op), key=_longest)),
        nodes=tuple(sorted(lines(lambda node: node.label), key=_longest)),
    )


def _place(line: Line) -> int:
    """Where a part stands; what is none of the model's stands last."""
    order = [str(part) for part in Part]
    return order.index(line.label) if line.label in order else len(order)


def _longest(line: Line) -> float:
    return -line.share.value


def _lines(
    observed: Sequence[Observed], label: Callable[[Node], str], plain_s: float, ceilings: Ceilings | None
) -> list[Line]:
    labels = list(dict.fromkeys(label(node) for each in observed for node in each.nodes))
    grouped = {name: [[node for node in each.nodes if label(node) == name] for each in observed] for name in labels}
    shares = {name: median_estimate([sum(node.share for node in nodes) for nodes in grouped[name]]) for name in labels}
    total = sum(share.value for share in shares.values())
    return [_line(name, _scaled(shares[name], 1 / total), plain_s, grouped[name], ceilings) for name in labels]


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    ends: Mapping[str, float | None] = {"low": estimate.low, "high": estimate.high}
    scaled = {end: None if value is None else value * factor for end, value in ends.items()}
    return msgspec.structs.replace(estimate, value=estimate.value * factor, **scaled)


def _line(
    label: str, share: Estimate, plain_s: float, grouped: Sequence[Sequence[Node]], ceilings: Ceilings | None
) -> Line:
    seconds, nodes = share.value * plain_s, max(grouped, key=len)
    flops, moved = sum(node.flops for node in nodes), sum(node.bytes for node in nodes)
    flops_per_s = flops / seconds if flops and seconds else None
    bytes_per_s = moved / seconds if moved and seconds else None
    return Line(
        label=label,
        share=share,
        seconds=seconds,
        calls=sum(node.calls for node in nodes),
        flops=flops,
        bytes=moved,
        flops_per_s=flops_per_s,
        bytes_per_s=bytes_per_s,
        of_flops=flops_per_s / ceilings.flops if flops_per_s and ceilings else None,
        of_bandwidth=bytes_per_s / ceilings.read_bytes_per_s if bytes_per_s and ceilings else None,
    )
