"""Check a certificate with nothing but the standard library.

This file shares no code with the rest of exactdim and can be read, copied and run on its own:
``python -m exactdim.evidence.checker FILE...`` or ``python checker.py FILE...``. It exits 0 if
every file is accepted, 1 if one is rejected, 2 if one cannot be read.

What it does for ranks: recompute the activation patterns in integers; rebuild the named minor of
the Jacobian and test that it is nonzero modulo the named prime, which proves ``rank >= r``;
recompute the named upper bound from network and batch, which proves ``rank <= r``; or, for the
largest rank over all batches, from the network alone. All arithmetic is on integers. The format and
the bounds are described in ``proofs_checks/FORMAT.md``.

Whatever rests on the activation regions of input space is checked by ``region_checker.py``, the
second and last file of the checker: copy it along, and it is loaded from beside this one when it is
needed. It uses what is defined here, and nothing else.

For ranks it is meant up to about 1000: a minor of order 200 takes 0.5 s, 400 takes 4 s, 800 takes
35 s. Above 1500, as well as certificates that refer to files, it declines: ``exactdim verify`` does
those, with the ranks modulo a prime taken by another program. Files above 64 MiB are refused.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

MAX_BYTES = 64 * 2**20
MAX_RANK = 1500
MAX_BITS = 2**32  # of one matrix over its common denominator: half a gibibyte
MAX_DENOMINATOR_BITS = 2**17  # of one vector: a hundredth of a second for their common multiple
MAX_VECTOR_BITS = 2**25  # of one vector over its common denominator
P61 = 2**61 - 1
KINDS = ("jacobian-rank", "rank-at-least", "full-dimension")
REGION_KINDS = (  # region_checker.py checks these
    "region-nonempty",
    "region-empty",
    "regions-complete",
    "same-function",
    "counterexample",
)
NUMBER = re.compile(r"-?(0x[0-9a-f]+|[0-9]+)(/(0x[0-9a-f]+|[0-9]+))?")

Row: TypeAlias = "list[int]"
Table: TypeAlias = "list[list[int]]"


class Malformed(Exception):
    """The file cannot be read, or is no certificate of this format."""


class Rejected(Exception):
    """The certificate does not prove its claim."""


@dataclass(frozen=True)
class Verdict:
    """What the checker says; true if and only if the certificate is accepted.

    Attributes
    ----------
    accepted : bool
    claim : str
        The claim in one line.
    reason : str
        Why it was rejected; empty if accepted.
    """

    accepted: bool
    claim: str
    reason: str = ""

    def __bool__(self) -> bool:
        return self.accepted

    def __repr__(self) -> str:
        if self.accepted:
            return f"Verdict(accepted, {self.claim})"
        return f"Verdict(rejected, {self.claim}: {self.reason})"


def reject(reason: str) -> NoReturn:
    """Stop: the certificate does not prove its claim."""
    raise Rejected(reason)


# -- reading ---------------------------------------------------------------------------------


def check_file(path: str) -> Verdict:
    """Check one file."""
    return check(read(path))


def check_text(text: str) -> Verdict:
    """Check the text of a certificate."""
    return check(parse(text))


def read(path: str) -> Any:
    """Read a file as JSON, within the size limit."""
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise Malformed(f"{path} has {size} bytes; the limit is {MAX_BYTES}")
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Malformed(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise Malformed(f"{path} is not UTF-8 text: {error}") from None
    return parse(text)


def parse(text: str) -> Any:
    """Parse JSON strictly: no duplicate keys; floats become values that no check accepts."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) < len(pairs):
            raise Malformed("an object has a key twice")
        return out

    if len(text) > MAX_BYTES:
        raise Malformed(f"the text has {len(text)} characters; the limit is {MAX_BYTES}")
    try:
        return json.loads(text, object_pairs_hook=no_duplicates)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON, or truncated: {error}") from None


def check_frame(data: Any) -> None:
    """Check that the outermost object is a certificate of a known version."""
    if not isinstance(data, dict) or data.get("format") != "exactdim/certificate":
        raise Malformed("this is not an exactdim certificate (no such 'format')")
    if type(data.get("version")) is not int or data["version"] != 1:
        raise Malformed(
            f"version {data.get('version')!a:.40} is unknown to this checker; it reads 1"
        )
    for key in ("claim", "problem", "witness"):
        if not isinstance(data.get(key), dict):
            raise Malformed(f"'{key}' is missing or no object; the file is incomplete")
    if not isinstance(data.get("digest"), str):
        raise Malformed("'digest' is missing; the file is incomplete")


def digest(claim: Any, problem: Any, witness: Any) -> str:
    """Compute the identity of a certificate."""
    parts = {"claim": claim, "problem": problem, "witness": witness}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def claim_text(claim: Any) -> str:
    """Say the claim in one line."""
    known = {
        "jacobian-rank": "jacobian-rank =",
        "rank-at-least": "rank-at-least >=",
        "full-dimension": "full-dimension =",
    }
    kind, rank = claim.get("kind"), claim.get("rank")
    if isinstance(kind, str) and kind in REGION_KINDS:
        pattern, count = f"{claim.get('pattern')!a:.60}", f"{claim.get('count')!a:.20}"
        texts = {
            "region-nonempty": f"an activation region has the pattern {pattern}",
            "region-empty": f"no activation region has a pattern that begins with {pattern}",
            "regions-complete": f"the domain has exactly {count} activation regions",
            "same-function": "the two networks agree on the domain",
            "counterexample": "the two networks differ at a point of the domain",
        }
        return f"{kind}: {texts[kind]}"
    head, on_kink = claim.get("head"), claim.get("on_kink")
    text = known[kind] if isinstance(kind, str) and kind in known else f"unknown kind {kind!a:.40}"
    notes = []
    if head != "logits":
        notes.append("head softmax" if head == "softmax" else f"unknown head {head!a:.40}")
    if on_kink == "zero":
        notes.append("formal mask: kinks count as off")
    if on_kink == "drop":
        notes.append("samples on kinks dropped")
    return f"{text} {rank!a:.20}" + (f" ({'; '.join(notes)})" if notes else "")


