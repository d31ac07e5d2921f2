import copy
import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import types

import numpy as np
import oracles
import pytest
import torch

import exactdim as ed
from exactdim import errors, monitor
from exactdim.monitor import LocalDimensionMonitor, Record, plot_records, read_records

POINTS = [["-2"], ["-1"], ["1"], ["2"]]
ROOF = ([([[1], [-1]], [0, 0]), ([[1, 1]], [0])], [[-1], [0], [2]])  # |x|, kink at 0


def sizes(seed, widths=(2, 4, 3, 1)):
    return ed.ReLUNetwork.random(widths, seed=seed)


def timeless(records):
    return [dataclasses.replace(r, seconds=0.0) for r in records]


def oracle(net, X, **options):
    layers = oracles.layers_of(ed.as_network(net))
    return oracles.rank(oracles.jacobian(layers, ed.QMatrix(X).tolist(), **options))


# -- what is measured -------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["logits", "softmax"])
def test_a_training_run_is_measured_as_its_saved_weights_are_afterwards(head):
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4), torch.nn.ReLU()
    ).append(torch.nn.Linear(4, 2))
    X, Y = torch.randn(9, 2), torch.randn(40, 2)  # rows, then parameters, are the limit
    target = X.sin()
    follow = LocalDimensionMonitor({"train": X, "test": Y}, every=3, head=head, proof="full")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    saved, returned = {}, []
    for step in range(8):
        saved[step] = copy.deepcopy(model.state_dict())
        loss = ((model(X) - target) ** 2).mean()
        new = follow(model, loss=loss)
        assert [r.notes for r in new] == [{"loss": loss.item()}] * len(new)
        returned += new
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert tuple(returned) == follow.records
    assert [(r.step, r.batch) for r in returned] == [
        (step, name) for step in (0, 3, 6) for name in ("train", "test")
    ]
    assert saved[0]["0.weight"].ne(saved[6]["0.weight"]).any()
    for r in returned:
        batch = {"train": X, "test": Y}[r.batch]
        d = ed.local_dimension(saved[r.step], batch, head=head, proof="full")
        assert (r.lower, r.upper, r.status) == (d.lower, d.upper, "proved")
        assert r.value == d.value == oracle(saved[r.step], batch, softmax=head == "softmax")
        shifts = 5 if head == "softmax" else 0  # W_L by columns, and the bias
        rows = len(batch) * (1 if head == "softmax" else 2)
        assert r.n_rows == rows
        assert r.n_parameters == 15 + 24 + 10
        assert r.largest == min(rows, 49 - 9 - shifts)
        assert (r.kept, r.dropped, r.formal, r.error) == (len(batch), 0, False, None)
        assert r.seconds > 0


def test_units_are_counted_as_by_hand():
    """Samples -2, -1, 1, 2; a word says where a unit is on.

    First layer: x 0011, 2x 0011 (aligned), x + 3 1111, -x - 5 dead, -x 1100, x + 5 1111 (aligned),
    -x - 9 dead. Second layer, h the first output: constant -1 dead, constant 1 1111, h - 3/2 0001,
    3 h - 9/2 0001 (aligned). So -2 and -1 share a pattern.
    """
    first = ([[1], [2], [1], [-1], [-1], [1], [-1]], [0, 0, 3, -5, 0, 5, -9])
    rest = [0] * 6
    second = ([[0, *rest], [0, *rest], [1, *rest], [3, *rest]], [-1, 1, "-3/2", "-9/2"])
    net = [first, second, ([[1, 1, 1, 1]], [0])]
    (r,) = LocalDimensionMonitor(POINTS)(net)
    assert r.dead == (2, 1)
    assert r.always_on == (2, 1)
    assert r.aligned == (2, 1)
    assert r.patterns == 3
    assert (r.n_rows, r.n_parameters, r.largest) == (4, 14 + 32 + 5, 4)
    assert r.value == oracle(net, POINTS)


