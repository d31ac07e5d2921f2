# %% [markdown]
# # Ranks that floats get wrong
#
# The *local dimension* of a ReLU network at a batch $X$ is the rank of the Jacobian $J(\theta)$ of
# its outputs $f_\theta(X)$ in its parameters
# ([arXiv:2402.08269](https://arxiv.org/abs/2402.08269)). The usual way to compute it is to count
# the singular values above a threshold. This notebook shows where that goes wrong, and why:
#
# 1. on a small digits classifier, thresholds report that the rank collapses during training; it
#    falls from 230 to 225;
# 2. rescaling one unit changes neither the function nor the rank, but moves every singular value;
# 3. a confident softmax hides rank from floats, although the rank does not depend on the
#    probabilities at all;
# 4. an exact rank comes with a proof, which a program that knows nothing of this package checks.
#
# Every number in the text is asserted in the cell above or below it, and every rank that is called
# exact is proved.

# %%
import copy
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np

import exactdim as ed
from exactdim.demo import load_digits_network
from exactdim.evidence import checker

EPS32, EPS64 = (float(np.finfo(name).eps) for name in ("float32", "float64"))
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
EXACT = {"color": "#bbbbbb", "linewidth": 6, "label": "exact"}
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}


def note(ax, text, x, y, dx=0, dy=0, **style):
    """Write beside a point."""
    ax.annotate(text, (x, y), (dx, dy), textcoords="offset points", fontsize="small", **style)


def draw_spectrum(ax, singular_values, color, label):
    index = np.arange(1, len(singular_values) + 1)
    ax.semilogy(index, singular_values / singular_values[0], color=color, label=label)
    ax.set(xlabel="index $i$", xlim=(0, 300), ylim=(1e-24, 1e4))
    ax.set_yticks([1, 1e-8, 1e-16, 1e-24])


def draw_threshold(ax, name, eps, **style):
    ax.axhline(1222 * eps, color=GREY, linewidth=0.8)
    note(ax, f"{name} threshold", 215, 1222 * eps, color=GREY, ha="right", **style)


# %% [markdown]
# ## 1. A collapse that is not there
#
# The package ships a (64, 12, 12, 12, 10) network with float32 weights, before and after training
# on the 8 x 8 digits of scikit-learn, and 30 training samples. A float is a rational number with a
# power of two below the line, so the Jacobian of these very weights is a rational matrix and has
# one rank. `ed.crosscheck` computes it, for the logits and for the softmax outputs, and asks the
# usual numeric recipes too: a Jacobian in float32 or float64, and a threshold of
# $\max(m,n)\,\varepsilon\,\sigma_1$ with the $\varepsilon$ of float32 or float64, or an absolute
# one of 0.01, or a cut at the largest gap.

# %%
digits = {stage: load_digits_network(stage) for stage in ("init", "trained")}
reports = {stage: ed.crosscheck(net, X, scales=()) for stage, (net, X) in digits.items()}
recipes = [
    "float32, eps32",
    "float32 J, eps64",
    "float64, eps32",
    "float64, eps64",
    "float64, 0.01",
]
exact = {(s, head): int(d) for s, r in reports.items() for head, d in r.exact.items()}
numeric = {(s, x.head, x.recipe.name): x.rank for s, r in reports.items() for x in r.numeric}

print(f"{'':<16} {'exact':>5} " + "".join(f"{name:>18}" for name in recipes))
for (stage, head), rank in exact.items():
    ranks = [numeric[stage, head, name] for name in recipes]
    print(f"{stage:<8}{head:<8} {rank:>5} " + "".join(f"{r:>18}" for r in ranks))
print()
for stage, report in reports.items():
    print(f"softmax, {stage}: {report.exact['softmax'].evidence.upper.statement}")

# %% [markdown]
# `int(d)` raises unless the rank is *proved*, so the first column is no estimate.
#
# * The exact rank does change: 240 to 237 for the logits, 230 to 225 for the softmax. The lines
#   below the table say what bounds the second: after training fewer units of the last hidden layer
#   are on, 132 instead of 196, summed over the samples.
# * With a float32 threshold the softmax rank falls from 229 to 12, with a float64 threshold from
#   230 to 100. That collapse is made by the thresholds.
# * A float32 Jacobian with a float64 threshold counts rounding errors as rank: it gives 300, all
#   rows, where at most 270 are possible (the ten probabilities of a sample add up to one).
# * The largest gap is right three times out of four. On the trained softmax it lies beyond 270,
#   where every true singular value is zero: between two rounding errors. Which two may change from
#   machine to machine, so the table leaves it out.
# * No recipe is right in all four cases, and on the trained softmax all of them are wrong.

