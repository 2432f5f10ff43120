"""Whether a model gives the same numbers for many texts at once as for one after another; asked of each when loaded.

A class of transformers may compute its attention by itself, take positions from the order of tokens, or keep a state:
what is then computed for many texts at once would be wrong, silently.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from slm_atlas.engines.scoring import Scorer
from slm_atlas.engines.sequences import Sequences
from slm_atlas.engines.softmax import LogSoftmax
from slm_atlas.engines.torch_network import Network
from slm_atlas.engines.torch_own import Own
from slm_atlas.engines.torch_sequences import Apart, Shared
from slm_atlas.engines.values import Pair, Score
from slm_atlas.errors import EngineRefused

TOLERANCE = {"float32": 2e-3, "bfloat16": 0.25, "float16": 0.05}
"""Nats a token by which the order of summation may change a log probability, by number type."""
_SIZE = 24
"""Tokens of a call: so few that the tree is read in several."""


def difference(network: Network, vocabulary: int, window: int) -> float:
    """The greatest difference, in nats a token, between texts at once and one after another.

    Args:
        network: the model.
        vocabulary: tokens to draw from.
        window: tokens that sliding layers look back; texts go beyond it. 0: there is no window to speak of.

    Raises:
        EngineRefused: it cannot be computed so.
    """
    tree = _tree(vocabulary, max(40, window + 16))
    longest = max(len(pair.prefix) + len(pair.continuation) for pair in tree)
    with ThreadPoolExecutor(1) as pool:
        softmax = LogSoftmax(pool)

        def scored(make: Callable[[], Sequences], size: int, sequences: int, *, divisible: bool) -> list[Score]:
            scorer = Scorer(make(), softmax, context=longest, size=size, sequences=sequences, divisible=divisible)
            return scorer.score(tree).scores

        alone = scored(lambda: Own(network), longest, 1, divisible=False)
        shared = scored(lambda: Shared(network, 8), _SIZE, 8, divisible=True)
        apart = scored(lambda: Apart(network, 4, longest), _SIZE, 4, divisible=False)
    return max(
        abs(one.logprob - other.logprob) / len(pair.continuation)
        for found in (shared, apart)
        for pair, one, other in zip(tree, found, alone, strict=True)
    )


def _tree(vocabulary: int, length: int) -> list[Pair]:
    """Texts that share a beginning with each other, of different lengths."""
    rng = random.Random(0)

    def some(count: int) -> list[int]:
        return [rng.randrange(vocabulary) for _ in range(count)]

    trunk = some(length)
    questions = [trunk, trunk + some(9), trunk + some(4), trunk[: length // 2] + some(7), some(5)]
    return [Pair(prefix=question, continuation=some(count)) for question in questions for count in (1, 3)]


def fault(network: Network, vocabulary: int, window: int, dtype: str) -> str | None:
    """Why texts cannot be computed together, in words; None if they can."""
    try:
        found = difference(network, vocabulary, window)
    except EngineRefused as refusal:
        return refusal.cause
    if found <= TOLERANCE[dtype]:
        return None
    return f"together they differ by {found:.2g} nats a token"
