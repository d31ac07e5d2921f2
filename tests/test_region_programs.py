"""Regions by exact linear programs: the same answers as by cutting faces, one pattern at a time."""

import itertools
from fractions import Fraction

import oracles
import pytest
import region_oracles
from hypothesis import given
from hypothesis import strategies as st
from networks import networks

import exactdim as ed
from exactdim import Domain, errors
from exactdim.regions.programs import iter_patterns

GOLDEN = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])


def one_layer(W, b):
    return ed.ReLUNetwork([W, [[1] * len(W)]], [b, [0]])


def positive_at(net, domain, pattern, point):
    """Whether a point lies strictly inside the region of a pattern, in plain Fractions."""
    where = domain or Domain.everywhere(net.widths[0])
    layers = oracles.layers_of(net)
    if where.directions is not None:
        layers = region_oracles.restricted(
            layers, where.origin.tolist()[0], where.directions.tolist()
        )
    rows = [row for row in where.inequalities.tolist() if any(row[:-1])]
    for depth, word in enumerate(pattern):
        forms = region_oracles.forms(layers, "".join(pattern[:depth]), where.dimension)
        for form, bit in zip(forms, word, strict=True):
            if bit == "1":
                rows.append(form)
            elif any(form):
                rows.append([-v for v in form])
    return all(sum((g * y for g, y in zip(row, point, strict=False)), row[-1]) > 0 for row in rows)


@st.composite
def domains(draw, inputs):
    """The space, boxes, polytopes (bounded or not, perhaps empty), flats."""
    kind = draw(st.sampled_from(["space", "box", "polytope", "polytope", "flat", "segment"]))
    number = st.integers(-2, 2)
    if kind == "space":
        return None
    if kind == "box":
        corner = st.fractions(-2, 0, max_denominator=3)
        low = draw(st.lists(corner, min_size=inputs, max_size=inputs))
        sides = st.sampled_from([Fraction(1), Fraction(3, 2), Fraction(4)])
        return Domain.box(low, [v + draw(sides) for v in low])
    if kind == "polytope":
        row = st.lists(number, min_size=inputs, max_size=inputs).filter(any)
        A = draw(st.lists(row, min_size=1, max_size=4))
        return Domain.polytope(A, [draw(st.integers(-1, 3)) for _ in A])
    vector = st.lists(number, min_size=inputs, max_size=inputs)
    origin = draw(vector)
    if kind == "segment":
        end = draw(vector.filter(lambda v: v != origin))
        return Domain.segment(origin, end)
    d = draw(st.integers(1, inputs))
    axes = draw(st.lists(vector, min_size=d, max_size=d))
    for i, axis in enumerate(axes):  # triangular, hence independent
        axes[i] = [0] * i + [1] + axis[i + 1 :]
    return Domain.affine([origin], axes, within=draw(st.sampled_from([None, (-2, 2)])))


# -- all regions ------------------------------------------------------------------------------


@given(networks(max_depth=3, max_width=3, min_depth=2), st.data())
def test_the_same_regions_as_by_cutting(net, data):
    domain = data.draw(domains(net.widths[0]))
    try:
        regions = ed.activation_regions(net, domain)
    except errors.InvalidInput:
        with pytest.raises(errors.InvalidInput, match="no interior"):
            list(iter_patterns(net, domain))
        return
    found = list(iter_patterns(net, domain))
    patterns = [pattern for pattern, _ in found]
    assert len(patterns) == len(set(patterns))
    assert set(patterns) == {region.pattern for region in regions}
    for pattern, point in found:
        assert all(type(x) is Fraction for x in point)
        assert positive_at(net, domain, pattern, point)
        assert regions.region_at(point).pattern == pattern


@pytest.mark.parametrize("seed", range(3))
def test_the_same_regions_of_larger_networks(seed):
    net = ed.ReLUNetwork.random((3, 6, 5, 1), seed=seed)
    for domain in (None, (-1, 1), Domain.plane([0, 0, 0], [1, 1, 0], [1, 0, "1/3"], lower=-2)):
        found = dict(iter_patterns(net, domain))
        regions = ed.activation_regions(net, domain)
        assert set(found) == {region.pattern for region in regions}
        assert all(regions.region_at(point).pattern == pattern for pattern, point in found.items())


def test_the_golden_network():
    """T29: seven regions of relu(relu(x) + relu(y) - 1)."""
    found = dict(iter_patterns(GOLDEN, (-2, 2)))
    assert len(found) == 7
    assert ("00", "1") not in found
    assert dict(iter_patterns(GOLDEN, (-2, 2))) == found  # the same points again


