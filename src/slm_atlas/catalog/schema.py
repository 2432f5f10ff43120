"""What the catalogue says of a model: its identity, architecture and training, each fact with its source."""

from __future__ import annotations

from enum import StrEnum

from slm_atlas.catalog.architecture import Architecture, Struct


class SourceKind(StrEnum):
    """How we know a fact."""

    REPORTED = "reported"
    """Stated by the authors, or in the files they published."""
    DERIVED = "derived"
    """Computed from reported facts."""
    RECALLED = "recalled"
    """Believed, but not confirmed against a source."""


class Source(Struct, frozen=True, kw_only=True):
    """Where a fact comes from."""

    kind: SourceKind
    """Reported, derived or recalled."""
    where: str
    """The document, file or computation."""


class Training(Struct, frozen=True, kw_only=True):
    """What the model was trained on, and how."""

    tokens_billion: float | None = None
    """Tokens seen in pre-training, in billions; None: not published."""
    tokens_unique_billion: float | None = None
    """Different tokens among them, where some were seen more than once; None: not published."""
    tokens_note: str | None = None
    """What the number counts, or why there is none."""
    datasets: tuple[str, ...] = ()
    """Names of the training data sets, as in `datasets.toml`; none: not published."""
    algorithms: tuple[str, ...] = ()
    """Names of notable training algorithms, as in `algorithms.toml`."""
    finetune_datasets: tuple[str, ...] = ()
    """Names of the data sets it was tuned on after pre-training."""
    finetune_tokens_billion: float | None = None
    """Tokens it was tuned on after pre-training, in billions; None: not published."""


class Variant(StrEnum):
    """Whether the model was tuned to follow instructions."""

    BASE = "base"
    INSTRUCT = "instruct"


class Verified(StrEnum):
    """How the number of parameters was checked."""

    INSTANTIATED = "instantiated"
    """The model was built from its configuration (transformers, meta device) and counted."""
    EQUIVALENT = "equivalent"
    """A configuration of another class with the same shapes was built and counted."""
    FORMULA = "formula"
    """Added up from the shapes: nothing in transformers builds it."""


class CountsAs(Struct, frozen=True, kw_only=True):
    """What the survey counts a model as, where that is not what it is."""

    attention: str | None = None
    """Its kind of attention in the survey; `none`: the survey has none for it."""
    norm: str | None = None
    """Its norm in the survey."""
    activation: str | None = None
    """Its activation in the survey."""
    ffn_ratio: str | None = None
    """Its FFN ratio in the survey, by the figure's label."""
    datasets: tuple[str, ...] | None = None
    """The data sets the survey counts for it."""
    basis: str
    """How we know."""


class InPaper(Struct, frozen=True, kw_only=True):
    """Where the survey has the model."""

    v1: bool = False
    """Counted in its first version (2024-09)."""
    v3: bool = False
    """Counted in its third version (2025-02)."""
    fig2b: bool = False
    """Among the 62 models of Figure 2b's bars."""
    organization: str | None = None
    """Who made it, in the survey's words; None: not named there."""
    release: str | None = None
    """Year and month of release in the survey; None: not given there."""
    tokens_billion: float | None = None
    """Training tokens in the survey's Figure 4, in billions; None: as in `training`, or not drawn."""
    counts_as: CountsAs | None = None
    """Where the survey counts it as something it is not."""
    note: str | None = None
    """How it was identified."""


class Equivalent(Struct, frozen=True, kw_only=True):
    """A shape that llama.cpp can run in place of one it cannot."""

    changes: dict[str, str | int | float | bool]
    """Fields of the architecture that change, dotted, with their new values."""
    differs: str
    """What is not as in the model, in a sentence."""


class Model(Struct, frozen=True, kw_only=True):
    """One model of the catalogue."""

    id: str
    """The name used on the command line: lower case, digits, dots and hyphens."""
    name: str
    """The name its authors gave it."""
    family: str
    """The family it belongs to."""
    organization: str
    """Who made it."""
    release: str
    """Year and month of release, as 2024-07."""
    license: str
    """SPDX identifier where there is one."""
    variant: Variant
    """Base or instruction-tuned."""
    base_model: str | None = None
    """The id, or name, of the model it was tuned from; None: trained from the start."""
    hub_id: str | None = None
    """owner/name on the model hub; None: not there."""
    open_weights: bool = True
    """The weights can be had."""
    params: int
    """Exact number of parameters, tied matrices counted once."""
    verified: Verified
    """How that number was checked."""
    params_published: int | None = None
    """The number its authors give, to whatever precision; None: none known."""
    paper: InPaper = InPaper()
    """Where the survey has it."""
    architecture: Architecture
    """Axis one: how it is built."""
    equivalent: Equivalent | None = None
    """What llama.cpp runs in its place, where it cannot run the model itself."""
    not_run: str | None = None
    """Why llama.cpp runs neither the model nor a shape like it, in a sentence."""
    training: Training
    """Axes two and three: on what and how it was trained."""
    sources: dict[str, Source]
    """Where each fact comes from: by section (`identity`, `params`, `architecture`, `training`), or by dotted field
    (`training.tokens_billion`) where it differs from its section's."""
    doubts: tuple[str, ...] = ()
    """What could not be settled."""

    @property
    def params_untied(self) -> int:
        """Parameters when a tied language-model head is counted as well, as the survey's Figure 7 does."""
        arch = self.architecture
        return self.params + (arch.vocab * (arch.embedding.dim or arch.hidden) if arch.embedding.tied else 0)

    def source(self, field: str) -> Source:
        """Where a fact comes from: the entry of the field itself, else of its section, else of `identity`."""
        for key in (field, field.split(".")[0], "identity"):
            if key in self.sources:
                return self.sources[key]
        raise KeyError(field)


class Family(Struct, frozen=True, kw_only=True):
    """One file of the catalogue: the models of a family."""

    models: tuple[Model, ...]
    """The models, small to large."""


class Dataset(Struct, frozen=True, kw_only=True):
    """A set of training data."""

    name: str
    """The name models refer to it by."""
    organization: str
    """Who made it."""
    year: int
    """When it was first published."""
    tokens_billion: float | None = None
    """Its size in billions of tokens; None: not published, or not counted in tokens."""
    license: str | None = None
    """Its licence; None: unknown."""
    open: bool
    """Anyone can have it."""
    content: str
    """What it holds, in a few words."""
    filtered: str
    """How it was filtered, in a sentence."""
    source: Source
    """Where these facts come from."""


class Algorithm(Struct, frozen=True, kw_only=True):
    """A way of training."""

    name: str
    """The name models refer to it by."""
    what: str
    """What it does, in a sentence."""
    paper: str
    """The paper that introduced it, with its identifier."""
    year: int
    """The year of that paper."""
    source: Source
    """Where these facts come from."""


class Datasets(Struct, frozen=True, kw_only=True):
    """The file `datasets.toml`."""

    datasets: tuple[Dataset, ...]
    """All of them, by name."""


class Algorithms(Struct, frozen=True, kw_only=True):
    """The file `algorithms.toml`."""

    algorithms: tuple[Algorithm, ...]
    """All of them, by name."""
