"""Models as files: forged, fetched and identified."""

from slm_atlas.models.fetch import DEFAULT_QUANTIZATION, Located, locate

__all__ = ["DEFAULT_QUANTIZATION", "Located", "locate"]