def test_a_network_without_hidden_layer_has_no_units_to_count():
    (r,) = LocalDimensionMonitor([[1, 2], [3, 4], [5, 7]])([([[1, 2]], [0])])
    assert (r.dead, r.always_on, r.aligned, r.patterns, r.value) == ((), (), (), 1, 3)


def test_a_sample_on_a_kink_is_dropped_and_counted():
    net, X = ROOF
    (r,) = LocalDimensionMonitor(X)(net)
    assert (r.kept, r.dropped, r.n_rows, r.formal) == (2, 1, 2, False)
    assert r.value == oracle(net, [[-1], [2]])
    (r,) = LocalDimensionMonitor(X, on_kink="zero")(net)
    assert (r.kept, r.dropped, r.n_rows, r.formal) == (3, 0, 3, True)


def test_training_goes_on_when_every_sample_is_dropped(tmp_path):
    net, _ = ROOF
    follow = LocalDimensionMonitor({"all": [[0]], "some": [[0], [1]]}, path=tmp_path / "r.jsonl")
    lost, kept = follow(net, loss=2)
    assert "all 1 samples lie on kinks" in lost.error
    assert (lost.lower, lost.upper, lost.status, lost.kept) == (None,) * 4
    assert lost.notes == {"loss": 2.0}
    assert (kept.error, kept.value) == (None, 1)
    with pytest.raises(errors.InvalidInput, match="no dimension of 'all': all 1 samples"):
        _ = lost.value
    (better, _) = follow([([[1], [-1]], [1, 1]), ([[1, 1]], [0])])
    assert better.value == 1
    assert read_records(tmp_path / "r.jsonl") == list(follow.records)
    (refused, _) = LocalDimensionMonitor({"a": [[0]], "b": [[1]]}, on_kink="raise")(net)
    assert "exactly zero" in refused.error


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_training_goes_on_when_weights_are_not_finite(bad, tmp_path):
    model = sizes(0).to_torch()
    follow = LocalDimensionMonitor({"a": [[1, 2]], "b": [[3, 4]]}, path=tmp_path / "r.jsonl")
    follow(model)
    good = model[0].weight[1, 0].item()
    with torch.no_grad():
        model[0].weight[1, 0] = bad
    lost = follow(model, loss=bad)
    assert [r.batch for r in lost] == ["a", "b"]
    assert all(str(bad) in r.error and "[1, 0]" in r.error for r in lost)
    with torch.no_grad():
        model[0].weight[1, 0] = good
    again = follow(model)
    assert [r.value for r in again] == [r.value for r in follow.records[:2]]
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    for line in lines:
        json.loads(line, parse_constant=pytest.fail)  # NaN and Infinity are not JSON
    back = read_records(tmp_path / "r.jsonl")
    assert str(back[2].notes["loss"]) == str(bad)
    assert back[4:] == again


def test_what_is_not_proved_does_not_pass_as_proved(tmp_path):
    net = [([[1], [1]], [5, 6]), ([[1, 1]], [0])]  # both units always on: rank 2 of at most 4
    (r,) = LocalDimensionMonitor(POINTS, max_seconds=0, path=tmp_path / "r.jsonl")(net)
    assert r.status in {"probable", "bracketed"}
    assert r.lower == oracle(net, POINTS) == 2 < r.upper == r.largest == 4
    for record in (r, *read_records(tmp_path / "r.jsonl")):
        with pytest.raises(errors.Undecided, match=r"2\.\.4 only") as caught:
            _ = record.value
        assert (caught.value.lower, caught.value.upper) == (2, 4)
    with pytest.raises(errors.InvalidInput, match="'proved', yet"):
        dataclasses.replace(r, status="proved")
    with pytest.raises(errors.InvalidInput, match="'proved', yet"):
        Record(0, "batch", status="proved")


# -- what is refused --------------------------------------------------------------------------


