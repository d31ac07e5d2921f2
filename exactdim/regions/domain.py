"""Where regions are looked for: all of the input space, a box, a polytope, a flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike, Number, to_fraction
from exactdim.errors import InvalidInput, ShapeMismatch
from exactdim.nets.network import ReLUNetwork

__all__ = ["Domain", "DomainLike", "as_domain"]

DomainLike: TypeAlias = Any
"""A `Domain`, None for the whole space, or a box: one pair ``(lo, hi)`` or a list of pairs."""


@dataclass(frozen=True)
class Domain:
    """A convex polyhedron in the input space, or in a flat of it, with rational data.

    Use the class methods `everywhere`, `box`, `polytope`, `segment` and `plane` rather than the
    constructor. A flat has coordinates of its own: the point y stands for the input
    ``origin + y @ directions``, and everything said about regions in it (points, inequalities,
    volumes) is in terms of y.

    Attributes
    ----------
    inequalities : QMatrix of shape (m, d + 1)
        A row (g, c) stands for ``g . y + c >= 0``.
    origin : QMatrix of shape (1, N_0) or None
    directions : QMatrix of shape (d, N_0) or None
        Independent rows; None if the domain is no flat.
    """

    inequalities: QMatrix
    origin: QMatrix | None = None
    directions: QMatrix | None = None

    def __post_init__(self) -> None:
        rows = self.inequalities.tolist()
        if not all(any(row) for row in rows):  # 0 >= 0 says the same as 1 >= 0, which is strict
            telling = [row if any(row) else [*row[:-1], Fraction(1)] for row in rows]
            object.__setattr__(self, "inequalities", QMatrix(telling))

    # -- making one ---------------------------------------------------------------------------

    @classmethod
    def everywhere(cls, d: int) -> Domain:
        """Return all of R^d.

        Parameters
        ----------
        d : int

        Returns
        -------
        Domain
        """
        return cls(QMatrix.zeros(0, _positive(d) + 1))

    @classmethod
    def box(cls, lower: Sequence[Number], upper: Sequence[Number]) -> Domain:
        """Return the box with two opposite corners.

        Parameters
        ----------
        lower, upper : sequences of Number, of the same length d

        Returns
        -------
        Domain

        Raises
        ------
        ShapeMismatch
            If the corners have different lengths.
        InvalidInput
            If a lower bound is not below its upper bound.

        Examples
        --------
        >>> Domain.box([-1, 0], [1, "1/2"])
        Domain(box [-1, 1] x [0, 1/2])
        """
        low = [to_fraction(x, where=f" at [{i}] of lower") for i, x in enumerate(lower)]
        high = [to_fraction(x, where=f" at [{i}] of upper") for i, x in enumerate(upper)]
        if len(low) != len(high):
            raise ShapeMismatch(f"lower has {len(low)} numbers and upper {len(high)}")
        d = _positive(len(low))
        rows: list[list[Fraction]] = []
        for i, (lo, hi) in enumerate(zip(low, high, strict=True)):
            if lo >= hi:
                raise InvalidInput(
                    f"coordinate {i} of the box runs from {lo} to {hi}; the lower bound must be "
                    "below the upper one (for a flat, use Domain.segment or Domain.plane)"
                )
            row = [Fraction(int(i == j)) for j in range(d)]
            rows += [[*row, -lo], [*(-x for x in row), hi]]
        return cls(QMatrix(rows))

    @classmethod
    def polytope(cls, A: ArrayLike, b: Sequence[Number]) -> Domain:
        """Return the polyhedron ``A y <= b``, bounded or not.

        Parameters
        ----------
        A : ArrayLike of shape (m, d)
        b : sequence of m Numbers

        Returns
        -------
        Domain

        Raises
        ------
        ShapeMismatch
            If there are not as many bounds as rows.

        Examples
        --------
        >>> Domain.polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])  # a triangle
        Domain(polyhedron in R^2 with 3 inequalities)
        """
        left = QMatrix(A, name="A")
        if isinstance(b, str) or not hasattr(b, "__iter__"):
            raise ShapeMismatch(f"b is {b!r:.40}; give a list with one number per row of A")
        right = [to_fraction(x, where=f" at [{i}] of b") for i, x in enumerate(b)]
        if left.shape[0] != len(right):
            raise ShapeMismatch(f"A has {left.shape[0]} rows and b {len(right)} numbers")
        _positive(left.shape[1])
        if not right:
            return cls.everywhere(left.shape[1])
        return cls(QMatrix.hstack([-left, QMatrix([[x] for x in right])]))

    @classmethod
    def segment(cls, start: Sequence[Number], end: Sequence[Number]) -> Domain:
        """Return the segment between two inputs; its coordinate runs from 0 to 1.

        Parameters
        ----------
        start, end : sequences of N_0 Numbers

        Returns
        -------
        Domain

        Raises
        ------
        InvalidInput
            If the two points are equal.
        """
        return cls.flat([start, end], within=cls.box([0], [1]))

    @classmethod
    def plane(
        cls,
        first: Sequence[Number],
        second: Sequence[Number],
        third: Sequence[Number],
        *,
        lower: Number = 0,
        upper: Number = 1,
    ) -> Domain:
        """Return a parallelogram in the plane through three inputs.

        Parameters
        ----------
        first, second, third : sequences of N_0 Numbers
            At the coordinates (0, 0), (1, 0) and (0, 1).
        lower, upper : Number
            Range of both coordinates.

        Returns
        -------
        Domain

        Raises
        ------
        InvalidInput
            If the three points lie on a line.
        """
        return cls.flat([first, second, third], within=cls.box([lower] * 2, [upper] * 2))

    @classmethod
    def flat(cls, points: ArrayLike, *, within: DomainLike = None) -> Domain:
        """Return a part of the flat through some inputs.

        Parameters
        ----------
        points : ArrayLike of shape (d + 1, N_0)
            The first is the origin of the coordinates, the others are the unit points of the axes.
        within : Domain or box, optional
            In those coordinates; the whole flat by default.

        Returns
        -------
        Domain

        Raises
        ------
        InvalidInput
            If the points do not span a flat of dimension d, or `within` is itself a flat.
        """
        corners = QMatrix(points, name="points")
        if corners.shape[0] < 2:
            raise InvalidInput(f"{corners.shape[0]} points span no flat; give at least two")
        origin = corners[[0]]
        directions = QMatrix.vstack([corners[[i]] - origin for i in range(1, corners.shape[0])])
        return cls.affine(origin, directions, within=within)

    @classmethod
    def affine(
        cls, origin: ArrayLike, directions: ArrayLike, *, within: DomainLike = None
    ) -> Domain:
        """Return a part of the flat ``origin + y @ directions``.

        Parameters
        ----------
        origin : ArrayLike of shape (1, N_0)
        directions : ArrayLike of shape (d, N_0)
            Independent.
        within : Domain or box, optional
            In the coordinates y; the whole flat by default.

        Returns
        -------
        Domain

        Raises
        ------
        ShapeMismatch
            If the sizes do not fit.
        InvalidInput
            If the directions are dependent, or `within` is itself a flat.
        """
        start, axes = QMatrix(origin, name="origin"), QMatrix(directions, name="directions")
        d = _positive(axes.shape[0])
        if start.shape != (1, axes.shape[1]):
            raise ShapeMismatch(
                f"origin has shape {start.shape} and directions {axes.shape}: one row is one input"
            )
        if axes.rank() < d:
            raise InvalidInput(
                f"the {d} directions span dimension {axes.rank()} only; leave out the dependent "
                "ones (three points on a line make no plane, two equal points no segment)"
            )
        inner = as_domain(within, d)
        if inner.directions is not None:
            raise InvalidInput("within must be given in the coordinates of the flat, not as a flat")
        return cls(inner.inequalities, start, axes)

    # -- using one ----------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """Number d of coordinates."""
        return self.inequalities.shape[1] - 1

    @property
    def n_inputs(self) -> int:
        """Number N_0 of inputs of the networks it fits."""
        return self.dimension if self.directions is None else self.directions.shape[1]

    def to_inputs(self, points: QMatrix) -> QMatrix:
        """Return the inputs that points of the domain stand for.

        Parameters
        ----------
        points : QMatrix of shape (n, d)

        Returns
        -------
        QMatrix of shape (n, N_0)
        """
        if self.directions is None or self.origin is None:
            return points
        ones = QMatrix.ones(points.shape[0], 1)
        return ones @ self.origin + points @ self.directions

    def restrict(self, net: ReLUNetwork) -> ReLUNetwork:
        """Return the network as a function of the domain's coordinates.

        Parameters
        ----------
        net : ReLUNetwork
            With N_0 inputs.

        Returns
        -------
        ReLUNetwork
            With d inputs and otherwise the same widths.

        Raises
        ------
        ShapeMismatch
            If the network takes another number of inputs.
        """
        if net.widths[0] != self.n_inputs:
            raise ShapeMismatch(
                f"the domain has points with {self.n_inputs} coordinates but the network takes "
                f"{net.widths[0]} inputs"
            )
        if self.directions is None or self.origin is None:
            return net
        W, b = net.weights[0], net.biases[0]
        shift = self.origin @ W.T
        return ReLUNetwork(
            [W @ self.directions.T, *net.weights[1:]],
            [shift if b is None else shift + b, *net.biases[1:]],
        )

    def contains(self, point: QMatrix) -> bool:
        """Return whether the inequalities hold at a point of shape (1, d).

        Parameters
        ----------
        point : QMatrix

        Returns
        -------
        bool
        """
        one = QMatrix.hstack([point, QMatrix.identity(1)])
        return all(x >= 0 for x in (one @ self.inequalities.T).numerators())

    def __repr__(self) -> str:
        m = self.inequalities.shape[0]
        where = f"R^{self.dimension}"
        if self.directions is not None:
            where = f"a flat of dimension {self.dimension} in R^{self.n_inputs}"
        sides = self._sides()
        if not m:
            return f"Domain(all of {where})"
        if sides:
            box = " x ".join(f"[{lo}, {hi}]" for lo, hi in sides[:4])
            more = f" x ... ({len(sides)} sides)" if len(sides) > 4 else ""
            flat = "" if self.directions is None else f" in {where}"
            return f"Domain(box {box}{more}{flat})"
        return f"Domain(polyhedron in {where} with {m} inequalities)"

    def _sides(self) -> list[tuple[Fraction, Fraction]]:
        """Return the sides if the inequalities are written as those of a box, else nothing."""
        rows, d = self.inequalities.tolist(), self.dimension
        if len(rows) != 2 * d:
            return []
        sides = []
        for i in range(d):
            unit = [Fraction(int(i == j)) for j in range(d)]
            if rows[2 * i][:d] != unit or rows[2 * i + 1][:d] != [-x for x in unit]:
                return []
            sides.append((-rows[2 * i][d], rows[2 * i + 1][d]))
        return sides


def as_domain(domain: DomainLike, d: int) -> Domain:
    """Read a domain.

    Parameters
    ----------
    domain : Domain, None, pair or list of pairs
        None is the whole space; one pair of numbers ``(lo, hi)`` the cube; d pairs a box.
    d : int
        Number of inputs.

    Returns
    -------
    Domain

    Raises
    ------
    InvalidInput
        If it is something else.
    ShapeMismatch
        If it has another dimension.

    Examples
    --------
    >>> as_domain((-1, 1), 2)
    Domain(box [-1, 1] x [-1, 1])
    """
    if domain is None:
        return Domain.everywhere(d)
    found = domain if isinstance(domain, Domain) else _read_box(domain, d)
    if found.n_inputs != d:
        raise ShapeMismatch(
            f"the domain has points with {found.n_inputs} coordinates where {d} are needed"
        )
    return found


def _read_box(sides: Any, d: int) -> Domain:
    try:
        pairs = [
            tuple(side) if hasattr(side, "__len__") and not isinstance(side, str) else side
            for side in sides
        ]
    except TypeError:
        raise InvalidInput(
            f"{sides!r:.60} is no domain; give a Domain, a pair (lo, hi) or a list of pairs"
        ) from None
    if len(pairs) == 2 and not any(isinstance(x, tuple) for x in pairs):
        pairs = [tuple(pairs)] * d
    if any(not isinstance(x, tuple) or len(x) != 2 for x in pairs):
        raise InvalidInput(f"{sides!r:.60} is no box; give one pair (lo, hi) per coordinate")
    return Domain.box([lo for lo, _ in pairs], [hi for _, hi in pairs])


def _positive(d: int) -> int:
    if d < 1:
        raise InvalidInput("a domain needs at least one coordinate")
    return d