# %%
assert exact == {
    ("init", "logits"): 240,
    ("trained", "logits"): 237,
    ("init", "softmax"): 230,
    ("trained", "softmax"): 225,
}
assert [numeric[s, "softmax", "float32, eps32"] for s in digits] == [229, 12]
assert [numeric[s, "softmax", "float64, eps64"] for s in digits] == [230, 100]
assert numeric["init", "softmax", "float32 J, eps64"] == 300 > 30 * 9 == 270
assert numeric["trained", "softmax", "float64, gap"] > 270
assert sum(numeric[s, head, "float64, gap"] == rank for (s, head), rank in exact.items()) == 3
for name in {name for _, _, name in numeric}:
    assert any(numeric[s, head, name] != rank for (s, head), rank in exact.items())
    assert numeric["trained", "softmax", name] != 225

on = [ed.activation_pattern(net, X).layers[-1].sum() for net, X in digits.values()]
assert on == [196, 132]
kept, dropped = zip(*(report.gap("logits") for report in reports.values()), strict=True)
assert min(kept) > 1e-5 and max(dropped) < 1e-15
kept, dropped = reports["trained"].gap("softmax")
assert kept < 10 * dropped and kept < 1e-16

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, head in zip(axes, ("logits", "softmax"), strict=True):
    for stage, color in (("init", BLUE), ("trained", ORANGE)):
        draw_spectrum(
            ax, reports[stage].spectra[head], color, f"{stage}, exact {exact[stage, head]}"
        )
        ax.axvline(exact[stage, head], color=color, linewidth=1, linestyle=":")
    draw_threshold(ax, "float32", EPS32, dy=-3, va="top")
    draw_threshold(ax, "float64", EPS64, dy=3)
    ax.set_title(head)
    ax.legend(loc="lower left")
_ = axes[0].set_ylabel(r"$\sigma_i / \sigma_1$")

# %% [markdown]
# The spectra of the float64 Jacobians show why (dotted: the exact ranks). On the left both curves
# drop by ten decades exactly at the rank, and any threshold in the gap would do. On the right the
# trained curve sinks through both thresholds long before its rank, and has no gap there. What lies
# below $10^{-16}$ is within the error of the decomposition, so no threshold can tell the 225 from
# the rest.

# %% [markdown]
# ## 2. One unit rescaled
#
# A ReLU commutes with positive factors: multiply what enters a hidden unit by $\lambda > 0$, divide
# what leaves it by $\lambda$, and the function stays the same. On the parameters this is a diagonal
# matrix, $\theta' = S\theta$, and differentiating $f_{S\theta} = f_\theta$ gives
#
# $$J(\theta') = J(\theta)\,S^{-1}$$
#
# exactly. So the rank stays, but singular values do not. Take a (2, 3, 1) network, 60 points and
# $\lambda = 2^k$ on its first unit. The Jacobian is computed exactly and rounded once, entry by
# entry, at the end. Multiplication by a power of two commutes with that rounding, so the rounded
# matrices differ by $S^{-1}$ exactly, too: what goes wrong below is the threshold alone.

# %%
net = ed.ReLUNetwork([[[2, 1], [-1, 2], [3, -2]], [[1, -2, 3]]], [[1, 2, -1], [1]])
X = (2 * np.random.default_rng(0).integers(-24, 24, (60, 2)) + 1) / 16
J = ed.jacobian(net, X)
print(ed.local_dimension(net, X))


def scaling(factor):
    return ed.Symmetry(net.widths, orders=[[0, 1, 2]], factors=[[factor, 1, 1]])


def float32_rank(net, X):
    return int(np.linalg.matrix_rank(ed.jacobian(net, X).to_numpy(np.float32)))


def float64_rank(net, X):
    return int(np.linalg.matrix_rank(ed.jacobian(net, X).to_numpy(np.float64)))


