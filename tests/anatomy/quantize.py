"""Runs llama.cpp's own quantizer: a program of its own, since native code may abort.

Reads from standard input one job a line, as JSON: [source, result, number of the file type]. Says the status of each.
"""

from __future__ import annotations

import ctypes
import json
import sys

import llama_cpp.llama_cpp as lib


def main() -> None:
    """Do all jobs."""
    quiet = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    for line in sys.stdin:
        source, result, file_type = json.loads(line)
        params = lib.llama_model_quantize_default_params()
        params.nthread, params.ftype, params.allow_requantize = 1, file_type, True
        status = lib.llama_model_quantize(source.encode(), result.encode(), ctypes.byref(params))
        sys.stdout.write(f"{status}\n")


if __name__ == "__main__":
    main()
