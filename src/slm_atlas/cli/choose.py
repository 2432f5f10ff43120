"""`slm choose`: which model suits a device and a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slm_atlas import home
from slm_atlas.cli.output import json_option, print_json, print_table, say
from slm_atlas.cli.params import duration, size, tokens
from slm_atlas.errors import UserError
from slm_atlas.units import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slm_atlas.advisor.recommend import Answer, Choice, Query
    from slm_atlas.store.records import Host

SUBJECTS = ("any", "commonsense", "problem solving", "maths")
MARKS = {"yes": "", "unsure": "? ", "no": ""}
HEADINGS = {"context": "Made for", "memory": "Memory", "decode": "Decode", "ttft": "Answer begins", "score": "Score"}


@click.command(epilog="Example: slm choose --memory 4GiB --decode 10 --ttft 1 --for commonsense")
@click.option("--memory", type=size, help="Memory there is, such as 4GiB.")
@click.option("--decode", type=click.FloatRange(min=0, min_open=True), help="Fewest tokens a second.")
@click.option("--ttft", type=duration, help="Longest time until an answer begins, such as 1s or 0.5.")
@click.option(
    "--for", "subject", type=click.Choice(SUBJECTS, case_sensitive=False), default="any", show_default=True,
    help="What it is to be good at.",
)  # fmt: skip
@click.option("--context", type=tokens, help="Tokens of context needed; default: as most models were measured.")
@click.option("--prompt", type=tokens, help="Tokens of the prompt; default: as most models were measured.")
@click.option("--machine", help="Id of the machine whose measurements count; default: the one with most models.")
@click.option("--most", type=click.IntRange(min=1), default=10, show_default=True, help="How many models to name.")
@json_option
def command(
    memory: int | None,
    decode: float | None,
    ttft: float | None,
    subject: str,
    context: int | None,
    prompt: int | None,
    machine: str | None,
    most: int,
    json: bool,
) -> None:
    """Name the models that suit a device and a task, the best first.

    From what was measured, here or as imported, and for the catalogue's other models from what their architecture must
    compute beside those measured. A limit is kept for certain when the whole 95% interval keeps it; "?" stands where it
    may be, or may not. A file measured in several ways counts as in the one nearest to the context and prompt asked
    for, not the one that did best; where none is as asked, what may differ is in doubt.
    """
    from slm_atlas.advisor.candidates import candidates, main_machine
    from slm_atlas.advisor.recommend import Query, Subject, recommend
    from slm_atlas.insights.frame import read_dataset, rows
    from slm_atlas.store import Store

    with Store(home.store_path(), reading=True) as store:
        dataset = read_dataset(store)
    found = candidates(rows(dataset.real))
    chosen = _machine(machine, dataset.hosts) if machine else main_machine(found)
    query = Query(
        machine=chosen, memory_bytes=memory, decode=decode, ttft_s=ttft, subject=Subject(subject), context=context,
        prompt=prompt, most=most,
    )  # fmt: skip
    answer = recommend(found, query)
    if json:
        print_json({"query": query, "answer": answer})
    else:
        _print(answer, query, dataset.hosts)


def _machine(given: str, hosts: dict[str, Host]) -> str:
    matching = [id_ for id_ in hosts if id_.startswith(given)]
    if len(matching) != 1:
        known = ", ".join(f"{id_} ({host.cpu})" for id_, host in hosts.items())
        raise UserError(
            f"No machine '{given}' measured anything.", f"one of: {known}" if known else "slm study run quick"
        )
    return matching[0]


def _print(answer: Answer, query: Query, hosts: dict[str, Host]) -> None:
    host = hosts.get(query.machine)
    say(f"On {host.cpu}, {host.cores} cores:" if host else "Nothing was measured yet: memory is from the architecture.")
    if not answer.choices:
        say(f"No model is like that. {_refused(answer, query)}")
        return
    asked = [reason.what for reason in answer.choices[0].reasons]
    alike, apart = _ways(answer.choices)
    lines = [
        [choice.name, choice.basis.value, *(f"{MARKS[reason.fit]}{reason.text}" for reason in choice.reasons), way]
        for choice, way in zip(answer.choices, apart, strict=True)
    ]
    print_table(["Model", "Costs", *(HEADINGS[what] for what in asked), "Measured"], lines)
    say(f"{len(answer.choices)} of {answer.suited} models that suit, or (?) may. {_refused(answer, query)}")
    if alike:
        say(f"Costs are of {alike}.")
    say(f"Ordered by {answer.scale or 'size: no score is known'}; measured before predicted.")


def _ways(choices: Sequence[Choice]) -> tuple[str, list[str]]:
    """How all of the choices were measured, and of each what differs: file, engine, prompt and context."""
    told = [(choice.file, choice.engine, choice.conditions) for choice in choices]
    shared = [len(set(column)) == 1 for column in zip(*told, strict=True)]
    alike = "; ".join(text for text, same in zip(told[0], shared, strict=True) if same and text)
    apart = ["; ".join(text for text, same in zip(each, shared, strict=True) if text and not same) for each in told]
    return alike, apart


def _refused(answer: Answer, query: Query) -> str:
    limits = {
        "context": f"are made for less than {query.context or 0:,} tokens of context",
        "memory": f"need more than {format_bytes(query.memory_bytes or 0)}",
        "decode": f"give less than {query.decode or 0:g} tokens a second",
        "ttft": f"take longer than {format_seconds(query.ttft_s or 0)} to begin",
    }
    told = ", ".join(f"{format_count(count)} {limits[what]}" for what, count in answer.refused.items())
    return f"Of the others, {told}." if told else ""
