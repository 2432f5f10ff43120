"""`slm choose`: an answer from what is stored, and clear words where there is little."""

from __future__ import annotations

import json

import pytest

from .atlas import slm, wrong


@pytest.mark.usefixtures("reference")
def test_a_device_and_a_task_get_ranked_models() -> None:
    result = slm("choose", "--memory", "4GiB", "--decode", "10", "--ttft", "1", "--for", "commonsense", "--most", "3")
    assert result.exit_code == 0
    assert len(result.stdout.strip().splitlines()) == 5
    assert "Qwen2-1.5B" in result.stdout
    assert "prompt of 50, context of 512" in result.stderr
    assert "random weights" in result.stdout, "which file"
    assert "need more than 4.00 GiB" in result.stderr


@pytest.mark.usefixtures("reference")
def test_as_json() -> None:
    document = json.loads(slm("choose", "--memory", "1GiB", "--json").stdout)
    assert document["query"]["memory_bytes"] == 2**30
    assert all(choice["fit"] in ("yes", "unsure") for choice in document["answer"]["choices"])


@pytest.mark.usefixtures("reference")
def test_nothing_suits() -> None:
    result = slm("choose", "--memory", "10MiB")
    assert result.exit_code == 0
    assert "No model is like that" in result.stderr


def test_an_empty_store_answers_from_the_architecture() -> None:
    result = slm("choose", "--memory", "500MiB", "--decode", "10")
    assert "Nothing was measured yet" in result.stderr
    assert "not known" in result.stdout


def test_what_is_wrong_is_said() -> None:
    assert "No machine 'zz'" in wrong("choose", "--machine", "zz")
    assert "not a size" in wrong("choose", "--memory", "lots")
