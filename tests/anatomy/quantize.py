"""Asks llama.cpp's own quantizer for types: a program of its own, since native code may abort.

Reads from standard input one job a line, as JSON: [source, result, number of the file type]. Without a result (null) it
only reckons, and says the type of every tensor by name, as JSON. It says {} once a file is written, and a number where
the quantizer fails.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys

import llama_cpp.llama_cpp as lib

_TENSOR = re.compile(r"^\[ *\d+/ *\d+\] (\S+) +- \[.*?\], type = +(\S+), .*?(?:\((\S+)\))?$", re.MULTILINE)
"""A line of its log: name, the type there was, and the type there is where that is another."""


def main() -> None:
    """Do all jobs."""
    log: list[bytes] = []
    listening = lib.llama_log_callback(lambda _level, text, _data: log.append(text))
    lib.llama_log_set(listening, ctypes.c_void_p(0))
    lib.llama_backend_init()
    for line in sys.stdin:
        log.clear()
        source, result, file_type = json.loads(line)
        params = lib.llama_model_quantize_default_params()
        params.nthread, params.ftype, params.allow_requantize = 1, file_type, True
        params.dry_run = result is None
        status = lib.llama_model_quantize(source.encode(), (result or "").encode(), ctypes.byref(params))
        found = _TENSOR.findall(b"".join(log).decode()) if result is None else []
        said = status or {name: (after or before).upper() for name, before, after in found}
        sys.stdout.write(f"{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
