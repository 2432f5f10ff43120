"""The store of measurements: one SQLite file of append-only facts, keyed by content.

`Store` adds and reads, `run_key` names what was measured, `export_*`, `import_jsonl` and `merge_store` carry it
elsewhere, and `import_llama_bench` takes in what llama.cpp's own benchmark measured.
"""

from slm_atlas.store.db import Attempt, Store
from slm_atlas.store.exchange import export_jsonl, import_jsonl, is_export, opened
from slm_atlas.store.keys import content_hash, run_key
from slm_atlas.store.llama_bench import Here, import_llama_bench, read_llama_bench
from slm_atlas.store.merge import Conflict, Merged, is_store, merge_store
from slm_atlas.store.records import Answer, Artifact, Host, Run, RunKind, Sample
from slm_atlas.store.reference import PREFIX as REFERENCE_PREFIX
from slm_atlas.store.reference import reference_names, reference_path
from slm_atlas.store.table import export_csv, export_parquet

__all__ = [
    "REFERENCE_PREFIX",
    "Answer",
    "Artifact",
    "Attempt",
    "Conflict",
    "Here",
    "Host",
    "Merged",
    "Run",
    "RunKind",
    "Sample",
    "Store",
    "content_hash",
    "export_csv",
    "export_jsonl",
    "export_parquet",
    "import_jsonl",
    "import_llama_bench",
    "is_export",
    "is_store",
    "merge_store",
    "opened",
    "read_llama_bench",
    "reference_names",
    "reference_path",
    "run_key",
]