def test_what_never_gets_better_raises_at_the_first_call():
    X = {"train": torch.randn(3, 2)}
    for model in (
        torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)),
        torch.nn.Conv2d(1, 1, 1),
    ):
        with pytest.raises(errors.UnsupportedLayer):
            LocalDimensionMonitor(X, every=100)(model, step=7)  # not even due
    with pytest.raises(errors.ShapeMismatch, match=r"batch 'train'.*3 inputs"):
        LocalDimensionMonitor(X, every=100)(sizes(0, (3, 2, 1)), step=7)
    with pytest.raises(errors.InvalidInput, match="cannot read a network from int"):
        LocalDimensionMonitor(X)(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every=0"),
        ({"every": 2.5}, "every=2.5"),
        ({"head": "tanh"}, "head='tanh'"),
        ({"proof": "some"}, "proof='some'"),
        ({"on_kink": "keep"}, "on_kink='keep'"),
        ({"max_seconds": -1}, "max_seconds=-1"),
    ],
)
def test_wrong_options_are_refused_before_training(options, message):
    with pytest.raises(errors.InvalidInput, match=message):
        LocalDimensionMonitor(POINTS, **options)


def test_wrong_batches_steps_and_notes_are_refused():
    with pytest.raises(errors.InvalidInput, match="batches is empty"):
        LocalDimensionMonitor({})
    with pytest.raises(errors.NotFinite, match="batch 'test'"):
        LocalDimensionMonitor({"test": [[float("nan")]]})
    follow = LocalDimensionMonitor(POINTS)
    for step in (-1, 0.5):
        with pytest.raises(errors.InvalidInput, match="step="):
            follow(ROOF[0], step=step)
    with pytest.raises(errors.InvalidInput, match="note loss="):
        follow(ROOF[0], loss=torch.ones(2))
    assert follow.records == ()


def test_an_interrupt_is_not_swallowed(tmp_path, monkeypatch):
    def interrupted(*args, **options):
        d = ed.local_dimension(*args, **options)
        return dataclasses.replace(
            d, evidence=dataclasses.replace(d.evidence, stopped="interrupted")
        )

    follow = LocalDimensionMonitor(POINTS, path=tmp_path / "r.jsonl")
    with monkeypatch.context() as patched:
        patched.setattr(monitor, "local_dimension", interrupted)
        with pytest.raises(KeyboardInterrupt):
            follow(ROOF[0], step=0)
    assert read_records(tmp_path / "r.jsonl") == []
    assert len(follow(ROOF[0], step=0)) == 1


# -- steps ------------------------------------------------------------------------------------


def test_steps_are_counted_or_given():
    follow = LocalDimensionMonitor(POINTS, every=2)
    net = ROOF[0]
    assert [len(follow(net)) for _ in range(5)] == [1, 0, 1, 0, 1]
    assert follow(net, step=4) == []  # recorded already
    assert [len(follow(net)) for _ in range(2)] == [0, 1]  # 5 and 6
    assert len(follow(net, step=np.int64(10))) == 1
    assert [r.step for r in follow.records] == [0, 2, 4, 6, 10]
    assert all(r.batch == "batch" for r in follow.records)
    assert "5 records" in repr(follow)


# -- the model --------------------------------------------------------------------------------


def test_the_model_and_the_generators_stay_as_they_are():
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(4, 6),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.ReLU()),
        torch.nn.Linear(3, 2),
    ).train()
    model[4].eval()  # a frozen part keeps its own mode
    model[1].weight.requires_grad_(False)
    X = torch.randn(5, 2, 2)
    model(X).sum().backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    versions = [p._version for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    (r,) = LocalDimensionMonitor(X, proof="full")(model)
    assert r.value == ed.local_dimension(model.eval(), X).value
    model.train()
    model[4].eval()
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1][0] == np.random.get_state()[0]  # noqa: NPY002
    assert np.array_equal(state[1][1], np.random.get_state()[1])  # noqa: NPY002
    assert state[2] == random.getstate()
    assert modes == [m.training for m in model.modules()]
    assert versions == [p._version for p in model.parameters()]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert (p.grad is None) if g is None else torch.equal(p.grad, g)
    assert not model[1].weight.requires_grad