def test_one_at_a_time():
    """The first regions of far too many."""
    net = ed.ReLUNetwork.random((40, 40, 1), seed=0)
    with pytest.raises(errors.TooLarge):
        ed.activation_regions(net, (-1, 1))
    some = dict(itertools.islice(iter_patterns(net, (-1, 1)), 3))
    assert len(some) == 3
    for pattern, point in some.items():
        assert positive_at(net, Domain.box([-1] * 40, [1] * 40), pattern, point)
        assert ed.realise(net, pattern, (-1, 1))


@pytest.mark.parametrize(("d", "width"), [(12, 4), (6, 5), (50, 3)])
def test_many_inputs_and_few_neurons(d, width):
    """T40: hyperplanes in general position in R^d; up to d of them have all 2^m patterns."""
    net = one_layer([[(k + 1) ** i for i in range(d)] for k in range(width)], [1] * width)
    count, _ = region_oracles.zaslavsky(width, d)
    found = dict(iter_patterns(net))
    assert len(found) == count == 2**width
    for pattern, point in found.items():
        assert positive_at(net, None, pattern, point)
    box = Domain.box([0] * d, [1] * d)  # all forms are positive there
    ((pattern, point),) = iter_patterns(net, box)
    assert pattern == ("1" * width,)
    assert positive_at(net, box, pattern, point)


def test_two_layers_and_many_inputs():
    net = ed.ReLUNetwork.random((12, 3, 3, 1), seed=2)
    found = dict(iter_patterns(net))
    assert {pattern[0] for pattern in found} == {
        "".join(w) for w in itertools.product("01", repeat=3)
    }
    for bits in itertools.product("01", repeat=6):
        pattern = ("".join(bits[:3]), "".join(bits[3:]))
        answer = ed.realise(net, pattern)
        assert bool(answer) == (pattern in found)
        assert ed.verify(answer.certificate())


def test_networks_without_hidden_layer():
    net = ed.ReLUNetwork([[[1, 2]]])
    assert [pattern for pattern, _ in iter_patterns(net)] == [()]
    ((pattern, point),) = iter_patterns(net, (3, 4))
    assert pattern == ()
    assert all(3 < x < 4 for x in point)
    answer = ed.realise(net, [], (3, 4))
    assert answer
    assert ed.verify(answer.certificate())


# -- single patterns --------------------------------------------------------------------------


@given(networks(max_depth=3, max_width=3, min_depth=2), st.data())
def test_every_pattern_is_decided_and_proved(net, data):
    """All patterns, occurring or not, against brute force; both answers are certified."""
    widths = net.widths[1:-1]
    domain = data.draw(st.sampled_from([None, (-1, 1)]))
    d = net.widths[0]
    rows = region_oracles.box_rows([Fraction(-1)] * d, [Fraction(1)] * d) if domain else []
    expected = region_oracles.patterns(oracles.layers_of(net), rows)
    box = Domain.box([-1] * d, [1] * d) if domain else None
    for words in itertools.product(
        *(map("".join, itertools.product("01", repeat=w)) for w in widths)
    ):
        answer = ed.realise(net, words, domain)
        assert bool(answer) == ("".join(words) in expected), words
        assert (answer.point is None) == bool(answer.multipliers)
        if answer:
            assert positive_at(net, box, words, answer.point)
            assert "at (" in repr(answer)
        else:
            assert "no such region" in repr(answer)
        verdict = ed.verify(answer.certificate())
        assert verdict, verdict
        kind = "region-nonempty" if answer else "region-empty"
        assert verdict.claim.startswith(kind)


@given(networks(max_depth=3, max_width=3, min_depth=2), st.data())
def test_beginnings_of_patterns(net, data):
    """A beginning occurs if a pattern starts so; if not, one certificate excludes them all."""
    widths = net.widths[1:-1]
    patterns = region_oracles.patterns(oracles.layers_of(net))
    depth = data.draw(st.integers(0, len(widths)))
    words = tuple(
        "".join(data.draw(st.lists(st.sampled_from("01"), min_size=w, max_size=w)))
        for w in widths[:depth]
    )
    answer = ed.realise(net, words)
    assert bool(answer) == any(p.startswith("".join(words)) for p in patterns)
    assert answer.pattern == words
    if not answer:
        verdict = ed.verify(answer.certificate())
        assert verdict, verdict
        assert "begins with" in verdict.claim
    elif depth < len(widths):
        with pytest.raises(errors.CertificateError, match="all of it"):
            answer.certificate()
    else:
        assert ed.verify(answer.certificate())


