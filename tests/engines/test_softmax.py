"""The log-softmax: as exact as float64 within 1e-5, whatever the logits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slm_atlas.engines.softmax import LogSoftmax


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("threads", [1, 3])
def test_it_agrees_with_float64(scale: float, threads: int) -> None:
    rng = np.random.default_rng(1)
    logits = (scale * rng.standard_normal((21, 50_000)) + 5).astype(np.float32)
    rows = [0, 0, 7, 20, 20, 20]
    tokens = [3, 49_999, 11, *np.argsort(logits[20])[-2:].tolist(), 0]
    wide = logits.astype(np.float64)
    peaks = wide.max(axis=1, keepdims=True)
    exact = wide - peaks - np.log(np.exp(wide - peaks).sum(axis=1, keepdims=True))
    softmax = LogSoftmax(ThreadPoolExecutor(threads))
    found = softmax.pick(logits, rows, tokens)
    assert np.abs(found.logprobs - exact[rows, tokens]).max() < 1e-5
    assert found.greedy.tolist() == [
        bool(exact[row].argmax() == token) for row, token in zip(rows, tokens, strict=True)
    ]


def test_as_likely_as_the_likeliest_is_greedy() -> None:
    softmax = LogSoftmax(ThreadPoolExecutor(1))
    found = softmax.pick(np.zeros((1, 4), np.float32), [0, 0], [1, 2])
    assert found.greedy.all()
    assert found.logprobs == pytest.approx([-np.log(4)] * 2)