def keys(value: Any, where: str, wanted: str) -> dict[str, Any]:
    """Demand an object with exactly the wanted keys."""
    if not isinstance(value, dict):
        reject(f"{where} is not an object")
    missing, extra = set(wanted.split()) - set(value), set(value) - set(wanted.split())
    if missing:
        reject(f"{where} lacks the keys {sorted(missing)!a:.200}")
    if extra:
        reject(f"{where} has unknown keys {sorted(extra)!a:.200}")
    return value


def listed(value: Any, where: str) -> list[Any]:
    """Demand a list."""
    return value if isinstance(value, list) else reject(f"{where} is not a list")


def index(value: Any, below: int, where: str) -> int:
    """Demand an integer from 0 to below - 1."""
    if type(value) is not int or not 0 <= value < below:
        reject(f"{where} is {value!a:.40}, not an integer from 0 to {below - 1}")
    return value


def indices(value: Any, below: int, where: str) -> list[int]:
    """Demand a list of distinct integers from 0 to below - 1."""
    out = [index(x, below, f"an entry of {where}") for x in listed(value, where)]
    if len(set(out)) < len(out):
        reject(f"{where} names something twice")
    return out


def number(value: Any, where: str) -> tuple[int, int]:
    """Read a rational number from its string."""
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        reject(f"{where} is {value!a:.40}, not a string such as '-2/3'")
    top, _, bottom = value.partition("/")
    try:
        numerator, denominator = (
            int(top, 0 if "0x" in top else 10),
            int(bottom or "1", 0 if "0x" in bottom else 10),
        )
    except ValueError:
        reject(f"{where} is a decimal of {len(value)} digits; write it in hexadecimal")
    if denominator == 0:
        reject(f"{where} has denominator zero")
    return numerator, denominator