def test_modes_come_back_even_when_the_model_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Dropout(), torch.nn.Tanh()).train()
    with pytest.raises(errors.UnsupportedLayer):
        LocalDimensionMonitor(POINTS)(model)
    assert all(m.training for m in model.modules())


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from exactdim.monitor import LocalDimensionMonitor as M; "
        "M([[1]])([([[1]], [1]), ([[1]], [1])]); "
        "print(*({'torch', 'matplotlib', 'lightning', 'pytorch_lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# -- the file ---------------------------------------------------------------------------------

BATCHES = {"a": [[1, 2], [3, -1], ["1/3", 5]], "b": [[2, 2], [-1, 0]]}
RUN = """
import sys, time
import exactdim as ed
from exactdim.monitor import LocalDimensionMonitor
follow = LocalDimensionMonitor({batches!r}, every=2, path=sys.argv[1])
for step in range(1000):
    follow(ed.ReLUNetwork.random((2, 4, 3, 1), seed=step), step=step, half=step / 2)
"""


def play(path, steps):
    follow = LocalDimensionMonitor(BATCHES, every=2, path=path)
    for step in range(steps):
        follow(sizes(step), step=step, half=step / 2)
    return follow.records


def test_a_killed_run_continues_to_the_records_of_an_undisturbed_one(tmp_path):
    path = tmp_path / "run.jsonl"
    program = [sys.executable, "-c", RUN.format(batches=BATCHES), str(path)]
    with subprocess.Popen(program) as child:
        while not path.exists() or path.read_bytes().count(b"\n") < 20:
            assert child.poll() is None
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    survived = read_records(path)
    assert 19 <= len(survived) < 1000
    steps = survived[-1].step + 9
    resumed = play(path, steps)
    assert list(resumed[: len(survived)]) == survived  # not measured again: even their seconds
    assert timeless(resumed) == timeless(play(None, steps))
    assert read_records(path) == list(resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_line_cut_anywhere_is_ignored_and_then_written_again(tmp_path):
    path = tmp_path / "run.jsonl"
    records = play(path, 3)
    whole = path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for end in {last, last + 1, *range(last + 2, len(whole), 11), len(whole) - 1}:
        path.write_bytes(whole[:end])
        assert read_records(path) == list(records[:-1])
        LocalDimensionMonitor(BATCHES, path=path)
        assert path.read_bytes() == whole[:last]
    assert timeless(play(path, 3)) == timeless(records)
    assert timeless(read_records(path)) == timeless(records)


def test_every_record_is_on_the_disk_when_the_call_returns(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size) or fsync(fd))
    path = tmp_path / "run.jsonl"
    play(path, 1)
    sizes_after_lines = np.cumsum([len(x) for x in path.read_bytes().splitlines(keepends=True)])
    assert synced == sizes_after_lines.tolist()  # header, a, b: flushed before each sync


def test_a_continued_run_has_to_say_where_it_goes_on(tmp_path):
    path = tmp_path / "run.jsonl"
    play(path, 5)
    follow = LocalDimensionMonitor(BATCHES, every=2, path=str(path))
    with pytest.raises(errors.InvalidInput, match=r"up to step 4.*step=\.\.\."):
        follow(sizes(0))
    assert follow(sizes(0), step=4) == []
    assert follow(sizes(0)) == []  # 5
    assert [r.step for r in follow(sizes(6))] == [6, 6]