def test_an_answer_for_one_domain_is_none_for_another():
    pattern, small, large = ["11", "1"], ("-1/3", "1/3"), (-2, 2)
    no, yes = ed.realise(GOLDEN, pattern, small), ed.realise(GOLDEN, pattern, large)
    assert yes
    assert not no
    for answer, other in ((no, yes), (yes, no)):
        moved = ed.Certificate.seal(
            answer.certificate().claim, other.certificate().problem, answer.certificate().witness
        )
        assert ed.verify(answer.certificate())
        assert not ed.verify(moved)


@pytest.mark.parametrize(
    "domain",
    [
        None,
        (-2, 2),
        Domain.polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 4]),
        Domain.plane([0, 0], [1, 0], [0, 1], lower=-3, upper=2),
        Domain.segment([-1, -1], [2, 3]),
    ],
    ids=repr,
)
def test_certificates_in_domains_of_all_sorts(domain):
    present = dict(iter_patterns(GOLDEN, domain))
    for first, second in itertools.product(("00", "01", "10", "11"), "01"):
        answer = ed.realise(GOLDEN, (first, second), domain)
        assert bool(answer) == ((first, second) in present)
        assert ed.verify(answer.certificate())


def test_long_numbers():
    """Two lines that meet at 2^200, and two kinks 2^-200 apart."""
    far = one_layer([[1, 0], [1, Fraction(1, 2**200)]], [0, -1])
    assert len(dict(iter_patterns(far))) == 4
    assert all(ed.verify(ed.realise(far, p).certificate()) for p, _ in iter_patterns(far))
    close = one_layer([[1], [1]], [0, -Fraction(1, 2**200)])
    answer = ed.realise(close, ["10"])
    assert 0 < answer.point[0] < Fraction(1, 2**200)
    assert ed.verify(answer.certificate())
    no = ed.realise(close, ["01"])
    assert not no
    assert ed.verify(no.certificate())


def test_units_that_are_zero():
    """Off where the form is identically zero; on nowhere."""
    net = ed.ReLUNetwork([[[1], [0]], [[1, 1], [0, 0]], [[1, 1]]], [[0, 0], [0, 0], [0]])
    assert {pattern for pattern, _ in iter_patterns(net)} == {("10", "10"), ("00", "00")}
    no = ed.realise(net, ["11"])
    assert not no
    assert ed.verify(no.certificate())


# -- domains ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("A", "b"),
    [
        ([[0, 0], [1, 0]], [1, 1]),  # 0 <= 1 says nothing
        ([[0, 0], [1, 0]], [0, 1]),  # neither does 0 <= 0
        ([[0, 0]], [0]),
    ],
)
def test_inequalities_that_say_nothing(A, b):
    """0 <= 1 and 0 <= 0 hold everywhere: the quadrants of the plane are all there."""
    net = one_layer([[1, 0], [0, 1]], [0, 0])
    domain = Domain.polytope(A, b)
    quadrants = {("00",), ("01",), ("10",), ("11",)}
    assert ed.count_regions(net, domain) == 4
    assert {pattern for pattern, _ in iter_patterns(net, domain)} == quadrants
    for pattern in quadrants:
        answer = ed.realise(net, pattern, domain)
        assert answer
        assert ed.verify(answer.certificate())


def test_domains_without_interior():
    net = one_layer([[1, 0], [0, 1]], [0, 0])
    for rows, bounds in (
        ([[1, 0], [-1, 0]], [0, 0]),
        ([[1, 0], [-1, 0]], [-1, 0]),
        ([[0, 0]], [-1]),
    ):
        domain = Domain.polytope(rows, bounds)
        with pytest.raises(errors.InvalidInput, match="no interior"):
            list(iter_patterns(net, domain))
        for words in ([], ["11"], ["00"]):
            no = ed.realise(net, words, domain)
            assert not no
            assert ed.verify(no.certificate())


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        ["1"],
        ["111", "1"],
        ["11", "1", "1"],
        ["12", "1"],
        ["11", ""],
        ["11", "x"],
        "11",
        ["1", "1"],
        [[1, 1], [1]],
        [11, 7],
    ],
    ids=repr,
)
def test_words_that_do_not_fit(pattern):
    with pytest.raises(errors.InvalidInput, match="word"):
        ed.realise(GOLDEN, pattern)


def test_domains_that_do_not_fit():
    with pytest.raises(errors.ShapeMismatch, match="coordinates"):
        ed.realise(GOLDEN, ["11"], [(0, 1)] * 3)
    with pytest.raises(errors.ShapeMismatch, match="coordinates"):
        next(iter_patterns(GOLDEN, [(0, 1)] * 3))
    with pytest.raises(errors.InvalidInput):
        ed.realise("no file", ["11"])
