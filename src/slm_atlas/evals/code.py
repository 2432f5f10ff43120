"""Coding tasks: programs that a model wrote, run in the sandbox if somebody allows it, and scored as pass@k."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

from slm_atlas.engines.process import usable_cores
from slm_atlas.errors import UserError
from slm_atlas.evals.sandbox import MEND, Limits, Outcome, Verdict, layers, run

_isolated: ContextVar[bool | None] = ContextVar("isolated", default=None)
"""Whether programs need isolation; None where none may run."""


@contextmanager
def allow_code(*, isolated: bool = True) -> Iterator[None]:
    """Lets programs of a model run within the block (and its thread).

    Args:
        isolated: only where the machine can isolate them. Without, they run with what layers there are: for a container
            or a virtual machine that holds nothing of worth.
    """
    token = _isolated.set(isolated)
    try:
        yield
    finally:
        _isolated.reset(token)


def require_allowed() -> bool:
    """Whether programs need isolation; to be called before a model is loaded for a coding task.

    Raises:
        UserError: programs are not allowed, or this machine cannot isolate them and they need it.
    """
    isolated = _isolated.get()
    if isolated is None:
        raise UserError("This task runs programs that the model wrote.", "slm eval ... --allow-code")
    missing = layers().missing
    if isolated and missing:
        why = f"{', '.join(missing)}: {layers().lacking[missing[0]]}"
        raise UserError(f"This machine cannot isolate the programs that a model writes ({why}).", MEND)
    return isolated


def judge(programs: Sequence[str], limits: Limits | None = None) -> list[Verdict]:
    """Runs programs, as many at once as there are cores, each in a sandbox of its own.

    Raises:
        UserError: they may not run (`require_allowed`), or one was refused.
    """
    isolated = require_allowed()
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        verdicts = list(pool.map(lambda program: run(program, limits, isolated=isolated), programs))
    refused = next((one for one in verdicts if one.outcome is Outcome.REFUSED), None)
    if refused is not None:
        raise UserError(f"The sandbox refused a program: {refused.reason}.", "slm doctor")
    return verdicts


def joined(prediction: str, reference: str) -> str:
    """The program that decides: what the model wrote, then the tests, as lm-eval's `code_eval` joins them."""
    return f"{prediction}\n{reference}"


def pass_at_k(references: Sequence[str], predictions: Sequence[Sequence[str]], k: Sequence[int]) -> dict[str, float]:
    """How often at least one of k programs passes: the mean over problems of the unbiased estimate.

    The contract of lm-eval's `humaneval` (Hugging Face's metric `code_eval`): a reference is a problem's tests,
    a prediction the text of a program, several a problem. A k larger than some problem's number of programs is left
    out. Programs see no packages but the standard library, where `code_eval` shows them what is installed.

    Raises:
        UserError: programs may not run.
        ValueError: no problems, one without programs, or not as many lists of predictions as references.

    Returns:
        `pass@1` and so on, each 0 to 1.
    """
    if not references or not all(predictions):
        raise ValueError("pass@k needs a problem, and a program for each")
    pairs = [(one, tests) for tests, several in zip(references, predictions, strict=True) for one in several]
    verdicts = iter(judge([joined(*pair) for pair in pairs]))
    passed = [sum(next(verdicts).outcome is Outcome.PASSED for _ in several) for several in predictions]
    counts = list(zip(map(len, predictions), passed, strict=True))
    usable = [one for one in k if one <= min(n for n, _ in counts)]
    return {f"pass@{one}": statistics.fmean(chance_of_k(n, c, one) for n, c in counts) for one in usable}


def chance_of_k(n: int, c: int, k: int) -> float:
    """The chance that one of k programs passes, unbiased, of n of which c passed (Chen et al. 2021, equation 1).

    1 - C(n - c, k) / C(n, k): how many of the choices of k among the n hold one that passed.

    Raises:
        ValueError: not 1 <= k <= n, or not 0 <= c <= n.

    >>> chance_of_k(10, 3, 1), chance_of_k(4, 2, 2), chance_of_k(5, 4, 2)
    (0.3, 0.8333333333333334, 1.0)
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"k = {k} of n = {n} programs, c = {c} of which passed")
    every = math.comb(n, k)
    return (every - math.comb(n - c, k)) / every
