"""Certificates about activation regions, for the independent checker.

The layout is described in ``proofs_checks/FORMAT.md``, the theorem that makes a list of regions
complete (T45) in ``proofs_checks/STATEMENTS.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from exactdim.arith.lp import minimise
from exactdim.arith.matrix import QMatrix
from exactdim.errors import CertificateError
from exactdim.evidence.certificate import Certificate
from exactdim.evidence.spelling import layers_of, rational, rationals
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.domain import Domain
from exactdim.regions.region import Facet, Point, Region

if TYPE_CHECKING:
    from exactdim.regions.complex import RegionComplex

__all__ = [
    "complete_certificate",
    "counterexample_certificate",
    "empty_certificate",
    "point_certificate",
    "same_function_certificate",
]

MOST_REGIONS = 50_000
"""Regions beyond which a certificate would be refused by the checker for its size."""

MOST_POLYGONS = 2_000
"""Regions up to which the plane's areas are listed, too."""


def complete_certificate(regions: RegionComplex) -> Certificate:
    """Certify that a list of activation regions is complete.

    Parameters
    ----------
    regions : RegionComplex

    Returns
    -------
    Certificate
        Of the kind ``regions-complete``. Cost: about a millisecond per region and ten neurons.

    Raises
    ------
    CertificateError
        If there are too many regions for the checker.
    """
    return Certificate.seal(
        {"kind": "regions-complete", "count": len(regions)},
        problem_of(regions.nets, regions.domain),
        _list_of(regions),
    )


def same_function_certificate(regions: RegionComplex) -> Certificate:
    """Certify that two networks agree, given their common activation regions.

    Parameters
    ----------
    regions : RegionComplex
        Of both networks.

    Returns
    -------
    Certificate
        Of the kind ``same-function``.

    Raises
    ------
    CertificateError
        If there are too many regions for the checker.
    """
    return Certificate.seal(
        {"kind": "same-function"}, problem_of(regions.nets, regions.domain), _list_of(regions)
    )


def counterexample_certificate(
    nets: Sequence[ReLUNetwork], domain: Domain, point: Point, values: Sequence[Point]
) -> Certificate:
    """Certify that two networks differ.

    Parameters
    ----------
    nets : two networks
    domain : Domain
    point : tuple of Fraction
        In the coordinates of the domain.
    values : two tuples of Fraction
        The outputs there.

    Returns
    -------
    Certificate
        Of the kind ``counterexample``.
    """
    return Certificate.seal(
        {"kind": "counterexample"},
        problem_of(nets, domain),
        {"point": _spelled(point), "outputs": [_spelled(value) for value in values]},
    )


def point_certificate(
    nets: Sequence[ReLUNetwork], domain: Domain, pattern: Sequence[str], point: Point
) -> Certificate:
    """Certify that an activation region exists.

    Parameters
    ----------
    nets : sequence of ReLUNetwork
    domain : Domain
    pattern : sequence of str
        One word per hidden layer.
    point : tuple of Fraction
        Strictly inside the region.

    Returns
    -------
    Certificate
        Of the kind ``region-nonempty``.

    Raises
    ------
    CertificateError
        If the pattern is only the beginning of one.
    """
    if len(pattern) < sum(net.depth - 1 for net in nets):
        raise CertificateError(
            f"the pattern {' '.join(pattern)} stops before the last hidden layer; a certificate "
            "that a region exists needs all of it"
        )
    return Certificate.seal(
        {"kind": "region-nonempty", "pattern": _words(nets, pattern)},
        problem_of(nets, domain),
        {"point": _spelled(point)},
    )


def empty_certificate(
    net: ReLUNetwork, domain: Domain, pattern: Sequence[str], multipliers: Mapping[int, int]
) -> Certificate:
    """Certify that no activation region has a pattern that starts in some way.

    Parameters
    ----------
    net : ReLUNetwork
    domain : Domain
    pattern : sequence of str
        One word per layer, from the first on.
    multipliers : mapping of int to int
        Rows (hidden units, then inequalities) that add up to a contradiction.

    Returns
    -------
    Certificate
        Of the kind ``region-empty``.
    """
    return Certificate.seal(
        {"kind": "region-empty", "pattern": [list(pattern)]},
        problem_of([net], domain),
        {"multipliers": {str(row): str(weight) for row, weight in sorted(multipliers.items())}},
    )


