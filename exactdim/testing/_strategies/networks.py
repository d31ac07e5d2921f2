"""Networks: of any kind, degenerate for certain, and as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from exactdim.arith.rationals import Number
from exactdim.errors import InvalidInput, MissingDependency
from exactdim.nets.network import ReLUNetwork
from exactdim.testing._strategies import arguments
from exactdim.testing._strategies.drafts import (
    Architecture,
    draw_accident,
    draw_layers,
    draw_more,
)
from exactdim.testing._strategies.numbers import DYADICS, exact_elements

if TYPE_CHECKING:
    import torch

__all__ = ["degenerate_networks", "relu_networks", "torch_modules"]


@st.composite
def relu_networks(
    draw: DrawFn,
    *,
    widths: Sequence[int] | None = None,
    min_depth: int = 1,
    max_depth: int = 3,
    max_width: int = 4,
    input_width: int | None = None,
    output_width: int | None = None,
    bias: bool | None = None,
    elements: SearchStrategy[Number] | None = None,
) -> ReLUNetwork:
    """Generate exact networks of random architecture.

    Parameters
    ----------
    widths : sequence of int, optional
        ``(N_0, ..., N_L)``. The depth and `max_width` then play no part.
    min_depth, max_depth : int
        Number L of affine layers; with one there are no hidden units.
    max_width : int
        Of every layer whose width is not given, inputs and outputs included.
    input_width, output_width : int, optional
        N_0 and N_L.
    bias : bool, optional
        Whether all layers have a bias, or none has; without it, any.
    elements : strategy of Number, optional
        For the weights and biases. By default small rational numbers, among them many zeros.

    Returns
    -------
    SearchStrategy of ReLUNetwork
        Shrinks towards few layers, few units, no biases, and zero weights.

    Raises
    ------
    InvalidArgument
        When used, if there is no such network or `elements` is no strategy.

    See Also
    --------
    degenerate_networks

    Examples
    --------
    >>> from hypothesis import find
    >>> from exactdim import activation_pattern
    >>> net = find(
    ...     relu_networks(input_width=1, bias=False),
    ...     lambda net: activation_pattern(net, [[1]], on_kink="zero").mask.any(),
    ... )
    >>> net, net.weights
    (<ReLUNetwork 1-1-1: 2 parameters, no bias in layers [0, 1]>,
     (QMatrix([['1']]), QMatrix([['0']])))
    """
    wanted = Architecture(
        widths=widths,
        min_depth=min_depth,
        max_depth=max_depth,
        max_width=max_width,
        input_width=input_width,
        output_width=output_width,
        bias=bias,
        elements=exact_elements(elements),
    )
    return draw_layers(draw, wanted).network()


@st.composite
def degenerate_networks(
    draw: DrawFn,
    *,
    widths: Sequence[int] | None = None,
    min_depth: int = 2,
    max_depth: int = 3,
    max_width: int = 4,
    input_width: int | None = None,
    output_width: int | None = None,
    bias: bool | None = None,
    elements: SearchStrategy[Number] | None = None,
) -> ReLUNetwork:
    """Generate networks on which proofs for generic ones fail.

    At least one of these is there for certain, wherever the architecture allows it: a unit or an
    input that nothing reads; a unit whose incoming weights are zero, with a bias of any sign; a
    unit that is off, or on, for all inputs; a layer that is off for all inputs; a unit that is a
    multiple of another one of its layer (so duplicates and opposites); parallel hyperplanes; three
    units with linearly dependent weights and biases; a hidden layer of width one.

    Parameters
    ----------
    widths, min_depth, max_depth, max_width, input_width, output_width, bias, elements
        As for `relu_networks`. There is always a hidden layer.

    Returns
    -------
    SearchStrategy of ReLUNetwork
        Shrinks as `relu_networks` does, to a single accident.

    Raises
    ------
    InvalidArgument
        When used, as for `relu_networks`, and if no hidden layer is allowed.

    Notes
    -----
    T2, T7, T9 and T13 are where the accidents matter most.

    Examples
    --------
    >>> from hypothesis import find
    >>> nets = degenerate_networks(widths=(2, 3, 1), elements=st.just(1))
    >>> find(nets, lambda net: True).weights  # nothing reads unit 0
    (QMatrix([['1', '1'], ['1', '1'], ['1', '1']]), QMatrix([['0', '1', '1']]))
    """
    arguments.at_least(1, min_depth=min_depth)
    wanted = Architecture(
        widths=widths,
        min_depth=max(2, min_depth),
        max_depth=max_depth,
        max_width=max_width,
        input_width=input_width,
        output_width=output_width,
        bias=bias,
        elements=exact_elements(elements),
    )
    if wanted.depths[0] < 2:
        raise InvalidArgument(f"widths={widths!r} leave no hidden layer to be degenerate")
    draft = draw_layers(draw, wanted)
    draw_accident(draw, draft, keep_widths=widths is not None)
    while draw_more(draw, 1):
        draw_accident(draw, draft, keep_widths=widths is not None)
    return draft.network()


@st.composite
def torch_modules(
    draw: DrawFn,
    *,
    widths: Sequence[int] | None = None,
    min_depth: int = 1,
    max_depth: int = 3,
    max_width: int = 4,
    input_width: int | None = None,
    output_width: int | None = None,
    bias: bool | None = None,
    elements: SearchStrategy[Number] | None = None,
    dtype: torch.dtype | None = None,
) -> torch.nn.Sequential:
    """Generate torch modules that `as_network` reads without a change of weights.

    Parameters
    ----------
    widths, min_depth, max_depth, max_width, input_width, output_width, bias, elements
        As for `relu_networks`; by default, weights are small multiples of 1/8.
    dtype : torch.dtype, optional
        ``torch.float64`` or ``torch.float32`` without it.

    Returns
    -------
    SearchStrategy of torch.nn.Sequential
        Linear and ReLU modules in eval mode, with the same parameters as a network that
        `relu_networks` generates.

    Raises
    ------
    MissingDependency
        When used, if torch is not installed.
    InvalidArgument
        When used, as for `relu_networks`, and if an element is not representable in the dtype.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(torch_modules(widths=(2, 3, 1)), lambda module: len(module) > 1)
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=False)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=1, bias=False)
    )
    """
    try:
        import torch
    except ImportError:
        raise MissingDependency(
            "torch_modules needs torch: pip install 'exactdim[torch]'"
        ) from None
    if dtype is None:
        dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    if not getattr(dtype, "is_floating_point", False):
        raise InvalidArgument(f"dtype={dtype!r} must be a floating-point torch.dtype")
    net = draw(
        relu_networks(
            widths=widths,
            min_depth=min_depth,
            max_depth=max_depth,
            max_width=max_width,
            input_width=input_width,
            output_width=output_width,
            bias=bias,
            elements=DYADICS if elements is None else elements,
        )
    )
    try:
        return net.to_torch(dtype)
    except InvalidInput as error:
        raise InvalidArgument(f"elements: {error}") from None
