"""All claims: the survey's, those of installed packages (entry points), and those of a file of one's own."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import msgspec

from slm_atlas.errors import UserError
from slm_atlas.insights.claims import (
    architecture,
    breakdown,
    capability,
    context,
    hardware,
    latency,
    memory,
    quantization,
    training,
)
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Result, Test

GROUP = "slm_atlas.claims"
"""The entry points of packages that bring claims: each names a sequence of them."""
ID = re.compile(r"[A-Za-z][A-Za-z0-9.-]{0,30}")
"""What a claim may be called."""

CLAIMS: tuple[Claim, ...] = (
    *architecture.CLAIMS,
    *training.CLAIMS,
    *capability.CLAIMS,
    *context.CLAIMS,
    *latency.CLAIMS,
    *quantization.CLAIMS,
    *hardware.CLAIMS,
    *breakdown.CLAIMS,
    *memory.CLAIMS,
)
"""The survey's."""


def all_claims(files: Sequence[Path] = ()) -> list[Claim]:
    """The survey's claims, those that installed packages bring, and those of files.

    Raises:
        UserError: a file or a package does not give claims, or two claims have one id.
    """
    found = [*CLAIMS, *_installed(), *(claim for file in files for claim in load(file))]
    twice = [id_ for id_, times in Counter(claim.id.lower() for claim in found).items() if times > 1]
    if twice:
        raise UserError(f"More than one claim is called {', '.join(twice)}.", "another id for one's own")
    return found


def load(file: Path) -> list[Claim]:
    """The claims of a file of Python, which is run: its `CLAIMS`.

    Raises:
        UserError: it cannot be read or run, or its `CLAIMS` is not a sequence of claims.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file of claims.", "slm insights --claims my_claims.py")
    name = f"slm_atlas_claims_{file.stem}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file}: claims are written in Python, in a file that ends with .py.")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's code may raise anything
        raise UserError(f"{file}{_line(error, file)}: {type(error).__name__}: {error}") from error
    return _checked(getattr(module, "CLAIMS", None), str(file))


def _line(error: Exception, file: Path) -> str:
    """Which line of a file raised an error."""
    number = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            number = trace.tb_lineno
        trace = trace.tb_next
    return "" if number is None else f":{number}"


def _installed() -> list[Claim]:
    found: list[Claim] = []
    for entry in entry_points(group=GROUP):
        where = f"entry point {entry.name} = {entry.value}"
        try:
            brought = entry.load()
        except Exception as error:  # another package's code may raise anything
            raise UserError(f"{where}: {type(error).__name__}: {error}") from error
        found += _checked(brought, where)
    return found


def _checked(brought: object, where: str) -> list[Claim]:
    """Claims, if that is what they are."""
    if not isinstance(brought, Iterable):
        raise UserError(f"{where}: it needs CLAIMS, a list of slm_atlas.insights.claims.Claim.")
    claims = list(brought)
    for claim in claims:
        if not isinstance(claim, Claim):
            raise UserError(f"{where}: CLAIMS holds a {type(claim).__name__}, not a slm_atlas.insights.claims.Claim.")
        if wrong := _wrong(claim):
            raise UserError(f"{where}: claim {claim.id!r}: {wrong}")
    return [msgspec.structs.replace(claim, tests=_guarded(claim, where)) for claim in claims]


def _guarded(claim: Claim, where: str) -> dict[Data, Test]:
    """Its tests, whose errors are a line that says whose they are."""

    def guard(test: Test) -> Test:
        def run(evidence: Evidence) -> Result:
            try:
                result = test(evidence)
            except Exception as error:  # (a user's code may raise anything; whose, and what, is said)
                raise UserError(f"{where}: claim {claim.id}: {type(error).__name__}: {error}") from error
            if not isinstance(result, Result):
                raise UserError(f"{where}: claim {claim.id}: its test gave a {type(result).__name__}, not a Result.")
            return result

        return run

    return {Data(data): guard(test) for data, test in claim.tests.items()}


def _wrong(claim: Claim) -> str | None:
    """What is wrong with a claim; its constructor checks no types."""
    if not isinstance(claim.id, str) or not ID.fullmatch(claim.id):
        return "an id is a letter, then letters, digits, dots or hyphens."
    unknown = [str(data) for data in claim.tests if data not in set(Data)]
    if unknown or not claim.tests or not all(callable(test) for test in claim.tests.values()):
        return f"tests is a function for one or more of {', '.join(Data)}."
    return None
