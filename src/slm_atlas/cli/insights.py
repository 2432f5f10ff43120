"""`slm insights`: the survey's claims, and one's own, tested; and what else the numbers say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from slm_atlas import home
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say
from slm_atlas.cli.rows import measured
from slm_atlas.errors import UserError

if TYPE_CHECKING:
    from slm_atlas.insights.analyses import Answer, Insight
    from slm_atlas.insights.claims import Claim, Data, Evidence, Finding

Decorated = TypeVar("Decorated", bound=Callable[..., object])

DATA = ("paper", "catalogue", "mine")
WHAT_DATA = "Only on this: the survey's figures, the catalogue, or one's own measurements."
MARK = "*"
"""Stands at a verdict of the survey's data that its wording does not follow from."""


def _data_options(function: Decorated) -> Decorated:
    """The options `--data`, `--claims` and `--json`."""
    json_option(function)
    file = click.Path(path_type=Path, dir_okay=False)
    click.option("--claims", "files", type=file, multiple=True, help="Claims of one's own: a file of Python.")(function)
    click.option("--data", type=click.Choice(DATA), help=WHAT_DATA)(function)
    return function


@click.group(invoke_without_command=True, epilog="Example: slm insights --data mine")
@_data_options
@click.pass_context
def command(ctx: click.Context, *, data: str | None, files: tuple[Path, ...], json: bool) -> None:
    """Test the survey's claims on its figures and your measurements.

    A verdict is holds, fails, undecided or no data; all tests on one data set are corrected for their number. Claims of
    one's own are tested with --claims FILE, which is run. Below the claims stand insights the survey could not have.
    """
    if ctx.invoked_subcommand is not None:
        if data or files or json:
            raise click.UsageError(f"options of {ctx.invoked_subcommand} stand after its name")
        return
    from slm_atlas.insights.analyses import INSIGHTS

    evidence = _evidence(data)
    found = _findings(evidence, files)
    answers = [(insight, _answers(insight, evidence)) for insight in INSIGHTS]
    if json:
        claims = [finding_fields(finding) for findings in found.values() for finding in findings]
        print_json({"claims": claims, "insights": [_insight_fields(*pair) for pair in answers if pair[1]]})
        return
    if data is None:
        _print_all(list(found.values()))
    else:
        _print_one(next(iter(found.values())))
    _print_insights(answers)


@command.command(epilog="Example: slm insights show L1")
@click.argument("name", metavar="ID")
@click.option(
    "--output", "-o", "outputs", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
    help="Write the claim's figure instead: .svg, .png, .csv or .json.",
)  # fmt: skip
@_data_options
def show(name: str, *, data: str | None, files: tuple[Path, ...], json: bool, outputs: tuple[Path, ...]) -> None:
    """Explain one claim or insight in full: rule, numbers, sources and caveats."""
    from slm_atlas.insights.analyses import INSIGHTS

    if outputs:
        _write_figure(name, files, data, outputs)
        return
    evidence = _evidence(data)
    insight = next((each for each in INSIGHTS if each.id == name.lower()), None)
    if insight is not None:
        answers = _answers(insight, evidence)
        if json:
            print_json(_insight_fields(insight, answers))
        else:
            _print_insight(insight, answers)
        return
    found = [
        f for findings in _findings(evidence, files).values() for f in findings if f.claim.id.lower() == name.lower()
    ]
    if not found:
        raise UserError(f"No claim or insight is called '{name}'.", "slm insights")
    if json:
        print_json([finding_fields(finding) for finding in found])
    else:
        _print_claim(found)


def _write_figure(name: str, files: Sequence[Path], data: str | None, outputs: Sequence[Path]) -> None:
    """The figure that shows a claim, of the data set wanted; the catalogue is one's own."""
    from slm_atlas.cli.figure import stored, write_outputs
    from slm_atlas.insights.claims import all_claims
    from slm_atlas.report.figures import Side
    from slm_atlas.report.registry import entry

    claim = next((each for each in all_claims(files) if each.id.lower() == name.lower()), None)
    if claim is None or claim.figure is None:
        raise UserError(f"No figure shows '{name}'.", "slm figure list")
    side = None if data is None else Side.PAPER if data == "paper" else Side.MINE
    write_outputs(entry(claim.figure).drawn(stored(), side), outputs)


def _evidence(wanted: str | None) -> dict[Data, Evidence]:
    """The data sets wanted; the store is read only where it is among them."""
    from slm_atlas.insights.claims import Data, Evidence, of_catalogue, of_paper
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.store import Store

    def mine() -> Evidence:
        with Store(home.store_path(), reading=True) as store:
            return Evidence(dataset=measured(read_dataset(store)))

    made = {Data.PAPER: of_paper, Data.CATALOGUE: of_catalogue, Data.MINE: mine}
    return {data: make() for data, make in made.items() if wanted in (None, data)}


