"""Hugging Face configurations (`config.json`) as architectures."""

from slm_atlas.catalog.huggingface.read import architecture

__all__ = ["architecture"]
