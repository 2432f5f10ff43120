"""Log probabilities of tokens from rows of logits, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_ROWS = 8
"""Rows a thread takes at once: few enough to stay in a core's cache."""


class Picked(NamedTuple):
    """Of some tokens."""

    logprobs: npt.NDArray[np.float64]
    """Natural log probabilities."""
    greedy: npt.NDArray[np.bool_]
    """No other token is more likely."""


class LogSoftmax:
    """Threads that turn logits into log probabilities.

    The model's own threads rest meanwhile, so this uses their cores. Overlapping it with the next micro-batch instead
    would make them wait for each other.

    Args:
        pool: the threads.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def pick(self, logits: npt.NDArray[np.float32], rows: Sequence[int], tokens: Sequence[int]) -> Picked:
        """The log probability of each token in its row; the logits are overwritten.

        Exponentials are float32 and their sum is pairwise: the error of a log probability stays below 1e-5.

        Args:
            logits: shape (n_rows, n_vocab).
            rows: a row for each token.
            tokens: the tokens.
        """
        chosen = logits[rows, tokens].astype(np.float64)
        peaks = np.empty(len(logits), np.float32)
        logsums = np.empty(len(logits), np.float64)

        def work(first: int) -> None:
            part = slice(first, first + _ROWS)
            peaks[part], logsums[part] = _logsumexp(logits[part])

        list(self._pool.map(work, range(0, len(logits), _ROWS)))
        return Picked(chosen - logsums[rows], chosen == peaks[rows])


def _logsumexp(logits: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """The largest of each row, and the log of the sum of the exponentials; overwrites the rows."""
    peaks = logits.max(axis=1)
    np.subtract(logits, peaks[:, None], out=logits)
    np.exp(logits, out=logits)
    return peaks, peaks.astype(np.float64) + np.log(logits.sum(axis=1).astype(np.float64))