for factor in (7, Fraction(2, 3), 2**20):
    assert ed.same_function(net, scaling(factor)(net))  # on all of R^2
    assert ed.jacobian(scaling(factor)(net), X) == scaling(factor).on_jacobian(J)  # J S^{-1}

S = scaling(2**20).on_parameters([[1] * 13]).to_numpy(np.float32)
rescaled = ed.jacobian(scaling(2**20)(net), X).to_numpy(np.float32)
assert np.array_equal(rescaled, J.to_numpy(np.float32) / S)

ranks = {"exact": [], "float64": [], "float32": []}
for k in range(61):
    scaled = scaling(2**k)(net)
    ranks["exact"].append(int(ed.local_dimension(scaled, X)))
    ranks["float64"].append(float64_rank(scaled, X))
    ranks["float32"].append(float32_rank(scaled, X))
for name, row in {"k": range(61), **ranks}.items():
    print(f"{name:<8}" + "".join(f"{row[k]:>4}" for k in range(0, 51, 10)))
assert set(ranks["exact"]) == {10}
assert ranks["float64"][:51:10] == [10, 10, 10, 8, 8, 1]
assert ranks["float32"][:51:10] == [10, 8, 1, 1, 1, 1]

entering, leaving = [0, 1, 6], [9]  # w, b and v of the first unit
others = [i for i in range(13) if i not in entering]
assert J[:, leaving].rank() == 1 and J[:, others].rank() == 1 + 7 and J.rank() == 1 + 7 + 2
assert round(-np.log2(60 * EPS32)) == 17 and round(-np.log2(60 * EPS64)) == 46
at_30 = np.linalg.svd(ed.jacobian(scaling(2**30)(net), X).to_numpy(np.float64), compute_uv=False)
assert at_30[7] > 1e8 * at_30[8]

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.step(range(61), ranks["exact"], where="mid", **EXACT)
for name, color, eps in (("float64", BLUE, EPS64), ("float32", ORANGE, EPS32)):
    ax.step(range(61), ranks[name], where="mid", color=color, label=f"{name}, numpy's threshold")
    bits = -np.log2(60 * eps)
    ax.vlines([bits / 2, bits], 0, 10, color=color, linewidth=1, linestyle=":")
ax.set(xlabel="$k$: the first unit is rescaled by $2^k$", ylabel="rank", xlim=(0, 60), ylim=(0, 13))
ax.set_yticks([1, 8, 10])
_ = ax.legend(loc="upper center", ncols=3)

# %% [markdown]
# The staircase can be predicted. Of the ten dimensions, $S^{-1}$ multiplies one (the unit's
# outgoing weight) by $2^k$ and two (what enters the unit, less the rescaling itself) by $2^{-k}$;
# seven stay. Relative to the largest singular value the seven decay like $2^{-k}$ and the two like
# $2^{-2k}$, and the threshold is $60\,\varepsilon$: about $2^{-17}$ in float32 and $2^{-46}$ in
# float64. So the rank falls to 8 at half of that exponent and to 1 at the whole (dotted lines), up
# to the constants in the singular values. Looking for a gap does not help: at $k = 30$ the eighth
# and the ninth singular value are more than eight decades apart, and the rank is 10.

#
# One need not find such a factor by hand. `ed.check_invariance` draws symmetries, and shrinks the
# first one that changes the answer, together with the batch.

# %%
for quantity in (float32_rank, float64_rank, "local_dimension"):
    report = ed.check_invariance(quantity, net, X, under="rescalings", seed=0)
    print(report, end="\n\n")
    assert bool(report) == (quantity == "local_dimension")

# %% [markdown]
# That nothing was found for `local_dimension` is no proof. The identity above is.
#
# ## 3. A confident softmax
#
# Let $p_i$ be the probabilities of sample $i$. The Jacobian of the softmax outputs has the blocks
# $(\mathrm{diag}(p_i) - p_i p_i^T)\,J_i$. All $p_{ij}$ are positive, so each matrix
# $\mathrm{diag}(p_i) - p_i p_i^T$ has rank $C - 1$ and kernel spanned by $(1, \dots, 1)$, whatever
# $p_i$ is. Hence the rank is that of $(I_n \otimes D)J$, where $D = [I_{C-1} \mid -1]$ takes
# differences of logits: a rational matrix, in which no exponential occurs. That is what
# `head="softmax"` computes.
#
# In floats this fails once two samples differ enough in confidence. The block of a sample that is
# certain up to $2^{-k}$ has entries of that size, and a threshold relative to the largest singular
# value of all samples drops it.