def _findings(evidence: dict[Data, Evidence], files: Sequence[Path]) -> dict[Data, list[Finding]]:
    from slm_atlas.insights.claims import all_claims, findings

    claims = all_claims(files)
    return {data: findings(claims, each, data) for data, each in evidence.items()}


def _answers(insight: Insight, evidence: dict[Data, Evidence]) -> dict[Data, Answer]:
    return {data: insight.answers[data](each) for data, each in evidence.items() if data in insight.answers}


# ---- the list -------------------------------------------------------------------------------------------------------


def _print_all(found: Sequence[Sequence[Finding]]) -> None:
    """A line a claim, a column a data set."""
    lines = [[each[0].claim.id, *map(_with_effect, each), each[0].claim.sentence] for each in zip(*found, strict=True)]
    print_table(["", *(findings[0].data for findings in found), "Claim"], lines)
    if any(finding.wording for findings in found for finding in findings):
        say(f"{MARK} The survey's wording does not follow from its own figures: they contradict it, or leave it open.")
    say("A number is the effect that the verdict hangs on; with intervals: --data mine. In full: slm insights show ID")


def _verdict(finding: Finding) -> str:
    return f"{finding.verdict}{MARK if finding.wording else ''}"


def _with_effect(finding: Finding) -> str:
    if finding.effect is None:
        return _verdict(finding)
    from slm_atlas.insights.claims import number

    return f"{_verdict(finding)} {number(finding.effect.value, finding.form)}"


def _print_one(found: Sequence[Finding]) -> None:
    """A line a claim, with its effect; then, once, what would be needed for those without data."""
    lines = [(f.claim.id, _verdict(f), _effect(f), f.n or None, f.reason) for f in found if f.lacking is None]
    if lines:
        print_table(["", "Verdict", "Effect", "n", "Why"], lines, right=["n"])
        click.echo()
    silent = [finding for finding in found if finding.lacking is not None]
    if silent:
        print_table(["", "Verdict", "Needs"], [(f.claim.id, f.verdict, f.lacking) for f in silent])
    say("[low, high]: 95 % intervals of one effect; verdicts are corrected for all. In full: slm insights show ID")


def _effect(finding: Finding) -> str | None:
    from slm_atlas.insights.claims import written

    return None if finding.effect is None else written(finding.effect, finding.form)


def _print_insights(answers: Sequence[tuple[Insight, dict[Data, Answer]]]) -> None:
    lines = [(insight.id, data, answer.text) for insight, by_data in answers for data, answer in by_data.items()]
    if lines:
        click.echo()
        print_table(["Insight", "Data", "Answer"], lines)


# ---- one of them ----------------------------------------------------------------------------------------------------


def _print_claim(found: Sequence[Finding]) -> None:
    claim = found[0].claim
    about = {"claim": claim.sentence, "source": claim.source, "rule, stated before": claim.rule}
    figure = {"figure": f"slm figure {claim.figure}"} if claim.figure else {}
    print_fields(claim.id, about | ({"about its wording": claim.doubt} if claim.doubt else {}) | figure)
    for finding in found:
        print_fields(f"{finding.data}: {finding.verdict}", _fields(finding))


def _fields(finding: Finding) -> dict[str, object]:
    from slm_atlas.units import counted

    fields: dict[str, object] = {"why": finding.reason}
    fields |= {part.what: f"{part.shown}, claimed {part.asked}; {part.tested.effect.method}" for part in finding.parts}
    if finding.n:
        fields["n"] = counted(finding.n, finding.unit)
    if finding.lacking:
        fields["needs"] = finding.lacking
    if finding.wording and finding.wording != finding.claim.doubt:
        fields["wording"] = finding.wording
    return fields | ({"caveats": " ".join(finding.caveats)} if finding.caveats else {})


def _print_insight(insight: Insight, answers: dict[Data, Answer]) -> None:
    from slm_atlas.units import counted

    print_fields(insight.id, {"question": insight.question, "method": insight.method})
    for data, answer in answers.items():
        n = counted(answer.n, answer.unit) if answer.n else None
        more = {"n": n, "needs": answer.lacking, "caveats": " ".join(answer.caveats) or None}
        print_fields(data, {"answer": answer.text} | {name: value for name, value in more.items() if value is not None})
        if answer.lines:
            print_table(answer.columns, answer.lines)
            click.echo()


# ---- as JSON --------------------------------------------------------------------------------------------------------


def finding_fields(finding: Finding) -> dict[str, object]:
    """A finding without its functions."""
    import msgspec

    fields = msgspec.structs.asdict(finding)
    claim: Claim = fields.pop("claim")
    about = {name: getattr(claim, name) for name in ("id", "sentence", "source", "rule", "doubt", "figure")}
    return about | fields


def _insight_fields(insight: Insight, answers: dict[Data, Answer]) -> dict[str, object]:
    return {"id": insight.id, "question": insight.question, "method": insight.method, "answers": answers}