def test_another_run_in_the_file_is_refused_by_what_differs(tmp_path):
    path = tmp_path / "run.jsonl"
    play(path, 1)
    before = path.read_bytes()
    changed = {"a": [[1, 2], [3, -1], ["1/3", 6]], "b": BATCHES["b"]}
    for batches, options, message in [
        (BATCHES, {"head": "softmax"}, "head is logits there and softmax here"),
        (BATCHES, {"on_kink": "zero"}, "on_kink is drop there and zero here"),
        (changed, {}, "batch 'a' is 3 x 2, sha256 .* there and 3 x 2, sha256 .* here"),
        ({"a": BATCHES["a"]}, {}, "batch 'b' is 2 x 2, .* there and absent here"),
        (BATCHES | {"c": [[1, 1]]}, {}, "batch 'c' is absent there and 1 x 2"),
    ]:
        with pytest.raises(errors.InvalidInput, match=message) as caught:
            LocalDimensionMonitor(batches, path=path, **options)
        assert "another file" in str(caught.value)
        assert str(caught.value).count(" there and ") == 1
    assert path.read_bytes() == before
    LocalDimensionMonitor(BATCHES, path=path, every=7, proof="fast", max_seconds=1)


def test_equal_numbers_are_the_same_batch_whatever_holds_them(tmp_path):
    path = tmp_path / "run.jsonl"
    array = np.array([[0.5, -1.25], [3, 0]], dtype=np.float32)
    follow = LocalDimensionMonitor(array, path=path)
    text = "2 2 4 2 -5 12 0"  # 2 x 2, quarters
    assert hashlib.sha256(text.encode()).hexdigest() in path.read_text()
    for same in (array.astype(float), torch.tensor(array), [["1/2", "-5/4"], [3, -0.0]]):
        LocalDimensionMonitor(same, path=path)
    array[0, 0] = np.nextafter(array[0, 0], np.float32(1))
    with pytest.raises(errors.InvalidInput, match="another run"):
        LocalDimensionMonitor(array, path=path)
    (r,) = follow(sizes(0))  # the monitor has a copy
    array[0, 0] = 0.5
    assert r.value == oracle(sizes(0), array)


def test_other_files_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "run.jsonl"
    play(path, 1)
    header, first, second = path.read_bytes().splitlines(keepends=True)
    newer = header.replace(b'"version": 1', b'"version": 2')
    assert newer != header
    for content, message in [
        (b"", "does not begin"),
        (b"weights", "does not begin"),
        (b"[1]\n", "does not begin"),
        (b'{"format": "exactdim-monitor"}\n', "does not begin"),
        (newer + first, "does not begin"),
        (header + b"{}\n" + first, "line 2"),
        (header + first + second[:9] + b"\n" + second, "line 3"),
        (header + first.replace(b'"upper": ', b'"upper": 1'), "line 2.*yet the ends"),
        (header + first.replace(b'"step"', b'"stop"'), "line 2"),
    ]:
        path.write_bytes(content)
        for read in (read_records, lambda p: LocalDimensionMonitor(BATCHES, path=p)):
            with pytest.raises(errors.UnreadableFile, match=message):
                read(path)
        assert path.read_bytes() == content
    with pytest.raises(errors.UnreadableFile, match="cannot read"):
        read_records(tmp_path / "none.jsonl")
    with pytest.raises(errors.UnreadableFile, match="cannot write"):
        LocalDimensionMonitor(BATCHES, path=tmp_path / "no" / "run.jsonl")


# -- the plot ---------------------------------------------------------------------------------