def integers(rows: Any, where: str) -> tuple[Table, int]:
    """Read a list of equally long rows of rationals as integers over one denominator."""
    table = [[number(x, where) for x in listed(row, where)] for row in listed(rows, where)]
    if not table or not table[0] or any(len(row) != len(table[0]) for row in table):
        reject(f"{where} is empty or ragged")
    den = 1
    for d in {d for row in table for _, d in row}:
        den = math.lcm(den, d)
        if den.bit_length() * len(table) * len(table[0]) > MAX_BITS:
            reject(
                f"{where} has a common denominator of {den.bit_length()} bits: too large to check"
            )
    return [[n * (den // d) for n, d in row] for row in table], den


# -- the problem: network, batch, patterns, factors of the Jacobian --------------------------


@dataclass
class Layer:
    """One affine layer ``(weight h + bias) / scale`` with integer weight and bias."""

    weight: Table
    bias: Row | None
    scale: int

    @property
    def columns(self) -> int:
        """Length of a row of weights, with the bias if there is one."""
        return len(self.weight[0]) + (self.bias is not None)


@dataclass
class Problem:
    """The factors of the integer Jacobian: ``J[row, (l, k, m)] = M[l][row][k] * h[l][sample][m]``.

    It is the Jacobian with every layer's columns multiplied by a positive constant, so ranks, zero
    columns and nonzero minors are the same.
    """

    layers: list[Layer]
    inputs: Table
    masks: list[list[list[bool]]]  # hidden layer, kept sample, unit
    features: list[Table]  # layer, kept sample, input (and a constant if there is a bias)
    sensitivities: list[Table]  # layer, row, unit
    reach: list[list[list[bool]]]  # hidden layer, kept sample, unit
    d: int  # rows per sample
    softmax: bool

    @property
    def n(self) -> int:
        """Number of kept samples."""
        return len(self.inputs)

    @property
    def n_rows(self) -> int:
        """Rows of the Jacobian."""
        return self.n * self.d

    @property
    def widths(self) -> list[int]:
        """Inputs, hidden layers, outputs."""
        return [len(self.layers[0].weight[0]), *(len(layer.weight) for layer in self.layers)]

    @property
    def n_parameters(self) -> int:
        """Columns of the Jacobian."""
        return sum(len(layer.weight) * layer.columns for layer in self.layers)

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return sum(self.widths[1:-1])

    def column(self, c: int) -> tuple[int, int, int]:
        """Decode a column into layer, unit and position in the layer's features."""
        for number_of_layer, layer in enumerate(self.layers):
            units, inputs = len(layer.weight), len(layer.weight[0])
            if c < units * inputs:
                return number_of_layer, c // inputs, c % inputs
            c -= units * inputs
            if layer.bias is not None:
                if c < units:
                    return number_of_layer, c, inputs
                c -= units
        raise AssertionError("column out of range")

    def offset(self, number_of_layer: int) -> int:
        """First column of a layer."""
        return sum(len(x.weight) * x.columns for x in self.layers[:number_of_layer])

    def submatrix(self, rows: Sequence[int], columns: Sequence[int]) -> Submatrix:
        """Entries of the integer Jacobian at some rows and columns."""
        return Submatrix(self, rows, [self.column(c) for c in columns])


@dataclass
class Submatrix:
    """Rows of the integer Jacobian at some columns, each made when it is asked for."""

    problem: Problem
    rows: Sequence[int]
    places: list[tuple[int, int, int]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        M, h, d = self.problem.sensitivities, self.problem.features, self.problem.d
        for r in self.rows:
            yield [M[layer][r][k] * h[layer][r // d][m] for layer, k, m in self.places]


def read_layers(items: Any, network: str = "") -> list[Layer]:
    """Read the layers of a network; its name goes into the reasons."""
    layers: list[Layer] = []
    for i, item in enumerate(listed(items, f"layers{network}")):
        where = f"layer {i}{network}"
        keys(item, where, "weight bias")
        weight, scale = integers(item["weight"], f"weight of {where}")
        bias = None
        if item["bias"] is not None:
            (bias,), bias_scale = integers([item["bias"]], f"bias of {where}")
            if len(bias) != len(weight):
                reject(f"bias of {where} has {len(bias)} entries for {len(weight)} units")
            common = math.lcm(scale, bias_scale)
            weight = [[x * (common // scale) for x in row] for row in weight]
            bias, scale = [x * (common // bias_scale) for x in bias], common
        if layers and len(weight[0]) != len(layers[-1].weight):
            reject(f"{where} takes {len(weight[0])} inputs from {len(layers[-1].weight)} units")
        layers.append(Layer(weight, bias, scale))
    if not layers:
        reject(f"the network{network} has no layer")
    return layers


def read_problem(claim: dict[str, Any], data: Any, dropped: Any, words: Any) -> Problem:
    """Rebuild patterns and Jacobian factors, and compare with what the certificate says."""
    keys(data, "problem", "layers inputs")
    layers = read_layers(data["layers"])
    inputs, one = integers(data["inputs"], "inputs")
    if len(inputs[0]) != len(layers[0].weight[0]):
        reject(
            f"inputs have {len(inputs[0])} numbers; the network takes {len(layers[0].weight[0])}"
        )

    kinks: set[int] = set()
    masks: list[list[list[bool]]] = [[] for _ in layers[:-1]]
    features: list[Table] = [[] for _ in layers]
    for i, x in enumerate(inputs):
        on_kink = forward(layers, x, one, masks, features)
        if on_kink:
            kinks.add(i)
    if claim["on_kink"] == "raise" and kinks:
        reject(f"sample {min(kinks)} lies on a kink, and the claim says that none does")
    expected = sorted(kinks) if claim["on_kink"] == "drop" else []
    if dropped != expected or any(type(i) is not int for i in dropped):
        reject(f"dropped samples are {dropped!a:.60}, but should be {expected!a:.60}")
    kept = [i for i in range(len(inputs)) if i not in set(expected)]
    if not kept:
        reject("every sample is dropped")
    masks = [[layer[i] for i in kept] for layer in masks]
    features = [[layer[i] for i in kept] for layer in features]
    check_words(words, masks, len(kept))

    inputs = [inputs[i] for i in kept]
    return with_derivatives(layers, inputs, masks, features, softmax=claim["head"] == "softmax")


def with_derivatives(
    layers: list[Layer],
    inputs: Table,
    masks: list[list[list[bool]]],
    features: list[Table],
    *,
    softmax: bool,
) -> Problem:
    """Complete patterns and features to the factors of the Jacobian."""
    outputs = len(layers[-1].weight)
    d = outputs - softmax
    top = [
        [int(j == k) - int(softmax and k == outputs - 1) for k in range(outputs)] for j in range(d)
    ]
    sensitivities, reach = backward(layers, top, masks, len(inputs))
    return Problem(layers, inputs, masks, features, sensitivities, reach, d, softmax)


def forward(
    layers: list[Layer],
    x: Row,
    one: int,
    masks: list[list[list[bool]]],
    features: list[Table],
) -> bool:
    """Push one sample through the network in integers; append its masks and features."""
    kink = False
    h, unit = x, one  # activations are h / unit
    for number_of_layer, layer in enumerate(layers):
        features[number_of_layer].append([*h, unit] if layer.bias is not None else h)
        if number_of_layer == len(layers) - 1:
            break
        bias = layer.bias or [0] * len(layer.weight)
        z = [
            sum(map(int.__mul__, row, h)) + b * unit
            for row, b in zip(layer.weight, bias, strict=True)
        ]
        harmless = layer.bias is None and not any(h) and not kink
        if 0 in z and not harmless:
            kink = True
        mask = [value > 0 for value in z]
        masks[number_of_layer].append(mask)
        h = [value if on else 0 for value, on in zip(z, mask, strict=True)]
        unit *= layer.scale
    return kink


def backward(
    layers: list[Layer], top: Table, masks: list[list[list[bool]]], n: int
) -> tuple[list[Table], list[list[list[bool]]]]:
    """Compute the derivatives of the outputs in each layer's pre-activations."""
    sensitivities: list[Table] = [[list(row) for _ in range(n) for row in top]]
    reach: list[list[list[bool]]] = []
    d = len(top)
    for number_of_layer in range(len(layers) - 2, -1, -1):
        columns = list(zip(*layers[number_of_layer + 1].weight, strict=True))
        moved = [
            [sum(map(int.__mul__, row, column)) for column in columns] for row in sensitivities[0]
        ]
        reach.insert(
            0,
            [
                [any(moved[i * d + j][k] for j in range(d)) for k in range(len(columns))]
                for i in range(n)
            ],
        )
        mask = masks[number_of_layer]
        sensitivities.insert(
            0,
            [
                [x if on else 0 for x, on in zip(row, mask[r // d], strict=True)]
                for r, row in enumerate(moved)
            ],
        )
    return sensitivities, reach


def check_words(words: Any, masks: list[list[list[bool]]], n: int) -> None:
    """Compare the patterns in the certificate with those recomputed."""
    if len(listed(words, "patterns")) != n:
        reject(f"there are {len(words)} patterns for {n} samples")
    for i, word in enumerate(words):
        expected = ["".join("01"[on] for on in layer[i]) for layer in masks]
        if word != expected:
            reject(f"the pattern of sample {i} is {expected!a:.60}, not {word!a:.60}")


# -- linear algebra --------------------------------------------------------------------------


def is_prime(n: int) -> bool:
    """Decide primality below 2**64 (Miller-Rabin with the twelve bases that suffice there)."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    if n < 2 or n >= 2**64:
        return False
    if any(n % b == 0 for b in bases):
        return n in bases
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        x = pow(base, odd, n)
        if x in {1, n - 1}:
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(value: Any, where: str) -> int:
    """Demand a string that spells a prime below 2**64."""
    p, den = number(value, where)
    if den != 1 or not is_prime(p):
        reject(f"{where} {value!a:.40} is not a prime below 2**64")
    return p


class Rows(Sized, Iterable[Row], Protocol):
    """Equally long rows of integers, whose number is known."""


def rank_mod(table: Rows, p: int) -> int:
    """Compute the rank modulo a prime."""
    return RANK_MOD.get()(table, p)


def plain_rank_mod(table: Rows, p: int) -> int:
    """Compute the rank modulo a prime by Gaussian elimination."""
    rows = [[x % p for x in row] for row in table]
    rank = 0
    width = len(rows[0]) if rows else 0
    for c in range(width):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][c]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        inverse = pow(rows[rank][c], -1, p)
        tail = [x * inverse % p for x in rows[rank][c:]]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][c]
            if factor:
                rows[i][c:] = [(x - factor * y) % p for x, y in zip(rows[i][c:], tail, strict=True)]
        rank += 1
        if rank == len(rows):
            break
    return rank


RANK_MOD: ContextVar[Callable[[Rows, int], int]] = ContextVar("RANK_MOD", default=plain_rank_mod)
"""Who computes ranks modulo a prime: a faster program may be put here, see `recheck`."""


def exact_rank(table: Table) -> int:
    """Compute the rank over the rationals."""
    rows = [row for row in table if any(row)]
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    if not rows:
        return 0
    quick = rank_mod([list(c) for c in columns], P61)
    if quick == min(len(rows), len(columns)):
        return quick  # a lower bound that meets the number of nonzero rows or columns
    return bareiss_rank([without_content(list(column)) for column in columns])


def bareiss_rank(rows: Table) -> int:
    """Compute the rank by Bareiss elimination: every entry on the way is a minor of the table."""
    done, previous = 0, 1
    while done < len(rows) and rows[done]:
        # Pivot: the shortest nonzero entry of the first column that has one.
        candidates = [i for i in range(done, len(rows)) if rows[i][0]]
        if not candidates:
            rows[done:] = [row[1:] for row in rows[done:]]
            continue
        best = min(candidates, key=lambda i: abs(rows[i][0]))
        rows[done], rows[best] = rows[best], rows[done]
        lead, *tail = rows[done]
        for i in range(done + 1, len(rows)):
            factor, *rest = rows[i]
            if factor:
                rows[i] = [
                    (lead * x - factor * y) // previous for x, y in zip(rest, tail, strict=True)
                ]
            else:
                rows[i] = [lead * x // previous for x in rest]
        previous = lead
        done += 1
    return done


# -- upper bounds: each returns a number that the rank cannot exceed -------------------------


def by_parameters(problem: Problem, _: dict[str, Any]) -> int:
    """Parameters minus rescalings, minus common shifts of the logits for softmax."""
    value = problem.n_parameters - problem.n_hidden
    if problem.softmax:
        value -= problem.widths[-2] + (problem.layers[-1].bias is not None)
    return value


def by_rows(problem: Problem, _: dict[str, Any]) -> int:
    """Count outputs times distinct samples; distinct rays if no layer has a bias."""
    rays = all(layer.bias is None for layer in problem.layers)
    return problem.d * len({ray(x) if rays else tuple(x) for x in problem.inputs})


def ray(x: Row) -> tuple[int, ...]:
    """Divide a vector by its content."""
    content = math.gcd(*x)
    return tuple(v // content for v in x) if content else tuple(x)


def by_affine_pieces(problem: Problem, _: dict[str, Any]) -> int:
    """Sum outputs times the affine ranks of the samples that share a pattern."""
    affine = any(layer.bias is not None for layer in problem.layers)
    groups: dict[str, Table] = {}
    for i, x in enumerate(problem.inputs):
        word = repr([layer[i] for layer in problem.masks])
        groups.setdefault(word, []).append([*x, 1] if affine else x)
    return problem.d * sum(exact_rank(group) for group in groups.values())


def by_input_rank(problem: Problem, _: dict[str, Any]) -> int:
    """Parameters that the samples can see, minus rescalings."""
    first = problem.layers[0]
    lost = len(first.weight) * (first.columns - exact_rank(problem.features[0]))
    return problem.n_parameters - lost - problem.n_hidden


def by_layer_features(problem: Problem, _: dict[str, Any]) -> int:
    """Units times the rank of their inputs, summed over the layers."""
    units = [*problem.widths[1:-1], problem.d]
    return sum(u * exact_rank(h) for u, h in zip(units, problem.features, strict=True))


def by_output_span(problem: Problem, witness: dict[str, Any]) -> int:
    """Output directions that the hidden layers can move, plus those only the last layer moves."""
    if len(problem.layers) < 2:
        reject("the bound 'output-span' needs a hidden layer")
    size = problem.widths[-1] * problem.layers[-1].columns
    if len(listed(witness["relations"], "relations")) > size:
        reject("there are more relations than coordinates")
    relations = [
        sparse_vector(v, size, f"relation {i}")
        for i, v in enumerate(listed(witness["relations"], "relations"))
    ]
    check_independent(relations, "relations")
    moved, seen = 0, set()
    for i, h in enumerate(problem.features[-1]):
        if tuple(problem.inputs[i]) in seen:
            continue  # equal samples have equal rows
        seen.add(tuple(problem.inputs[i]))
        block = slice(i * problem.d, (i + 1) * problem.d)
        top = problem.sensitivities[-1][block]
        free = left_kernel(problem.sensitivities[-2][block])
        moved += problem.d - len(free)
        for y in free:
            left = [sum(map(int.__mul__, y, column)) for column in zip(*top, strict=True)]
            row = [a * b for b in h for a in left]
            for number_of_relation, relation in enumerate(relations):
                if sum(x * row[c] for c, x in relation.items()):
                    reject(f"relation {number_of_relation} does not hold at sample {i}")
    return moved + size - len(relations)


def check_independent(vectors: list[dict[int, int]], what: str) -> None:
    """Demand that sparse integer vectors are independent, by their rank modulo a prime."""
    used = sorted({c for v in vectors for c in v})
    if vectors and rank_mod([[v.get(c, 0) for c in used] for v in vectors], P61) < len(vectors):
        reject(f"the {what} are not independent modulo 2**61 - 1")


def sparse_vector(item: Any, size: int, where: str) -> dict[int, int]:
    """Read a vector ``{"5": "2/3", ...}`` as integers, up to a positive factor."""
    sparse = sparse_numbers(item, size, where)
    bits = sum(d.bit_length() for _, d in sparse.values() if d > 1)
    if bits > MAX_DENOMINATOR_BITS or bits * len(sparse) > MAX_VECTOR_BITS:
        reject(f"{where} has a common denominator of perhaps {bits} bits: too long, clear it")
    den = math.lcm(*(d for _, d in sparse.values()))
    return {c: n * (den // d) for c, (n, d) in sparse.items()}


def sparse_numbers(item: Any, size: int, where: str) -> dict[int, tuple[int, int]]:
    """Read a vector ``{"5": "2/3", ...}`` of rational numbers."""
    if not isinstance(item, dict) or not item:
        reject(f"{where} is no object of coordinates and numbers")
    sparse: dict[int, tuple[int, int]] = {}
    for key, text in item.items():
        if not re.fullmatch("0|[1-9][0-9]{0,17}", key):
            reject(f"{where} names coordinate {key!a:.40}")
        sparse[index(int(key), size, where)] = number(text, where)
    return sparse


def left_kernel(table: Table) -> Table:
    """Compute a basis of ``{y : y A = 0}`` in integers, by eliminating ``[A | I]``."""
    n = len(table)
    width = len(table[0]) if table else 0
    rows = [row + [int(i == j) for j in range(n)] for i, row in enumerate(table)]
    done = 0
    for c in range(width):
        pivot = next((i for i in range(done, n) if rows[i][c]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        for i in range(done + 1, n):
            a, b = rows[done][c], rows[i][c]
            if b:
                rows[i] = without_content([
                    a * x - b * y for x, y in zip(rows[i], rows[done], strict=True)
                ])
        done += 1
    return [row[width:] for row in rows[done:]]


def by_unit_relations(problem: Problem, witness: dict[str, Any]) -> int:
    """Count what each unit adds to the span of its layer's outputs; some things apart."""
    removed = indices(witness["removed"], problem.n, "removed")
    shared = read_shared(problem, witness["shared"])
    relations = read_relations(problem, witness["relations"])
    gone = {tuple(problem.inputs[i]) for i in removed}
    first = {tuple(x): i for i, x in reversed(list(enumerate(problem.inputs)))}
    left = sorted(i for x, i in first.items() if x not in gone)  # equal samples have equal rows
    value = problem.d * len(gone)
    value += sum(shared_rank(problem, layer, j, left) for layer, j in shared)
    for layer in range(len(problem.masks)):
        known = [j for at, j in shared if at == layer]
        for k in range(problem.widths[layer + 1]):
            rows = [i for i in left if problem.reach[layer][i][k]]
            value += unit_rank(problem, layer, k, rows, relations.pop((layer, k), None))
            fixed = [
                [problem.features[layer][i][j] if problem.masks[layer][i][k] else 0 for j in known]
                + problem.features[layer + 1][i]
                for i in rows
            ]
            value -= rank_mod(fixed, P61)
    last = {i: problem.features[-1][i] for i in left}
    return value + problem.d * rank_from_above(last, {}, relations.pop(None, None))


Relations: TypeAlias = "tuple[str, list[dict[int, int]]]"


def read_shared(problem: Problem, items: Any) -> list[tuple[int, int]]:
    """Read features as pairs of a hidden layer and one of its inputs."""
    out = []
    for item in listed(items, "shared"):
        if len(listed(item, "a shared feature")) != 2:
            reject("a shared feature is no pair (layer, input)")
        layer = index(item[0], len(problem.masks), "layer of a shared feature")
        columns = problem.layers[layer].columns
        out.append((layer, index(item[1], columns, "input of a shared feature")))
    if len(set(out)) < len(out):
        reject("a shared feature is named twice")
    return out


def read_relations(problem: Problem, items: Any) -> dict[tuple[int, int] | None, Relations]:
    """Read the relations of each unit; the key None stands for the last layer."""
    out: dict[tuple[int, int] | None, Relations] = {}
    for item in listed(items, "relations"):
        keys(item, "an entry of relations", "unit side vectors")
        unit: tuple[int, int] | None = None
        if item["unit"] is not None:
            if len(listed(item["unit"], "a unit")) != 2:
                reject("a unit is no pair (layer, unit)")
            layer = index(item["unit"][0], len(problem.masks), "layer of a unit")
            unit = (layer, index(item["unit"][1], problem.widths[layer + 1], "a unit"))
        if unit in out:
            reject("relations of a unit are given twice")
        if item["side"] not in ("columns", "rows"):
            reject(f"side is {item['side']!a:.40}, not 'columns' or 'rows'")
        size = problem.n
        if item["side"] == "columns":
            layer = len(problem.layers) - 1 if unit is None else unit[0]
            size = problem.layers[layer].columns
            if unit is not None:
                size += problem.layers[layer + 1].columns
        vectors = [
            sparse_vector(v, size, "a relation") for v in listed(item["vectors"], "relations")
        ]
        out[unit] = (item["side"], vectors)
    return out


def shared_rank(problem: Problem, layer: int, j: int, samples: list[int]) -> int:
    """Compute the rank of the columns that belong to one input of a layer."""
    d, h = problem.d, problem.features[layer]
    return exact_rank([
        [h[i][j] * x for x in problem.sensitivities[layer][r]]
        for i in samples
        if h[i][j]
        for r in range(i * d, (i + 1) * d)
    ])


def unit_rank(
    problem: Problem, layer: int, k: int, rows: list[int], relations: Relations | None
) -> int:
    """Bound the rank of ``[A | B]`` of a unit from above."""
    # The unit's own column of B is A times its weights, so it is left out.
    on: dict[int, Row] = {}
    off: dict[int, Row] = {}
    scale, width = problem.layers[layer].scale, problem.layers[layer].columns
    for i in rows:
        outputs = list(problem.features[layer + 1][i])
        outputs[k] = 0
        if problem.masks[layer][i][k]:  # integers of both layers over the same denominator
            on[i] = [scale * x for x in problem.features[layer][i]] + outputs
        else:
            off[i] = [0] * width + outputs
    return rank_from_above(on, off, relations)


def rank_from_above(on: dict[int, Row], off: dict[int, Row], relations: Relations | None) -> int:
    """Bound the rank of rows, named by samples, by counting."""
    # The nonzero columns less relations between them; or the rows that are on, and the rank of the
    # others, less relations between rows that are independent in the rows that are on.
    table = {**on, **off}
    counted = [any(column) for column in zip(*table.values(), strict=True)]
    side, vectors = relations or ("rows", [])
    if side == "columns":
        for v in vectors:
            if not all(c < len(counted) and counted[c] for c in v):
                reject("a relation names a column that is zero or left out")
            if any(sum(x * row[c] for c, x in v.items()) for row in table.values()):
                reject("a relation between columns does not hold")
        check_independent(vectors, "relations")
        return sum(counted) - len(vectors)
    if rank_mod(list(table.values()), P61) == sum(counted):
        return sum(counted)
    for v in vectors:
        if not all(i in table for i in v):
            reject("a relation names a sample that does not count")
        if any(sum(x * table[i][c] for i, x in v.items()) for c in range(len(counted))):
            reject("a relation between rows does not hold")
    check_independent([{i: x for i, x in v.items() if i in on} for v in vectors], "relations")
    return min(sum(counted), len(on) + exact_rank(list(off.values())) - len(vectors))


def by_kernel(problem: Problem, witness: dict[str, Any]) -> int:
    """Columns (or rows) minus independent vectors of the right (or left) kernel."""
    side = witness["side"]
    if side not in ("columns", "rows"):
        reject(f"side is {side!a:.40}, not 'columns' or 'rows'")
    size = problem.n_parameters if side == "columns" else problem.n_rows
    vectors = kernel_vectors(problem, witness["vectors"], side, size)
    product = right_product if side == "columns" else left_product
    for i, v in enumerate(vectors):
        if any(product(problem, v)):
            reject(f"kernel vector {i} is not in the kernel")
    check_independent(vectors, "kernel vectors")
    return size - len(vectors)


def kernel_vectors(problem: Problem, items: Any, side: str, size: int) -> list[dict[int, int]]:
    """Read the vectors of a kernel, not yet checked."""
    if len(listed(items, "vectors")) > size:
        reject(f"there are more kernel vectors than {side}")
    return [
        kernel_vector(problem, v, side, size, f"kernel vector {i}") for i, v in enumerate(items)
    ]


def kernel_vector(problem: Problem, item: Any, side: str, size: int, where: str) -> dict[int, int]:
    """Read a kernel vector, up to a positive factor."""
    if not isinstance(item, dict) or len(item) != 1:
        reject(f"{where} is not an object with one key")
    ((kind, value),) = item.items()
    if kind == "unit":
        return {index(value, size, where): 1}
    if kind == "gauge":
        pair = listed(value, where)
        if len(pair) != 2 or side != "columns":
            reject(f"{where} is no pair (layer, unit) of a column kernel")
        layer = index(pair[0], len(problem.layers) - 1, where)
        return gauge(problem, layer, index(pair[1], problem.widths[layer + 1], where))
    if kind == "entries":
        return sparse_vector(value, size, where)
    return reject(f"{where} has the unknown kind {kind!a:.40}")


def gauge(problem: Problem, layer: int, unit: int) -> dict[int, int]:
    """Build the rescaling direction of one hidden unit: +w and +b in, -v out."""
    own, following = problem.layers[layer], problem.layers[layer + 1]
    start, after = problem.offset(layer), problem.offset(layer + 1)
    units, inputs = len(own.weight), len(own.weight[0])
    factor, following_factor = following.scale, own.scale  # one common denominator for both
    v = {start + unit * inputs + m: factor * x for m, x in enumerate(own.weight[unit])}
    if own.bias is not None:
        v[start + units * inputs + unit] = factor * own.bias[unit]
    for row, weights in enumerate(following.weight):
        v[after + row * units + unit] = -following_factor * weights[unit]
    return v


def right_product(problem: Problem, v: dict[int, int]) -> list[int]:
    """Multiply the Jacobian by a column vector, layer by layer and sample by sample."""
    total = [0] * problem.n_rows
    by_layer: dict[int, list[tuple[int, int, int]]] = {}
    for c, x in v.items():
        layer, k, m = problem.column(c)
        # The integer Jacobian has the columns of a layer multiplied by a constant over its scale.
        by_layer.setdefault(layer, []).append((k, m, x * problem.layers[layer].scale))
    for layer, changes in by_layer.items():
        units = problem.widths[layer + 1]
        for i, h in enumerate(problem.features[layer]):
            dz = [0] * units
            for k, m, x in changes:
                dz[k] += x * h[m]
            for r in range(i * problem.d, (i + 1) * problem.d):
                total[r] += sum(map(int.__mul__, problem.sensitivities[layer][r], dz))
    return total


def left_product(problem: Problem, y: dict[int, int]) -> list[int]:
    """Multiply a row vector by the Jacobian."""
    out: list[int] = []
    for M, features in zip(problem.sensitivities, problem.features, strict=True):
        for k in range(len(M[0]) if M else 0):
            sums = [0] * len(features[0])
            for r, x in y.items():
                factor = x * M[r][k]
                if factor:
                    sums = [
                        s + factor * h for s, h in zip(sums, features[r // problem.d], strict=True)
                    ]
            out.extend(sums)
    return out


def by_many_primes(problem: Problem, witness: dict[str, Any]) -> int:
    """Take the largest rank modulo primes whose product exceeds every larger minor."""
    primes = [prime(p, "a prime") for p in listed(witness["primes"], "primes")]
    if not primes or len(set(primes)) < len(primes):
        reject("primes are missing or repeated")
    J = list(problem.submatrix(range(problem.n_rows), range(problem.n_parameters)))
    J = transpose([without_content(column) for column in transpose(J)])
    J = [without_content(row) for row in J]
    row_norms = [sum(x * x for x in row) for row in J]
    column_norms = [sum(x * x for x in column) for column in transpose(J)]
    if witness["matrix"] == "jacobian":
        table, power = J, 2  # the squared minors are bounded, by rows or by columns
        norms = [row_norms, column_norms]
    elif witness["matrix"] == "gram":
        by_rows = len(row_norms) <= len(column_norms)
        small, power = J if by_rows else transpose(J), 1
        table = [[sum(map(int.__mul__, a, b)) for b in small] for a in small]
        norms = [row_norms if by_rows else column_norms]
    else:
        reject(f"matrix is {witness['matrix']!a:.40}, not 'jacobian' or 'gram'")
    rank, product = 0, 1
    for p in primes:
        rank = max(rank, rank_mod(table, p))
        product *= p**power
        if product > min(largest_product(n, rank + 1) for n in norms):
            return rank  # every minor of order rank + 1 is divisible by more than it can be
    return reject("the product of the primes does not exceed the bound of the minors")


def transpose(table: Table) -> Table:
    """Swap rows and columns."""
    return [list(column) for column in zip(*table, strict=True)]


def without_content(row: Row) -> Row:
    """Divide by the greatest common divisor."""
    content = math.gcd(*row)
    return [x // content for x in row] if content > 1 else row


def largest_product(squared_norms: list[int], order: int) -> int:
    """Bound the squared minors of an order: the product of the largest squared norms."""
    return math.prod(sorted((x for x in squared_norms if x), reverse=True)[:order])


UPPER: dict[str, tuple[str, Callable[[Problem, dict[str, Any]], int]]] = {
    "parameters": ("reason", by_parameters),
    "rows": ("reason", by_rows),
    "affine-pieces": ("reason", by_affine_pieces),
    "input-rank": ("reason", by_input_rank),
    "layer-features": ("reason", by_layer_features),
    "output-span": ("reason relations", by_output_span),
    "unit-relations": ("reason removed shared relations", by_unit_relations),
    "kernel": ("reason side vectors", by_kernel),
    "many-primes": ("reason matrix primes", by_many_primes),
}


def by_regions(problem: Problem, witness: dict[str, Any]) -> int:
    """Parameters minus vectors on which the rows of all activation regions vanish."""
    value: int = load_region_checker().largest_rank(problem, witness)
    return value


UPPER_OF_ALL_BATCHES: dict[str, tuple[str, Callable[[Problem, dict[str, Any]], int]]] = {
    "parameters": ("reason", by_parameters),
    "regions": ("reason regions vectors", by_regions),
}


# -- the verdict -----------------------------------------------------------------------------


def check(data: Any) -> Verdict:
    """Check a parsed certificate."""
    check_frame(data)
    check_size(data)
    text = claim_text(data["claim"])
    try:
        keys(data, "the certificate", "format version claim problem witness digest")
        if data["digest"] != digest(data["claim"], data["problem"], data["witness"]):
            reject("the digest does not belong to the contents")
        check_claim(data["claim"], data["problem"], data["witness"])
    except Rejected as error:
        return Verdict(False, text, str(error))
    except RecursionError:
        return Verdict(False, text, "the contents are nested too deeply")
    return Verdict(True, text)


def check_size(data: Any) -> None:
    """Decline what would take hours here."""
    rank = data["claim"].get("rank")
    if RANK_MOD.get() is plain_rank_mod and type(rank) is int and rank > MAX_RANK:
        raise Malformed(
            f"a minor of order {rank} is too large for this checker, which stops at {MAX_RANK}; "
            "use 'exactdim verify'"
        )
    if any(key in data["problem"] for key in ("network", "batch")):
        raise Malformed(
            "this certificate refers to files, which this checker does not read; "
            "use 'exactdim verify'"
        )


def check_claim(claim: Any, problem_data: Any, witness: Any) -> None:
    """Check claim, problem and witness against each other."""
    if claim.get("kind") in REGION_KINDS:
        load_region_checker().check_claim(claim, problem_data, witness)
        return
    keys(claim, "claim", "kind rank head wrt on_kink")
    choices = {
        "kind": KINDS,
        "head": ("logits", "softmax"),
        "wrt": ("parameters",),
        "on_kink": ("raise", "zero", "drop"),
    }
    for key, allowed in choices.items():
        if claim[key] not in allowed:
            known = (*allowed, *REGION_KINDS) if key == "kind" else allowed
            reject(f"{key} is {claim[key]!a:.40}; this checker knows {', '.join(known)}")
    full = claim["kind"] == "full-dimension"
    if full and claim["on_kink"] != "raise":
        reject("the full dimension is about batches without kinks: on_kink must be 'raise'")
    equality = claim["kind"] != "rank-at-least"
    keys(witness, "witness", "dropped patterns lower" + (" upper" if equality else ""))
    problem = read_problem(claim, problem_data, witness["dropped"], witness["patterns"])
    rank = index(claim["rank"], min(problem.n_rows, problem.n_parameters) + 1, "rank")

    lower = keys(witness["lower"], "lower", "modulus rows columns")
    p = prime(lower["modulus"], "modulus")
    rows = indices(lower["rows"], problem.n_rows, "rows")
    columns = indices(lower["columns"], problem.n_parameters, "columns")
    if not len(rows) == len(columns) == rank:
        reject(f"the minor is {len(rows)} x {len(columns)}, but the claim is {rank}")
    if any(layer.scale % p == 0 for layer in problem.layers):
        reject(f"{p} divides a denominator")
    if rank_mod(problem.submatrix(rows, columns), p) < rank:
        reject(f"the minor is zero modulo {p}")

    if equality:
        upper = witness["upper"]
        known_bounds = UPPER_OF_ALL_BATCHES if full else UPPER
        reason = upper.get("reason") if isinstance(upper, dict) else None
        if not isinstance(reason, str) or reason not in known_bounds:
            reject(
                f"upper bound {reason!a:.40} is unknown for this kind; this checker knows "
                f"{', '.join(known_bounds)}"
            )
        wanted, bound = known_bounds[reason]
        value = bound(problem, keys(upper, "upper", wanted))
        if value != rank:
            reject(f"the bound '{reason}' gives {value}, which does not prove {rank}")


def load_region_checker() -> Any:
    """Load the file beside this one; what it takes from here is what is running now."""
    if __name__ == "exactdim.evidence.checker":
        return importlib.import_module("exactdim.evidence.region_checker")
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "region_checker.py")
    if not os.path.isfile(path):
        raise Malformed(f"what rests on regions needs {path}, which is not there")
    sys.modules["checker"] = sys.modules[__name__]
    spec = importlib.util.spec_from_file_location("region_checker", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["region_checker"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(arguments: Sequence[str]) -> int:
    """Check files named on the command line; print one line for each.

    Parameters
    ----------
    arguments : sequence of str

    Returns
    -------
    int
        0 all accepted, 1 one rejected, 2 one unreadable or no file named.
    """
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write("usage: python -m exactdim.evidence.checker FILE...\n")
        return 0 if arguments else 2
    code = 0
    for path in arguments:
        try:
            verdict = check_file(path)
        except Malformed as error:
            sys.stderr.write(f"{path}: {error}\n")
            code = 2
            continue
        word = "accepted" if verdict else "REJECTED"
        sys.stdout.write(f"{path}: {word}: {verdict.claim}")
        sys.stdout.write("\n" if verdict else f": {verdict.reason}\n")
        code = max(code, 0 if verdict else 1)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
