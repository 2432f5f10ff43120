"""Anatomy: the tensors of an architecture, and all that follows from them without running anything."""

from slm_atlas.anatomy.costs import Estimate, estimate
from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_types
from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Part

__all__ = ["Estimate", "Part", "Quantization", "Tensor", "TensorType", "estimate", "inventory", "tensor_types"]