def some_records():
    made = [
        Record(10, "train", 7, 7, "proved", largest=9),
        Record(0, "train", 8, 8, "proved", largest=9),
        Record(20, "train", 5, 9, "bracketed", largest=9),
        Record(30, "train", error="NaN"),
        Record(40, "train", 6, 8, "probable", largest=8),
    ]
    return [*made, Record(0, "test", 4, 4, "proved", largest=5)]


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_the_plot_joins_proved_values_only(plt, tmp_path):
    ax = plot_records(some_records())
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["train"].get_xdata(), [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(lines["train"].get_ydata(), [8, 7, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(lines["test"].get_ydata(), [4])
    assert lines["train"].get_color() != lines["test"].get_color()
    dotted = [line for line in ax.get_lines() if line.get_linestyle() == ":"]
    np.testing.assert_array_equal(dotted[0].get_ydata(), [9, 9, 9, np.nan, 8])
    crosses = [
        line for line in ax.get_lines() if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert [list(line.get_xdata()) for line in crosses] == [[30]]
    spans = [path.vertices for c in ax.collections for path in c.get_paths()]
    assert any(v.tolist() == [[20, 5], [20, 9]] for v in spans)
    assert any(v.tolist() == [[40, 6], [40, 8]] for v in spans)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("training step", "local dimension")
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [
        *("train", "test", "largest possible", "not proved: lower to upper", "no answer")
    ]
    ax.figure.savefig(tmp_path / "plot.pdf")


def test_a_monitor_plots_its_records_on_given_axes(plt):
    follow = LocalDimensionMonitor(POINTS)
    for seed in range(3):
        follow(sizes(seed, (1, 3, 1)))
    _, ax = plt.subplots()
    assert follow.plot(ax) is ax
    line = next(x for x in ax.get_lines() if x.get_label() == "batch")
    assert list(line.get_ydata()) == [oracle(sizes(seed, (1, 3, 1)), POINTS) for seed in range(3)]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["batch", "largest possible"]
    plot_records([])


def test_missing_packages_are_named(monkeypatch):
    for name in ("matplotlib.pyplot", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(errors.MissingDependency, match=r"pip install 'exactdim\[plot\]'"):
        LocalDimensionMonitor(POINTS).plot()
    with pytest.raises(errors.MissingDependency, match=r"pip install 'exactdim\[lightning\]'"):
        LocalDimensionMonitor(POINTS).lightning_callback()


# -- Lightning --------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_only_rank_zero_measures_and_not_in_the_sanity_check(package, monkeypatch):
    class Callback:
        pass

    for name in ("lightning.pytorch", "pytorch_lightning"):
        module = types.SimpleNamespace(Callback=Callback) if name == package else None
        monkeypatch.setitem(sys.modules, name, module)
    follow = LocalDimensionMonitor([[1, 2]])
    callback = follow.lightning_callback("inner.net")
    assert isinstance(callback, Callback)
    module = types.SimpleNamespace(inner=types.SimpleNamespace(net=sizes(0)))
    for step, (sanity, zero) in enumerate([(True, True), (False, False), (False, True)]):
        trainer = types.SimpleNamespace(
            sanity_checking=sanity, is_global_zero=zero, global_step=step
        )
        callback.on_train_start(trainer, module)
        callback.on_train_batch_end(trainer, module, None, None, 0)
    assert [r.step for r in follow.records] == [2]
    with pytest.raises(errors.InvalidInput, match=r"no 'model'.*lightning_callback\('net'\)"):
        follow.lightning_callback().on_train_start(trainer, module)


@pytest.mark.filterwarnings("ignore")
def test_a_real_trainer_is_followed(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    class Fit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = sizes(0).to_torch(torch.float32)

        def training_step(self, batch, _):
            saved.append(copy.deepcopy(self.model.state_dict()))
            return self.model(batch).square().mean()

        def validation_step(self, batch, _):
            self.model(batch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.5)

    saved = []
    torch.manual_seed(0)
    X = torch.randn(6, 2)
    loader = torch.utils.data.DataLoader(X, batch_size=3)
    follow = LocalDimensionMonitor(X, path=tmp_path / "run.jsonl")
    callback = follow.lightning_callback()
    assert isinstance(callback, lightning.Callback)
    module = Fit()
    lightning.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[callback],
    ).fit(module, loader, loader)
    weights = [*saved, module.model.state_dict()]
    assert len(weights) == 3
    assert [r.step for r in read_records(tmp_path / "run.jsonl")] == [0, 1, 2]
    assert [r.value for r in follow.records] == [oracle(w, X) for w in weights]
    assert module.training