# %%
def block(k, classes=10):
    """diag(p) - p p^T for probabilities proportional to 2^k, 1, ..., 1; exact."""
    p = [Fraction(w, 2**k + classes - 1) for w in [2**k] + [1] * (classes - 1)]
    return ed.QMatrix([[(i == j) * a - a * b for j, b in enumerate(p)] for i, a in enumerate(p)])


for k in (0, 100, 1000):
    kernel = block(k).kernel()
    assert kernel.shape[0] == 1 and len(set(kernel.tolist()[0])) == 1
zero = ed.QMatrix.zeros(10, 10)
for k in (0, 20, 40, 60):
    rows = [ed.QMatrix.hstack([block(0), zero]), ed.QMatrix.hstack([zero, block(k)])]
    two = ed.QMatrix.vstack(rows)
    found = np.linalg.matrix_rank(two.to_numpy(np.float64))
    print(f"two samples, k = 0 and {k:>2}: exact {two.rank()}, float64 {found}")
    assert two.rank() == 18 and found == (18 if k <= 40 else 9)

# %% [markdown]
# Training makes a classifier confident, at different speeds for different samples. To see this
# effect alone, take the digits network *before* training and multiply its last layer by $2^k$. Its
# decisions are the same, and so are its activation patterns; the columns of $J$ that belong to
# earlier layers are multiplied by $2^k$, so the exact rank is 230 for every $k$. Nothing but
# confidence grows.


# %%
def sharpened(net, k):
    """Multiply the logits by 2^k."""
    weights, biases = list(net.weights), list(net.biases)
    return ed.ReLUNetwork([*weights[:-1], weights[-1] * 2**k], [*biases[:-1], biases[-1] * 2**k])


def doubts(net, X):
    """1 - max p per sample, summed from the small terms."""
    z = net(X).to_numpy(np.float64)
    p = np.sort(np.exp(z - z.max(axis=1, keepdims=True)), axis=1)
    return p[:, :-1].sum(axis=1) / p.sum(axis=1)


start, samples = digits["init"]
before = ed.jacobian(start, samples, head="softmax").to_numpy(np.float64)
after = ed.jacobian(sharpened(start, 12), samples, head="softmax").to_numpy(np.float64)
last = 12 * 10 + 10  # parameters of the last layer
assert np.array_equal(after, np.hstack([before[:, :-last] * 2**12, before[:, -last:]]))

powers = range(0, 13, 2)
sharp = [ed.crosscheck(sharpened(start, k), samples, scales=()) for k in powers]
exact_sharp = [int(report.exact["softmax"]) for report in sharp]
numeric_sharp = [
    {x.recipe.name: x.rank for x in report.numeric if x.head == "softmax"} for report in sharp
]
found64 = [ranks["float64, eps64"] for ranks in numeric_sharp]
found32 = [ranks["float32, eps32"] for ranks in numeric_sharp]
assert set(exact_sharp) == {230}
assert (found64[0], found64[-1]) == (230, 14) and (found32[0], found32[-1]) == (229, 4)

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(powers, exact_sharp, **EXACT)
ax.plot(powers, found64, "s-", color=BLUE, label="float64, its threshold")
ax.plot(powers, found32, "^-", color=ORANGE, label="float32, its threshold")
ax.set(xlabel="$k$: the logits of the untrained network are multiplied by $2^k$", ylim=(0, 260))
ax.set_ylabel("rank, softmax")
_ = ax.legend(loc="lower left")

# %% [markdown]
# The same decisions, the same exact rank of 230; numeric ranks fall to 14 and 4. A curve of numeric
# softmax ranks over training is largely a curve of confidence. In the trained network one of the 30
# samples is certain up to less than $10^{-14}$ and another only up to more than $10^{-4}$.
#
# Even in floats there is a better way: take the singular values of $(I_n \otimes D)J$ instead. It
# has the same rank, and here its spectrum drops at 225. That is better, not safe: rescale one unit
# of this network by $2^{40}$, as in section 2, and this rank, too, falls below 100. The exact one
# is still 225.

