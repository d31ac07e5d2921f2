"""Local identifiability: whether outputs determine the parameters, up to rescaling.

Rescaling a hidden unit changes the parameters and nothing else. A kernel vector of the Jacobian
that no rescaling explains is a hidden symmetry, at least to first order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.full import full_dimension
from exactdim.dimension.generic import Genericity, generic_dimension
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.dimension.result import Dimension
from exactdim.errors import Undecided
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.symmetry import gauge_vectors, unanchored_components

__all__ = ["Identifiability", "identifiability"]


@dataclass(frozen=True)
class Identifiability:
    """Whether the outputs determine the parameters locally, up to rescaling hidden units.

    Attributes
    ----------
    dimension : Dimension
        The local dimension at the batch, or at the decisive set.
    n_rescalings : int
        Dimension of the rescaling orbit: hidden units, less the groups cut off from everything.
    genericity : Genericity or None
        Whether the rank is locally constant; None where that is not needed.
    from_function : bool
        Whether this is about the whole function instead of its values at a batch.

    Notes
    -----
    ``bool(i)`` works if the question is decided and raises `Undecided` otherwise.
    """

    dimension: Dimension
    n_rescalings: int
    genericity: Genericity | None
    from_function: bool

    @property
    def verdict(self) -> bool | None:
        """True or false if proved, None if open."""
        if self.dimension.lower == self._largest:
            return True
        certain = self.genericity is not None and self.genericity.verdict
        return False if certain and self.dimension.upper < self._largest else None

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        d, largest = self.dimension, self._largest
        if self.verdict:
            return f"rank J = P - H = {largest}, so the fibre is the rescaling orbit"
        if d.status != "proved":
            return f"the rank is proved to lie in {d.lower}..{d.upper} only; P - H = {largest}"
        missing = f"rank J = {d.value} < P - H = {largest}"
        if self.verdict is False:
            free = d.n_parameters - d.value
            return (
                f"{missing} here and nearby, so the fibre has dimension {free} and the rescaling "
                f"orbit {self.n_rescalings}"
            )
        if self.from_function:
            return f"{missing}, which for the whole function decides nothing"
        if self.genericity is not None and self.genericity.verdict is False:
            return f"{missing}, but almost every network nearby has a larger rank: open"
        return f"{missing}, and whether that holds nearby is open"

    @property
    def _largest(self) -> int:
        return self.dimension.n_parameters - self.dimension.evidence.net.n_hidden

    def __bool__(self) -> bool:
        verdict = self.verdict
        if verdict is None:
            d = self.dimension
            raise Undecided(f"undecided: {self.reason}", d.lower, d.upper)
        return verdict

    @cached_property
    def hidden_symmetries(self) -> QMatrix:
        """A basis of the kernel of J orthogonal to the rescalings, of shape (k, P).

        To first order, these directions change no output (at the batch, or anywhere), although
        they are no rescalings. With the `gauge_vectors` they span the kernel.
        """
        e = self.dimension.evidence
        J = JacobianFactors(e.net, e.pattern.select(e.batch), e.pattern, e.head).dense
        return QMatrix.vstack([J, gauge_vectors(e.net)]).kernel()

    def __repr__(self) -> str:
        word = {True: "yes, proved", False: "no, proved", None: "open"}[self.verdict]
        source = "the function" if self.from_function else "the outputs at the batch"
        return f"Identifiability(from {source}: {word}; {self.reason})"


def identifiability(
    net: NetworkLike,
    X: ArrayLike | None = None,
    *,
    proof: ProofEffort = "full",
    max_regions: int | None = None,
    max_seconds: float | None = None,
    seed: int | None = None,
) -> Identifiability:
    """Decide whether outputs determine the parameters nearby, up to rescaling hidden units.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0), optional
        The inputs at which the outputs are known; by default everywhere.
    proof : {"fast", "auto", "full"}
        For the rank, see `local_dimension`.
    max_regions, max_seconds : optional
        For the enumeration of activation regions if there is no batch.
    seed : int, optional
        Replays the primes of an earlier run.

    Returns
    -------
    Identifiability
        Its truth value is the answer, if it is decided.

    Raises
    ------
    OnKink
        If a sample lies on a kink.
    BudgetExceeded, TooLarge
        As `full_dimension`.

    Notes
    -----
    T14. If ``rank J = P - H``, the networks nearby with the same outputs are the rescaled ones: the
    kernel then has dimension H, and contains the gauge vectors, which are then independent: a
    dependence of them would lower the rank further. Conversely, if the rank is smaller and locally
    constant (`is_generic`), the networks nearby with the same outputs form a manifold of larger
    dimension. If the rank jumps up nearby, the rank does not decide. For the whole function the
    first half holds with a decisive set as batch; what the converse would need, decisive sets that
    stay decisive nearby, is not examined, so that a smaller rank is reported as open.

    Examples
    --------
    >>> from exactdim import ReLUNetwork
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> identifiability(net, [[0], [1], [2]])
    Identifiability(from the outputs at the batch: yes, proved; rank J = P - H = 3, so ...)
    >>> identifiability(net, [[1], [2], [3]]).verdict  # one affine piece seen
    False
    >>> identifiability(net).verdict
    True
    """
    network = as_network(net)
    if X is None:
        full = full_dimension(
            network, proof=proof, max_regions=max_regions, max_seconds=max_seconds, seed=seed
        )
        dimension = full.dimension
    else:
        dimension = local_dimension(network, X, proof=proof, seed=seed)
    genericity = None
    e = dimension.evidence
    if X is not None and dimension.lower < network.n_parameters - network.n_hidden:
        genericity = Genericity(
            dimension, generic_dimension(network, e.pattern, e.batch, seed=seed)
        )
    orbit = network.n_hidden - len(unanchored_components(network))
    return Identifiability(dimension, orbit, genericity, X is None)