def problem_of(nets: Sequence[ReLUNetwork], domain: Domain) -> dict[str, Any]:
    """Spell networks and a domain.

    Parameters
    ----------
    nets : sequence of ReLUNetwork
    domain : Domain

    Returns
    -------
    dict
    """
    flat = None
    if domain.directions is not None and domain.origin is not None:
        flat = {"origin": rationals(domain.origin)[0], "directions": rationals(domain.directions)}
    return {
        "networks": [{"layers": layers_of(net)} for net in nets],
        "domain": {"inequalities": rationals(domain.inequalities), "flat": flat},
    }


def _spelled(point: Sequence[Fraction]) -> list[str]:
    return [rational(x.numerator, x.denominator) for x in point]


def _words(nets: Sequence[ReLUNetwork], pattern: Sequence[str]) -> list[list[str]]:
    """Divide the words of a pattern among the networks."""
    words = iter(pattern)
    return [[next(words) for _ in range(net.depth - 1)] for net in nets]


def _list_of(regions: RegionComplex) -> dict[str, Any]:
    if len(regions) > MOST_REGIONS:
        raise CertificateError(
            f"a certificate of {len(regions)} regions would be larger than the checker reads "
            f"({MOST_REGIONS}); certify a smaller domain or single regions"
        )
    polygons = None
    if regions.dimension == 2 and regions.bounded.all() and len(regions) <= MOST_POLYGONS:
        polygons = {
            "regions": [[_spelled(corner) for corner in region.polygon] for region in regions],
            "domain": [_spelled(corner) for corner in regions.outline()],
        }
    return {"regions": [_listed(region) for region in regions], "polygons": polygons}


def _listed(region: Region) -> dict[str, Any]:
    rows = region.inequalities
    whole = region.complex
    facets = {_row_of(facet, whole): facet for facet in region.facets}
    shown = [
        {"row": row, "point": _spelled(region.facet_point(facet)), "neighbour": facet.neighbour}
        for row, facet in facets.items()
    ]
    derived = _derivations(region, rows, facets)
    return {
        "pattern": _words(whole.nets, region.pattern),
        "point": _spelled(region.interior_point),
        "facets": shown,
        "redundant": [
            {
                "row": row,
                "multipliers": {
                    str(i): rational(w.numerator, w.denominator) for i, w in sorted(weights.items())
                },
            }
            for row, weights in sorted(derived.items())
        ],
    }


def _row_of(facet: Facet, whole: RegionComplex) -> int:
    if facet.units:
        layer, unit = facet.units[0]
        return whole.layout.ends[layer] + unit
    return whole.layout.n_hidden + facet.walls[0]


def _derivations(
    region: Region, rows: QMatrix, facets: Mapping[int, Facet]
) -> dict[int, dict[int, Fraction]]:
    """Write every other inequality as a combination of those of the facets, plus a constant.

    Where a row is smallest over the region, the facets that meet there derive it. If the corner is
    simple, that is a square system; else a linear program finds the multipliers.

    Returns
    -------
    dict
        Row: {row of a facet: multiplier}.
    """
    d = region.complex.dimension
    gradients = rows[:, :d]
    float_rows = rows.to_numpy(np.float64)
    slanted = [i for i, row in enumerate(gradients.tolist()) if any(row) and i not in facets]
    names = list(facets)
    found: dict[int, dict[int, Fraction]] = {}
    corners, meeting = region.simple_corners()
    if len(corners):
        lowest = (corners @ float_rows[slanted].T).argmin(axis=0)
        for corner in np.unique(lowest).tolist():
            some = [row for row, at in zip(slanted, lowest.tolist(), strict=True) if at == corner]
            base = [names[i] for i in meeting[corner]]
            weights = gradients[base].T.solve(gradients[some].T).T.tolist()
            for row, weight in zip(some, weights, strict=True):
                if _derives(rows, row, base, weight):
                    found[row] = {i: w for i, w in zip(base, weight, strict=True) if w}
    for row in slanted:
        if row not in found:
            least = minimise(gradients[names], rows[names][:, [d]], gradients[[row]])
            found[row] = {names[i]: w for i, w in least.multipliers.items()}
    return found


def _derives(rows: QMatrix, row: int, base: Sequence[int], weights: Sequence[Fraction]) -> bool:
    """Decide whether weights are a proof; that the gradients add up is known."""
    constants = rows[:, [rows.shape[1] - 1]]
    rest = constants[row, 0] - sum(
        (w * constants[i, 0] for i, w in zip(base, weights, strict=True)), Fraction(0)
    )
    return rest >= 0 and all(w >= 0 for w in weights)