# %%
trained, samples = digits["trained"]
assert doubts(trained, samples).min() < 1e-14 and doubts(trained, samples).max() > 1e-4
differences = ed.jacobian(trained, samples, head="softmax").to_numpy(np.float64)
spectrum = np.linalg.svd(differences, compute_uv=False)
assert np.linalg.matrix_rank(differences) == 225
assert spectrum[224] > 1e-4 * spectrum[0] and spectrum[225] < 1e-15 * spectrum[0]

on = ed.activation_pattern(trained, samples).layers[0].sum(axis=0)
scaled = ed.rescale(trained, layer=0, unit=int(on.argmax()), factor=2**40)
moved = ed.jacobian(scaled, samples, head="softmax").to_numpy(np.float64)
assert np.linalg.matrix_rank(moved) < 100
assert int(ed.local_dimension(scaled, samples, head="softmax")) == 225

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
draw_spectrum(ax, spectrum, GREEN, r"differences of logits, $(I_n \otimes D)J$")
draw_spectrum(ax, reports["trained"].spectra["softmax"], ORANGE, "probabilities")
draw_threshold(ax, "float64", EPS64, dy=3)
ax.axvline(225, color="black", linewidth=1, linestyle=":")
note(ax, "exact 225", 225, 1e3, dx=4)
ax.set_ylabel(r"$\sigma_i / \sigma_1$")
_ = ax.legend(loc="lower left")

# %% [markdown]
# ## 4. What a proof looks like
#
# The rank 225 has two halves. *At least* 225: certain rows and columns of the Jacobian form a minor
# that is not zero modulo a prime, hence not zero. *At most* 225: a theorem, with the linear
# relations that it needs. The certificate is a JSON file that restates the network and the samples
# as rational numbers and holds both halves. The checker is one file of plain Python, which imports
# nothing of this package and nothing else but the standard library; here a fresh interpreter runs
# it.

# %%
dimension = ed.local_dimension(trained, samples, head="softmax", seed=0)
certificate = dimension.certificate()
lower, upper = certificate.witness["lower"], certificate.witness["upper"]
print(dimension)
print("claim:   ", dict(certificate.claim))
print(f"at least: a minor of {len(lower['rows'])} rows and columns, modulo {lower['modulus']}")
print(f"at most:  {upper['reason']}, with {len(upper['relations'])} relations")
assert len(lower["rows"]) == len(lower["columns"]) == 225

with TemporaryDirectory() as folder:
    file = certificate.save(Path(folder) / "rank225.json")
    assert ed.verify(file)
    stranger = subprocess.run(
        [sys.executable, "-I", checker.__file__, file.name],
        cwd=folder,
        capture_output=True,
        text=True,
    )
print(stranger.stdout, end="")
assert stranger.returncode == 0

# %% [markdown]
# A false claim is rejected, with the reason, however well its file is formed. Here each forgery
# gets a valid digest: one claims a larger rank, one leaves out a relation, one changes a single
# weight.

# %%
larger = {**certificate.claim, "rank": 226}
fewer = copy.deepcopy(certificate.witness)
fewer["upper"]["relations"].pop()
other = copy.deepcopy(certificate.problem)
other["layers"][-1]["weight"][0][0] = "1"
for forgery in (
    ed.Certificate.seal(larger, certificate.problem, certificate.witness),
    ed.Certificate.seal(certificate.claim, certificate.problem, fewer),
    ed.Certificate.seal(certificate.claim, other, certificate.witness),
):
    verdict = ed.verify(forgery)
    print(verdict)
    assert not verdict

# %% [markdown]
# ## To take away
#
# * A numeric rank is a statement about a threshold. Without a gap in the spectrum at the cut it
#   says nothing about the rank; with a gap it may still be wrong.
# * `ed.check_invariance(your_rank, net, X)` refutes a rank routine in a second if a rescaling moves
#   it.
# * For a softmax head, use differences of logits. Probabilities add nothing to the rank, and take
#   away precision.
# * Or ask for the exact rank: `int(ed.local_dimension(net, X, head="softmax"))`.
