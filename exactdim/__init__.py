"""Exact geometry of ReLU networks, with evidence.

Names load on first use: ``import exactdim`` itself is cheap and touches neither torch nor any other
heavy package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from exactdim.arith.matrix import QMatrix as QMatrix
    from exactdim.arith.matrix import kernel as kernel
    from exactdim.arith.matrix import matrix_rank as matrix_rank
    from exactdim.dimension.atlas import Atlas as Atlas
    from exactdim.dimension.atlas import AtlasRegion as AtlasRegion
    from exactdim.dimension.atlas import parameter_regions as parameter_regions
    from exactdim.dimension.bounds import dimension_bounds as dimension_bounds
    from exactdim.dimension.full import FullDimension as FullDimension
    from exactdim.dimension.full import full_dimension as full_dimension
    from exactdim.dimension.generic import Genericity as Genericity
    from exactdim.dimension.generic import generic_dimension as generic_dimension
    from exactdim.dimension.generic import is_generic as is_generic
    from exactdim.dimension.identifiability import Identifiability as Identifiability
    from exactdim.dimension.identifiability import identifiability as identifiability
    from exactdim.dimension.local import local_dimension as local_dimension
    from exactdim.dimension.result import Dimension as Dimension
    from exactdim.dimension.sampling import SampledDimension as SampledDimension
    from exactdim.dimension.sampling import sample_dimension as sample_dimension
    from exactdim.evidence.certificate import Certificate as Certificate
    from exactdim.evidence.certificate import verify as verify
    from exactdim.monitor import LocalDimensionMonitor as LocalDimensionMonitor
    from exactdim.nets.canonical import are_equivalent as are_equivalent
    from exactdim.nets.canonical import canonical_form as canonical_form
    from exactdim.nets.formats import as_network as as_network
    from exactdim.nets.jacobian import jacobian as jacobian
    from exactdim.nets.network import ReLUNetwork as ReLUNetwork
    from exactdim.nets.paths import activation_operator as activation_operator
    from exactdim.nets.paths import path_lifting as path_lifting
    from exactdim.nets.patterns import activation_pattern as activation_pattern
    from exactdim.nets.symbolic import symbolic as symbolic
    from exactdim.nets.symmetry import Symmetry as Symmetry
    from exactdim.nets.symmetry import gauge_vectors as gauge_vectors
    from exactdim.nets.symmetry import permute as permute
    from exactdim.nets.symmetry import rescale as rescale
    from exactdim.numeric import crosscheck as crosscheck
    from exactdim.regions.complex import RegionComplex as RegionComplex
    from exactdim.regions.complex import activation_regions as activation_regions
    from exactdim.regions.complex import count_regions as count_regions
    from exactdim.regions.domain import Domain as Domain
    from exactdim.regions.equality import max_difference as max_difference
    from exactdim.regions.equality import same_function as same_function
    from exactdim.regions.programs import realise as realise
    from exactdim.regions.realisability import ParameterRealisation as ParameterRealisation
    from exactdim.regions.realisability import realise_parameters as realise_parameters
    from exactdim.regions.region import Region as Region
    from exactdim.regions.slices import ParameterSlice as ParameterSlice
    from exactdim.regions.slices import parameter_slice as parameter_slice
    from exactdim.testing.invariance import check_invariance as check_invariance

_HOMES = {
    "Atlas": "dimension.atlas",
    "AtlasRegion": "dimension.atlas",
    "Certificate": "evidence.certificate",
    "Dimension": "dimension.result",
    "Domain": "regions.domain",
    "FullDimension": "dimension.full",
    "Genericity": "dimension.generic",
    "Identifiability": "dimension.identifiability",
    "LocalDimensionMonitor": "monitor",
    "ParameterRealisation": "regions.realisability",
    "ParameterSlice": "regions.slices",
    "QMatrix": "arith.matrix",
    "ReLUNetwork": "nets.network",
    "Region": "regions.region",
    "RegionComplex": "regions.complex",
    "SampledDimension": "dimension.sampling",
    "Symmetry": "nets.symmetry",
    "activation_operator": "nets.paths",
    "activation_pattern": "nets.patterns",
    "activation_regions": "regions.complex",
    "are_equivalent": "nets.canonical",
    "as_network": "nets.formats",
    "canonical_form": "nets.canonical",
    "check_invariance": "testing.invariance",
    "count_regions": "regions.complex",
    "crosscheck": "numeric",
    "dimension_bounds": "dimension.bounds",
    "full_dimension": "dimension.full",
    "gauge_vectors": "nets.symmetry",
    "generic_dimension": "dimension.generic",
    "identifiability": "dimension.identifiability",
    "is_generic": "dimension.generic",
    "jacobian": "nets.jacobian",
    "kernel": "arith.matrix",
    "local_dimension": "dimension.local",
    "matrix_rank": "arith.matrix",
    "max_difference": "regions.equality",
    "parameter_regions": "dimension.atlas",
    "parameter_slice": "regions.slices",
    "path_lifting": "nets.paths",
    "permute": "nets.symmetry",
    "realise": "regions.programs",
    "realise_parameters": "regions.realisability",
    "rescale": "nets.symmetry",
    "same_function": "regions.equality",
    "sample_dimension": "dimension.sampling",
    "symbolic": "nets.symbolic",
    "verify": "evidence.certificate",
}

__all__ = [*_HOMES, "__version__", "errors"]  # noqa: F822


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("exactdim.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'exactdim' has no attribute {name!r}")
    value = getattr(import_module(f"exactdim.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
