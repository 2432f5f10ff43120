"""Models made up for these tests: SmolLM-135M, but for what a test is about."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from slm_atlas.catalog import Model, get
from slm_atlas.catalog.architecture import PerLayer
from slm_atlas.catalog.schema import CountsAs, InPaper


def made(
    name: str = "made",
    *,
    release: str = "2024-03",
    params: int = 1_000_000_000,
    tokens_billion: float | None = 100.0,
    datasets: tuple[str, ...] = (),
    paper: InPaper | None = None,
    **architecture: Any,
) -> Model:
    """A model of the survey's Figure 2, unless `paper` says otherwise."""
    base = get("smollm-135m")
    return replace(
        base,
        id=name,
        name=name.upper(),
        release=release,
        params=params,
        training=replace(base.training, tokens_billion=tokens_billion, datasets=datasets),
        paper=paper or InPaper(v1=True, fig2b=True),
        architecture=replace(base.architecture, **architecture),
    )


def with_ffn(ratio: PerLayer, *, hidden: int = 1000, **more: Any) -> Model:
    """A model whose FFN is so wide, a thousandth of the width being one."""
    return made(hidden=hidden, ffn=replace(get("smollm-135m").architecture.ffn, intermediate=ratio), **more)


def counted(**changes: Any) -> InPaper:
    """In Figure 2, as something else."""
    return InPaper(v1=True, fig2b=True, counts_as=CountsAs(basis="we looked", **changes))
