"""How to cite what was measured: by the hash of its content, with the survey and this software."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from slm_atlas import __version__, units
from slm_atlas.report.markup import latex
from slm_atlas.store.db import Attempt
from slm_atlas.store.records import Artifact, Host

SURVEY_AUTHORS = (
    "Zhenyan Lu", "Xiang Li", "Dongqi Cai", "Rongjie Yi", "Fangming Liu", "Xiwen Zhang", "Nicholas D. Lane",
    "Mengwei Xu",
)  # fmt: skip
SURVEY_TITLE = "Small Language Models: Survey, Measurements, and Insights"
SURVEY_ARXIV = "2409.15790"
SURVEY_YEAR = 2024


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """What names a set of measurements."""

    data_sha256: str
    """Hash of the content; see `data_hash`."""
    first_day: str
    """When its first run began: UTC, `2026-11-24`."""
    last_day: str
    """When its last run began."""
    machines: tuple[str, ...]
    """Processor, cores and memory of each machine."""
    engines: tuple[str, ...]
    """Names and versions of the engines."""
    files: int
    """Model files measured."""
    runs: int
    """Runs, each attempt counted, failed ones too."""
    samples: int
    """Samples of all runs."""
    atlas_version: str = __version__
    """Version of SLM Atlas that says so."""


def data_hash(attempts: Iterable[Attempt], artifacts: Mapping[str, Artifact], hosts: Mapping[str, Host]) -> str:
    """The sha256 of a set of runs: of the sorted hashes of runs with samples, and of their files and machines.

    It does not depend on the order of recording, so that a store, its export and a merge of its parts agree.
    """
    used = list(attempts)
    records: list[object] = [[attempt.run, attempt.samples] for attempt in used]
    records += [artifacts[sha256] for sha256 in {attempt.run.artifact for attempt in used}]
    records += [hosts[id_] for id_ in {attempt.run.host for attempt in used}]
    hashes = sorted(hashlib.sha256(msgspec.json.encode(record, order="deterministic")).digest() for record in records)
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def cite(attempts: Sequence[Attempt], artifacts: Mapping[str, Artifact], hosts: Mapping[str, Host]) -> Citation:
    """The citation of a set of runs, of which there is one at least."""
    runs = [attempt.run for attempt in attempts]
    days = sorted(run.started_at[:10] for run in runs)
    return Citation(
        data_sha256=data_hash(attempts, artifacts, hosts),
        first_day=days[0],
        last_day=days[-1],
        machines=tuple(dict.fromkeys(_machine(hosts[run.host]) for run in runs)),
        engines=tuple(sorted({", ".join(run.engine.split(" | ")[:2]) for run in runs})),
        files=len({run.artifact for run in runs}),
        runs=len(runs),
        samples=sum(len(attempt.samples) for attempt in attempts),
    )


def _machine(host: Host) -> str:
    memory = f", {units.format_bytes(host.memory_bytes)}" if host.memory_bytes else ""
    return f"{host.cpu}, {host.cores} cores{memory}"


def as_text(found: Citation) -> str:
    """The citation as a line, and the two it should not stand without."""
    survey = f"{_and(SURVEY_AUTHORS)}. {SURVEY_TITLE}. arXiv:{SURVEY_ARXIV}, {SURVEY_YEAR}."
    software = f"The SLM Atlas authors. SLM Atlas (version {found.atlas_version}; CITATION.cff)."
    return "\n".join([sentence(found), software, survey])


def as_bibtex(found: Citation) -> str:
    """The same as BibTeX."""
    year, brief = found.last_day[:4], found.data_sha256[:12]
    data = [
        ("author", "{The SLM Atlas authors}"),
        ("title", "Measurements of small language models"),
        ("year", year),
        ("version", f"sha256:{brief}"),
        ("note", latex(sentence(found))),
    ]
    software = [
        ("author", "{The SLM Atlas authors}"),
        ("title", "{SLM Atlas}: a catalogue and a measuring instrument for small language models"),
        ("version", found.atlas_version),
        ("year", year),
    ]
    survey = [
        ("author", " and ".join(SURVEY_AUTHORS)),
        ("title", SURVEY_TITLE),
        ("journal", f"arXiv preprint arXiv:{SURVEY_ARXIV}"),
        ("year", str(SURVEY_YEAR)),
    ]
    entries = (
        _bibtex("misc", f"slm-data-{brief}", data),
        _bibtex("software", "slm-atlas", software),
        _bibtex("article", "lu2024slm", survey),
    )
    return "\n\n".join(entries)


def _bibtex(kind: str, key: str, fields: Sequence[tuple[str, str]]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def sentence(found: Citation) -> str:
    """The measurements in a sentence."""
    when = found.first_day if found.first_day == found.last_day else f"{found.first_day} to {found.last_day}"
    where, engines = "; ".join(found.machines), "; ".join(found.engines)
    return (
        f"Measurements of small language models, sha256 {found.data_sha256}: {found.runs:,} runs of {found.files:,} "
        f"files ({found.samples:,} samples), {when}, on {where}, with {engines}."
    )


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
