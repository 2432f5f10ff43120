"""Data loading for the smoke tasks: turn a bundled .jsonl file into an lm-eval test split.

How the data gets in (read against lm-eval 0.4.13):

* ``dataset_path: json`` with ``data_files`` does not fit an installed package. lm-eval hands the path to
  ``datasets.load_dataset`` unchanged, where it is relative to the current directory, not to the YAML; and
  the json builder writes an Arrow copy of the data, with lock files, into the user's cache directory.
* ``custom_dataset: !function smoke.load`` does fit. lm-eval resolves ``smoke.load`` to the ``smoke.py`` next
  to the YAML (so this folder need not be importable, nor be the current directory) and calls it in place of
  ``load_dataset``, with all that the task has under ``metadata`` and ``dataset_kwargs`` as keyword arguments.
* ``Dataset.from_list`` builds the table in memory: no network, no cache directory, a few milliseconds a file.
  It has to be a real ``Dataset``, because lm-eval reads ``.features`` of the test split.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from datasets import Dataset

FOLDER = Path(__file__).resolve().parent


def load(data_files: Mapping[str, str], **_metadata: object) -> dict[str, Dataset]:
    """Return one in-memory dataset a split, each read from a .jsonl file of this folder.

    ``_metadata`` takes what lm-eval adds to the call: the task's ``metadata`` (``version``, the
    ``config_source`` which lm-eval sets itself) and any ``metadata`` given to the ``TaskManager``.
    """
    return {split: Dataset.from_list(_read(FOLDER / name)) for split, name in data_files.items()}


def _read(path: Path) -> list[dict[str, object]]:
    # Not str.splitlines(), which also splits at characters that JSON allows inside a string (U+2028).
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
