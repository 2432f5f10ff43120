"""The plan: every token of the tree once, full micro-batches, and each sequence exactly the text it stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.engines import Pair, Prompt
from slm_atlas.engines.packing import TRUNK, MicroBatch, branch_depths, checked, common, micro_batches, plan
from slm_atlas.errors import EngineRefused

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=9)
PAIRS = st.lists(st.builds(Pair, prefix=TOKENS, continuation=TOKENS), min_size=1, max_size=12)


class Cache:
    """A unified cache that keeps what each sequence holds, and checks what llama.cpp demands."""

    def __init__(self, held: list[int], sequences: int) -> None:
        self.texts: dict[int, list[int]] = {sequence: list(held) for sequence in TRUNK}
        self.sequences = sequences
        self.cells = len(held)

    def run(self, made: MicroBatch) -> dict[int, list[int]]:
        """Read a micro-batch; the text that ends with each of its tokens."""
        for sequence, length in made.copied:
            assert sequence not in self.texts
            assert length <= len(self.texts[TRUNK[0]])
            self.texts[sequence] = self.texts[TRUNK[0]][:length]
        for sequence in TRUNK:
            self.texts[sequence] = self.texts[sequence][: made.trunk]
        owners = [run.sequences for run in made.runs for _ in range(run.length)]
        ends = {}
        for place, (token, position, sequences) in enumerate(zip(made.tokens, made.positions, owners, strict=True)):
            assert max(sequences) < self.sequences
            before = {tuple(self.texts[sequence]) for sequence in sequences}
            assert len(before) == 1, "sequences that share a token have the same text before it"
            for sequence in sequences:
                assert len(self.texts[sequence]) == position
                self.texts[sequence] = [*self.texts[sequence], token]
            ends[place] = self.texts[sequences[0]]
        for sequence, _ in made.copied:
            del self.texts[sequence]
        return ends


@given(PAIRS, st.lists(st.integers(0, 2), max_size=9), st.integers(1, 7), st.integers(3, 8), st.floats(0, 1))
def test_each_log_probability_is_read_off_after_exactly_the_text_before_its_token(
    pairs: list[Pair], held: list[int], size: int, sequences: int, worth: float
) -> None:
    planned = plan(pairs, held, worth=worth)
    cache = Cache(held, sequences)
    read: dict[int, list[tuple[list[int], int]]] = {place: [] for place in range(len(pairs))}
    for made in micro_batches(planned, size, sequences):
        assert 0 < len(made.tokens) <= size
        ends = cache.run(made)
        for place, targets in made.targets.items():
            for target in targets:
                read[target.pair].append((ends[place], target.token))
    for place, pair in enumerate(pairs):
        whole = pair.prefix + pair.continuation
        wanted = [(whole[:end], whole[end]) for end in range(len(pair.prefix), len(whole))]
        assert sorted(read[place], key=lambda one: len(one[0])) == wanted
    assert cache.texts[TRUNK[0]] == planned.leaves[-1].tokens


@given(PAIRS)
def test_what_texts_share_is_read_once(pairs: list[Pair]) -> None:
    texts = [pair.prefix + pair.continuation[:-1] for pair in pairs]
    branches = {tuple(text[:end]) for text in texts for end in range(1, len(text) + 1)}
    assert plan(pairs).tokens == len(branches)


@given(PAIRS, st.integers(1, 7))
def test_micro_batches_are_full_where_there_are_sequences_enough(pairs: list[Pair], size: int) -> None:
    lengths = [len(made.tokens) for made in micro_batches(plan(pairs), size, size + len(TRUNK))]
    assert set(lengths[:-1]) <= {size}


def test_what_the_cache_holds_is_not_read_again_but_for_its_logits() -> None:
    pair = Pair(prefix=[1, 2, 3], continuation=[4, 5])
    assert [plan([pair], held).tokens for held in ([], [1, 2], [1, 2, 3, 4], [1, 2, 9], [7])] == [4, 2, 2, 2, 4]


def test_texts_that_have_too_little_in_common_share_nothing() -> None:
    pairs = [Pair(prefix=[1, *[kind] * 7], continuation=[9, 9]) for kind in (2, 3)]
    assert [plan(pairs, held, worth=0.2).tokens for held in ([], [1, 4, 4, 4, 4, 4], [1, 2, 2])] == [18, 18, 15]
    assert plan(pairs).tokens == 17


def test_choices_of_one_token_are_read_off_one_row() -> None:
    planned = plan([Pair(prefix=[1, 2], continuation=[token]) for token in (5, 6, 7, 8)])
    (made,) = micro_batches(planned, 8, 8)
    assert (made.tokens, [len(targets) for targets in made.targets.values()]) == ([1, 2], [4])


@given(PAIRS)
def test_branches_are_where_later_texts_go_on(pairs: list[Pair]) -> None:
    leaves = plan(pairs).leaves
    for place, leaf in enumerate(leaves):
        depths = branch_depths(leaves, place)
        assert depths == sorted(set(depths), reverse=True)
        meets = {common(list(leaf.tokens), list(later.tokens)) for later in leaves[place + 1 :]}
        assert set(depths) == {depth for depth in meets if depth > leaf.start}


@given(TOKENS, TOKENS)
def test_common_is_the_longest_common_prefix(one: list[int], other: list[int]) -> None:
    length = common(one, other)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or length in (len(one), len(other))


@pytest.mark.parametrize(
    "request_",
    [Pair(prefix=[], continuation=[1]), Pair(prefix=[1], continuation=[]), Prompt(tokens=[], max_tokens=1)],
)
def test_a_request_without_tokens_is_refused(request_: Pair | Prompt) -> None:
    with pytest.raises(EngineRefused, match="at least one token"):
        checked([request_])  # type: ignore[type-var]
