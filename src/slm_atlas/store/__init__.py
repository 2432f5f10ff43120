"""The store of measurements: one SQLite file of append-only facts, keyed by content.

`Store` adds and reads, `run_key` names what was measured, `export_*` and `import_jsonl` carry it elsewhere.
"""

from slm_atlas.store.db import Attempt, Store
from slm_atlas.store.exchange import Imported, export_csv, export_jsonl, import_jsonl
from slm_atlas.store.keys import content_hash, run_key
from slm_atlas.store.records import Artifact, Host, Run, RunKind, Sample

__all__ = [
    "Artifact",
    "Attempt",
    "Host",
    "Imported",
    "Run",
    "RunKind",
    "Sample",
    "Store",
    "content_hash",
    "export_csv",
    "export_jsonl",
    "import_jsonl",
    "run_key",
]
