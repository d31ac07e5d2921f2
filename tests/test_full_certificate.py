"""Certificates of the full functional dimension: what is true is accepted, the rest rejected."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, problems

import exactdim as ed
from exactdim import errors
from exactdim.dimension import full_proof
from exactdim.dimension.full import decisive_set
from exactdim.evidence import checker, recheck, region_checker
from exactdim.evidence.certificate import Certificate

CHECKER = Path(checker.__file__)
heads = st.sampled_from(["logits", "softmax"])


def reseal(data):
    data["digest"] = checker.digest(data["claim"], data["problem"], data["witness"])
    return data


def check(data):
    return checker.check_text(json.dumps(reseal(data)))


def opened(found):
    return json.loads(found.certificate().to_json())


def by_regions(found):
    """The certificate with the activation regions as the reason, whatever reason there is."""
    data = opened(found)
    data["witness"]["upper"] = {
        "reason": "regions",
        "regions": found.regions.certificate().witness["regions"],
        "vectors": full_proof._kernel(found),
    }
    return json.loads(json.dumps(data))


# -- what is true ------------------------------------------------------------------------------


@given(networks(max_depth=3, max_width=3), heads)
def test_every_certificate_is_accepted(net, head):
    try:
        found = ed.full_dimension(net, head=head)
    except errors.OnKink:
        return
    data = opened(found)
    assert data["claim"] == {
        "kind": "full-dimension",
        "rank": found.value,
        "head": head,
        "wrt": "parameters",
        "on_kink": "raise",
    }
    assert check(data)
    assert check(by_regions(found))
    layers = oracles.layers_of(net)
    every = oracles.jacobian(
        layers, decisive_set(found.regions).tolist(), softmax=head == "softmax"
    )
    assert oracles.rank(every) == found.value


ALONE = {  # networks with less than parameters minus rescalings, and how much less
    "width one": (ed.ReLUNetwork.random((1, 1, 1, 1, 1), seed=3, bits=6), 4, 1),  # T13e
    "cancelling": (ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]]), 3, 2),
    "duplicates": (ed.ReLUNetwork([[[1], [1]], [[1, 1]]], [[1, 1], [0]]), 3, 2),
    "dead layer": (ed.ReLUNetwork([[[0], [0]], [[1, 2]]], [[-1, -2], [3]]), 1, 4),
    "two outputs": (ed.ReLUNetwork([[[1], [1]], [[1, -1], [2, 3]]], [[0, 0], [0, 1]]), 6, 2),
    "twins, two outputs": (ed.ReLUNetwork([[[1], [1]], [[1, 1], [2, 2]]], [[0, 0], [0, 1]]), 5, 3),
    "deep": (ed.ReLUNetwork.random((2, 3, 3, 1), seed=5, bits=6), 18, 1),
    "no biases": (ed.ReLUNetwork.random((2, 3, 2, 2), seed=1, bits=6, bias=False), 7, 4),
    "affine": (ed.ReLUNetwork([[[1, 2], [3, 4]]], [[0, 0]]), 6, 0),
}


@pytest.mark.parametrize("name", ALONE)
def test_golden_networks(name):
    net, value, missing = ALONE[name]
    found = ed.full_dimension(net)
    assert found.value == value == net.n_parameters - net.n_hidden - missing
    every = oracles.jacobian(oracles.layers_of(net), decisive_set(found.regions).tolist())
    assert oracles.rank(every) == value
    data = opened(found)
    assert data["witness"]["upper"]["reason"] == ("regions" if missing else "parameters")
    assert check(data)
    other = by_regions(found)
    assert check(other)
    assert len(other["witness"]["upper"]["vectors"]) == net.n_parameters - found.value
    assert ed.verify(Certificate.seal(data["claim"], data["problem"], data["witness"]))


def test_the_head_softmax():
    net = ed.ReLUNetwork.random((2, 4, 3), seed=1, bits=6)
    found = ed.full_dimension(net, head="softmax")
    assert found.value == 27 - 4 - 5
    verdict = check(opened(found))
    assert verdict.claim == "full-dimension = 18 (head softmax)"
    data = by_regions(found)
    assert check(data)
    data["claim"]["head"] = "logits"
    assert not check(data)
    one = ed.full_dimension(ed.ReLUNetwork.random((2, 3, 1), seed=0), head="softmax")
    assert check(opened(one)).claim == "full-dimension = 0 (head softmax)"


def test_only_the_lower_end():
    found = ed.full_dimension(ALONE["width one"][0])
    narrower = replace(found.dimension, upper=found.upper + 1, status="bracketed")
    certificate = replace(found, dimension=narrower).certificate()
    assert certificate.claim["kind"] == "rank-at-least"
    assert certificate.claim["rank"] == found.lower
    assert ed.verify(certificate).claim == "rank-at-least >= 4"
    assert len(certificate.problem["inputs"]) == found.points.shape[0] == 4


def test_an_unlucky_prime_is_drawn_again(monkeypatch):
    found = ed.full_dimension(ALONE["deep"][0])
    expected = full_proof._kernel(found)
    primes = iter([3, 2**61 - 1])
    monkeypatch.setattr(full_proof, "random_prime", lambda bits, rng: next(primes))
    assert full_proof._kernel(found) == expected
    assert next(primes, None) is None


def test_an_unlucky_lower_end_is_tried_again(monkeypatch):
    found = ed.full_dimension(ALONE["deep"][0])
    real, first = full_proof.local_dimension, [True]

    def unlucky(net, X, **options):
        return real(net, X[[0]] if first and first.pop() else X, **options)

    monkeypatch.setattr(full_proof, "local_dimension", unlucky)
    assert check(opened(found)).claim == "full-dimension = 18"
    assert not first


# -- tampering ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def width_one():
    data = opened(ed.full_dimension(ALONE["width one"][0]))
    assert data["claim"]["rank"] == 4
    return data


def upper(c):
    return c["witness"]["upper"]


def region(c, i=0):
    return upper(c)["regions"][i]


def spelled(c):
    return next(v["entries"] for v in upper(c)["vectors"] if "entries" in v)


def number_changed(text):
    return str(int(text, 0) + 1)


def lose_a_row(c):
    c["claim"]["rank"] -= 1
    lower = c["witness"]["lower"]
    for rows in (lower["rows"], lower["columns"]):
        rows.pop()


def without_region(i):
    """Leave a region out; the facets that led to it lead nowhere."""

    def change(c):
        del upper(c)["regions"][i]
        for other in upper(c)["regions"]:
            for facet in other["facets"]:
                at = facet["neighbour"]
                facet["neighbour"] = None if at == i else at - (at > i)

    return change


def entry_of(place):
    def change(c):
        entries = spelled(c)
        key = list(entries)[place]
        entries[key] = number_changed(entries[key])

    return change


TAMPERING = {
    "claim too large": lambda c: c["claim"].update(rank=5),
    "claim too small": lambda c: c["claim"].update(rank=3),
    "claim and minor too small": lose_a_row,
    "claim too large, a vector less": lambda c: (
        c["claim"].update(rank=5), upper(c)["vectors"].pop()
    ),
    "claim a boolean": lambda c: c["claim"].update(rank=True),
    "claim of equality at the batch": lambda c: c["claim"].update(kind="jacobian-rank"),
    "claim of a lower end": lambda c: c["claim"].update(kind="rank-at-least"),
    "another head": lambda c: c["claim"].update(head="softmax"),
    "unknown head": lambda c: c["claim"].update(head="probits"),
    "kinks counted": lambda c: c["claim"].update(on_kink="zero"),
    "kinks dropped": lambda c: c["claim"].update(on_kink="drop"),
    "wrt the input": lambda c: c["claim"].update(wrt="input"),
    "claim with a count": lambda c: c["claim"].update(count=4),
    "claim without a head": lambda c: c["claim"].pop("head"),
    "vector left out": lambda c: upper(c)["vectors"].pop(),
    "first vector left out": lambda c: upper(c)["vectors"].pop(0),
    "vector repeated": lambda c: upper(c)["vectors"].append(upper(c)["vectors"][0]),
    "vectors repeated and left out": lambda c: upper(c)["vectors"].__setitem__(
        0, upper(c)["vectors"][1]
    ),
    "vector spelled wrong": entry_of(0),
    "vector spelled wrong at the end": entry_of(-1),
    "vector null": lambda c: upper(c)["vectors"].__setitem__(0, None),
    "vector empty": lambda c: upper(c)["vectors"].__setitem__(0, {"entries": {}}),
    "vector zero": lambda c: upper(c)["vectors"].__setitem__(0, {"entries": {"0": "0"}}),
    "vector of a nonzero column": lambda c: upper(c)["vectors"].__setitem__(0, {"unit": 7}),
    "vector of no column": lambda c: upper(c)["vectors"].__setitem__(0, {"unit": 8}),
    "vector too far": lambda c: upper(c)["vectors"].__setitem__(0, {"entries": {"8": "1"}}),
    "vector of a float": lambda c: upper(c)["vectors"].__setitem__(0, {"entries": {"0": 1.0}}),
    "gauge of no unit": lambda c: upper(c)["vectors"].__setitem__(0, {"gauge": [0, 1]}),
    "gauge of the outputs": lambda c: upper(c)["vectors"].__setitem__(0, {"gauge": [3, 0]}),
    "too many vectors": lambda c: upper(c)["vectors"].extend([{"gauge": [0, 0]}] * 8),
    "vectors null": lambda c: upper(c).update(vectors=None),
    "vectors missing": lambda c: upper(c).pop("vectors"),
    "regions missing": lambda c: upper(c).pop("regions"),
    "regions null": lambda c: upper(c).update(regions=None),
    "regions empty": lambda c: upper(c).update(regions=[]),
    "a side given": lambda c: upper(c).update(side="columns"),
    "polygons given": lambda c: upper(c).update(polygons=None),
    **{f"region {i} left out": without_region(i) for i in range(4)},
    "region repeated": lambda c: upper(c)["regions"].append(region(c)),
    "region null": lambda c: upper(c)["regions"].__setitem__(0, None),
    "pattern changed": lambda c: region(c).update(pattern=[["1", "1", "0"]]),
    "pattern short": lambda c: region(c)["pattern"][0].pop(),
    "point of a region": lambda c: region(c).update(point=["-1000"]),
    "facet left out": lambda c: region(c)["facets"].pop(),
    "facet moved": lambda c: region(c)["facets"][0].update(point=["1000"]),
    "facet of a border": lambda c: region(c)["facets"][0].update(neighbour=None),
    "facet of itself": lambda c: region(c)["facets"][0].update(neighbour=0),
    "redundant left out": lambda c: next(
        r for r in upper(c)["regions"] if r["redundant"]
    )["redundant"].pop(),
    "weight": lambda c: c["problem"]["layers"][1]["weight"][0].__setitem__(0, "-7"),
    "last bias": lambda c: c["problem"]["layers"][3].update(bias=None),
    "first bias": lambda c: c["problem"]["layers"][0].update(bias=["100"]),
    "input moved into the same region": lambda c: c["problem"]["inputs"].__setitem__(
        0, c["problem"]["inputs"][1]
    ),
    "input left out": lambda c: c["problem"]["inputs"].pop(),
    "input far away": lambda c: c["problem"]["inputs"].__setitem__(1, ["-100000"]),
    "domain given": lambda c: c["problem"].update(domain={"inequalities": [], "flat": None}),
    "pattern of a sample": lambda c: c["witness"]["patterns"].reverse(),
    "sample dropped": lambda c: c["witness"].update(dropped=[0]),
    "row out of range": lambda c: c["witness"]["lower"]["rows"].__setitem__(0, 4),
    "column repeated": lambda c: c["witness"]["lower"]["columns"].__setitem__(
        0, c["witness"]["lower"]["columns"][1]
    ),
    "modulus no prime": lambda c: c["witness"]["lower"].update(modulus="15"),
    "upper missing": lambda c: c["witness"].pop("upper"),
    "upper null": lambda c: c["witness"].update(upper=None),
    "upper without a reason": lambda c: upper(c).pop("reason"),
    "parameters do not do": lambda c: c["witness"].update(upper={"reason": "parameters"}),
    "reason with regions": lambda c: upper(c).update(reason="parameters"),
    "reason for one batch": lambda c: c["witness"].update(upper={"reason": "rows"}),
    "reason of a list": lambda c: upper(c).update(reason=["regions"]),
    "kernel at the batch": lambda c: c["witness"].update(
        upper={"reason": "kernel", "side": "columns", "vectors": upper(c)["vectors"]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_rejected_even_with_a_fresh_digest(width_one, kind):
    data = copy.deepcopy(width_one)
    assert len(upper(data)["regions"]) == 4
    assert len(upper(data)["vectors"]) == 4
    assert spelled(data)
    TAMPERING[kind](data)
    assert json.dumps(data) != json.dumps(width_one)
    verdict = check(data)
    assert not verdict
    assert verdict.reason
    assert "\n" not in verdict.reason
    assert len(verdict.reason) < 300


def test_reasons_say_what_is_wrong(width_one):
    for change, reason in (
        (entry_of(0), "is not in the kernel on region"),
        (lambda c: upper(c)["vectors"].pop(), "gives 5, which does not prove 4"),
        (lose_a_row, "gives 4, which does not prove 3"),
        (without_region(0), "inside the domain"),
        (lambda c: c["witness"].update(upper={"reason": "rows"}), "knows parameters, regions"),
        (lambda c: c["claim"].update(on_kink="drop"), "on_kink must be 'raise'"),
        (TAMPERING["vectors repeated and left out"], "not independent"),
    ):
        data = copy.deepcopy(width_one)
        change(data)
        assert reason in check(data).reason


@given(networks(min_depth=2, max_depth=3, max_width=3), heads, st.data())
def test_wrong_ranks_of_random_networks_are_rejected(net, head, data):
    """One more or less, with the minor or the vectors that such a claim would need."""
    try:
        found = ed.full_dimension(net, head=head)
    except errors.OnKink:
        return
    honest = by_regions(found)
    vectors = upper(honest)["vectors"]
    if found.value:
        less = copy.deepcopy(honest)
        lose_a_row(less)
        for extra in ([], [{"unit": data.draw(st.integers(0, net.n_parameters - 1))}]):
            less["witness"]["upper"]["vectors"] = [*vectors, *extra]
            assert not check(less)
    if vectors:
        more = copy.deepcopy(honest)
        more["claim"]["rank"] += 1
        upper(more)["vectors"].pop(data.draw(st.integers(0, len(vectors) - 1)))
        assert not check(more)
        if more["witness"]["lower"]["rows"]:
            for side in ("rows", "columns"):
                more["witness"]["lower"][side].append(more["witness"]["lower"][side][0])
            assert not check(more)


@given(problems(min_depth=2, max_depth=3, max_width=3), st.data())
def test_incomplete_lists_are_rejected(problem, data):
    """Any region left out, whether or not its rows are needed."""
    net, _ = problem
    try:
        found = ed.full_dimension(net)
    except errors.OnKink:
        return
    honest = by_regions(found)
    if len(found.regions) > 1:
        without_region(data.draw(st.integers(0, len(found.regions) - 1)))(honest)
        assert not check(honest)


def test_vectors_must_vanish_on_every_region():
    """Each of them is in the kernel on all regions but one."""
    net = ed.ReLUNetwork([[[1], [1], [1]], [[1, 1, 1]]], [[0, -1, -2], [0]])
    found = ed.full_dimension(net)
    assert found.value == net.n_parameters - net.n_hidden
    honest = by_regions(found)
    for words in (["110"], ["111"]):
        kept = [i for i, r in enumerate(upper(honest)["regions"]) if r["pattern"] != [words]]
        assert len(kept) == 3
        rows = ed.jacobian(net, decisive_set(found.regions, kept))
        vector = next(v for v in rows.kernel() if not (found_rows(found) @ v.T).is_zero())
        entries = {str(i): str(x) for i, x in enumerate(vector.numerators()) if x}
        data = copy.deepcopy(honest)
        upper(data)["vectors"].append({"entries": entries})
        at = next(i for i in range(4) if i not in kept)
        assert f"vector 3 is not in the kernel on region {at}" in check(data).reason


def found_rows(found):
    return ed.jacobian(found.regions.net, decisive_set(found.regions))


def test_the_whole_affine_map_is_checked_not_one_point():
    """Each vector vanishes at all but one of the origin and the unit vectors."""
    net = ed.ReLUNetwork([[[1, 2]]], [[3]])
    found = ed.full_dimension(net)
    data = by_regions(found)
    assert (data["claim"]["rank"], upper(data)["vectors"]) == (3, [])
    data["claim"]["rank"] = 2
    data["witness"]["lower"].update(rows=[1, 2], columns=[0, 1])
    for entries in ({"0": "1"}, {"1": "1"}, {"0": "1", "1": "1", "2": "-1"}):  # J = (x, y, 1)
        upper(data)["vectors"] = [{"entries": entries}]
        assert "vector 0 is not in the kernel on region 0" in check(data).reason


@pytest.mark.parametrize(
    ("layers", "unit", "pattern"),
    [
        # layer 1 is identically zero where layer 0 is off
        (([[[1]], [[1]], [[1]]], [[0], [0], [0]]), "unit 0 of layer 1", ["0", "0"]),
        (([[[1, 0], [0, 0]], [[1, 1]]], [None, [0]]), "unit 1 of layer 0", ["10"]),
        # the last layer, not the one before, is off everywhere
        (([[[1], [0]], [[-1, -1]], [[1]]], [None, [-1], [0]]), "unit 1 of layer 0", ["10", "0"]),
        # a unit of layer 1 without weights, though the layer has no bias
        (([[[1]], [[0]], [[1]]], [[-1], None, [0]]), "unit 0 of layer 1", ["1", "0"]),
    ],
)
def test_units_that_vanish_on_a_region_are_refused(layers, unit, pattern):
    """As full_dimension does: there is no Jacobian on such a region."""
    net = ed.ReLUNetwork(*layers)
    with pytest.raises(errors.OnKink, match=unit):
        ed.full_dimension(net)
    listed = ed.activation_regions(net).certificate().witness["regions"]
    at = next(i for i, r in enumerate(listed) if r["pattern"] == [pattern])
    X = [[1] * net.widths[0]]
    data = json.loads(ed.local_dimension(net, X, on_kink="zero").certificate().to_json())
    batch = checker.read_problem(data["claim"], data["problem"], [], data["witness"]["patterns"])
    with pytest.raises(checker.Rejected, match=f"{unit} is identically zero on region {at}"):
        region_checker.largest_rank(batch, {"regions": listed, "vectors": []})


def test_units_that_no_parameter_can_wake_are_fine():
    net = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], None, [0]])
    data = by_regions(ed.full_dimension(net))
    assert [["0", "0"]] in [r["pattern"] for r in upper(data)["regions"]]
    assert check(data)


def test_the_example_in_the_description():
    text = (Path(__file__).parents[1] / "proofs_checks" / "FORMAT.md").read_text()
    section = text.split("### The largest rank over all batches")[1].split("\n## ")[0]
    for reason in checker.UPPER_OF_ALL_BATCHES:
        assert f"| `{reason}` |" in section
    example = json.loads(section.split("```")[1])
    data = opened(ed.full_dimension(ALONE["cancelling"][0]))
    data["witness"]["upper"] = example
    assert check(data)


# -- limits, files -----------------------------------------------------------------------------


def test_what_is_too_large_is_declined(width_one, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(region_checker, "MAX_WORK", 100)
        with pytest.raises(checker.Malformed, match="too large for this checker"):
            check(copy.deepcopy(width_one))
    data = copy.deepcopy(width_one)
    problem = checker.read_problem(data["claim"], data["problem"], [], data["witness"]["patterns"])
    regions = region_checker.Problem([problem.layers], 1, None, 1, [])
    vectors = [{0: 1, 1: 1}] * 10
    region_checker.decline_long_kernels(regions, problem, vectors, 1000)
    for sizes in ((vectors, 10**9), ([{0: 2**40000}] * 10, 10**7), ([{0: 1}] * 10**5, 1)):
        with pytest.raises(checker.Malformed, match="too large"):
            region_checker.decline_long_kernels(regions, problem, *sizes)
    monkeypatch.setattr(full_proof, "LARGEST_WITNESS", 1)
    found = ed.full_dimension(ALONE["deep"][0])
    with pytest.raises(errors.CertificateError, match="and 1 is the limit"):
        full_proof._kernel(found)


def test_the_time_is_estimated(width_one):
    witness = {"upper": {"regions": [None] * 1000, "vectors": [None] * 50}}
    claim = {"rank": 100}
    plain = recheck.seconds({"claim": claim, "witness": {}})
    assert recheck.seconds({"claim": claim, "witness": witness}) == pytest.approx(plain + 2)
    for odd in (None, [], {"regions": 3}, {"regions": None, "vectors": 1}):
        assert recheck.seconds({"claim": claim, "witness": {"upper": odd}}) == plain


def test_files_and_the_checker_alone(tmp_path, width_one):
    """In an isolated interpreter; without the second file what needs no regions is still done."""
    found = ed.full_dimension(ALONE["width one"][0])
    path = found.certificate().save(tmp_path / "full.json")
    assert ed.verify(path) == ed.verify(found.certificate())
    assert repr(Certificate.load(path)) == "<Certificate full-dimension = 4>"
    simple = ed.full_dimension(ed.ReLUNetwork.random((2, 3, 1), seed=0)).certificate()
    assert simple.witness["upper"] == {"reason": "parameters"}
    plain = simple.save(tmp_path / "plain.json")
    worse = copy.deepcopy(width_one)
    entry_of(0)(worse)
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(reseal(worse)))
    copied = tmp_path / "checker.py"
    copied.write_text(CHECKER.read_text())

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    done = run("-I", CHECKER, path, plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "accepted: full-dimension = 4\n" in done.stdout
    assert "accepted: full-dimension = 10\n" in done.stdout
    done = run("-I", "-S", CHECKER, path, bad)
    assert done.returncode == 1
    assert "REJECTED: full-dimension = 4: kernel vector" in done.stdout
    assert run("-m", "exactdim.evidence.checker", path).returncode == 0
    assert run("-I", "-S", copied, plain).returncode == 0
    done = run("-I", "-S", copied, path)
    assert done.returncode == 2
    assert "region_checker.py, which is not there" in done.stderr


def test_vectors_with_long_denominators_are_rejected_at_once():
    """Their common multiple alone would take minutes."""
    data = opened(ed.full_dimension(ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])))
    long = {str(i): f"1/0x{'1' * 9000}{i:x}" for i in range(7)}
    data["witness"]["upper"]["vectors"][-1] = {"entries": long}
    verdict = check(data)
    assert not verdict
    assert "clear it" in verdict.reason
