"""The local dimension of a network while it is trained: records, a file of them, a plot.

The file is JSON lines: a header with settings and digests of the batches, then one record a line,
each on the disk before training goes on. A kill costs at most the line being written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import operator
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.dimension.result import Status
from exactdim.errors import InvalidInput, MissingDependency, NotFinite, Undecided, UnreadableFile
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import BoolArray, KinkChoice

__all__ = ["LocalDimensionMonitor", "Record", "plot_records", "read_records"]

FORMAT = {"format": "exactdim-monitor", "version": 1}


@dataclass(frozen=True)
class Record:
    """What was found for one batch at one step; where there is an `error`, nothing was.

    Attributes
    ----------
    step : int
    batch : str
        Its name.
    lower, upper : int or None
        Proved ends.
    status : {"proved", "probable", "bracketed"} or None
        As in `Dimension`.
    n_parameters, n_rows : int or None
        Shape of the Jacobian turned around; dropped samples have no rows.
    largest : int or None
        What no weights could exceed: parameters minus hidden units (and minus common shifts of the
        logits if the head is softmax), or rows of distinct samples, whichever is smaller.
    dead, always_on, aligned : tuple of int
        Units per hidden layer that are off at every kept sample; on at every one; not dead, and on
        exactly where an earlier unit of the layer is. Always-on units are aligned with each other.
    patterns : int or None
        Distinct activation patterns among the kept samples.
    kept, dropped : int or None
        Samples; those dropped lie on kinks.
    formal : bool or None
        Whether this is a claim about autodiff's mask at kinks (``on_kink="zero"``).
    seconds : float
    error : str or None
        Why there is no answer at this step.
    notes : mapping of str to float
        What the caller gave.
    """

    step: int
    batch: str
    lower: int | None = None
    upper: int | None = None
    status: Status | None = None
    n_parameters: int | None = None
    n_rows: int | None = None
    largest: int | None = None
    dead: tuple[int, ...] = ()
    always_on: tuple[int, ...] = ()
    aligned: tuple[int, ...] = ()
    patterns: int | None = None
    kept: int | None = None
    dropped: int | None = None
    formal: bool | None = None
    seconds: float = 0.0
    error: str | None = None
    notes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status == "proved" and (self.lower is None or self.lower != self.upper):
            raise InvalidInput(f"'proved', yet the ends are {self.lower} and {self.upper}")

    @property
    def value(self) -> int:
        """The dimension, if it is proved."""
        if self.lower is None or self.upper is None:
            raise InvalidInput(f"step {self.step} has no dimension of {self.batch!r}: {self.error}")
        if self.status != "proved":
            raise Undecided(
                f"the dimension of {self.batch!r} at step {self.step} is proved to lie in "
                f"{self.lower}..{self.upper} only ({self.status}); use .lower and .upper, or a "
                "monitor with more max_seconds or proof='full'",
                self.lower,
                self.upper,
            )
        return self.lower


class LocalDimensionMonitor:
    """Follows the local dimension of a network through its training; see `__call__`.

    Parameters
    ----------
    batches : mapping of str to ArrayLike, or ArrayLike of shape (n, N_0)
        Batches by name; a single one is called ``"batch"``. Later changes to the arrays are not
        seen.
    every : int
        Measure at the steps that it divides, 0 among them.
    path : path, optional
        A file for the records. If it exists, its run is continued: what it holds is among `records`
        and is not measured again.
    head, proof, on_kink, max_seconds, device
        As in `local_dimension`, for each batch.

    Raises
    ------
    InvalidInput
        If an option is not understood, or the file holds a run with other batches or settings.
    UnreadableFile
        If the file cannot be written, or is not one of these.

    Notes
    -----
    The digest of a batch is the SHA-256 of its shape, least common denominator and numerators row
    by row, decimal with blanks between: the same whatever array holds the same numbers.

    Examples
    --------
    >>> monitor = LocalDimensionMonitor([[0], [1], [2], [3]], every=10)
    >>> for step in range(20):
    ...     new = monitor([([[2]], [-1]), ([[3 - step]], [5])], loss=1 / (step + 1))
    >>> [(r.step, r.value, r.largest, r.always_on) for r in monitor.records]
    [(0, 3, 3, (0,)), (10, 3, 3, (0,))]
    """

    def __init__(
        self,
        batches: Mapping[str, ArrayLike] | ArrayLike,
        *,
        every: int = 1,
        path: str | os.PathLike[str] | None = None,
        head: Head = "logits",
        proof: ProofEffort = "auto",
        on_kink: KinkChoice = "drop",
        max_seconds: float | None = None,
        device: str | None = None,
    ) -> None:
        named = batches if isinstance(batches, Mapping) else {"batch": batches}
        if not named:
            raise InvalidInput("batches is empty; give at least one batch to follow")
        self._every = _integer("every", every, 1)
        self._options: dict[str, Any] = {"head": head, "proof": proof, "on_kink": on_kink}
        self._options |= {"max_seconds": max_seconds, "device": device}
        # A wrong option shows now, in the words of the function that it is for.
        local_dimension(ReLUNetwork([[[1], [1]]]), [[1]], **self._options)
        self._batches = {str(name): _exact(str(name), X) for name, X in named.items()}
        digests = {name: _digest(X) for name, X in self._batches.items()}
        self._path = None if path is None else Path(path)
        self._records: list[Record] = []
        if self._path is not None:
            header = FORMAT | {"head": head, "on_kink": on_kink, "batches": digests}
            self._records = _open(self._path, header)
        self._seen = {(r.batch, r.step) for r in self._records}
        # Training that goes on may start from a checkpoint: a count from 0 would be a guess.
        self._next = None if self._records else 0
        self._called = False

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, those of a continued file first."""
        return tuple(self._records)

    def __call__(
        self, model: NetworkLike, /, *, step: int | None = None, **notes: float
    ) -> list[Record]:
        """Measure the batches if it is time to.

        Parameters
        ----------
        model : torch module, ReLUNetwork or anything else `as_network` reads
            Read, not changed. Dropout counts as in evaluation.
        step : int, optional
            By default one more than at the last call, from 0. A monitor that continues a file must
            be told at its first call.
        **notes : float
            Whatever should stand in the records of this step, such as the loss.

        Returns
        -------
        list of Record
            The new ones: empty if nothing was due, or what was is recorded already.

        Raises
        ------
        InvalidInput
            If the model is no plain ReLU network or does not fit a batch (also at a first call that
            is not due), or a step or note is not understood. What may pass with other weights (NaN,
            all samples on kinks) does not stop training: it is the record's `error`.
        TooLarge
            If the Jacobian would not fit.
        KeyboardInterrupt
            On Ctrl-C; what was cut short is not recorded.
        """
        step = self._count(step)
        due = [name for name in self._batches if (name, step) not in self._seen]
        if step % self._every:
            due = []
        if self._called and not due:
            return []
        net = self._read(model)
        self._called = True
        numbers = {key: _number(key, x) for key, x in notes.items()}
        for name in due:
            record = self._measure(net, name, step, numbers)
            if self._path is not None:
                with self._path.open("ab") as file:
                    _write(file, _line(record))
            self._records.append(record)
            self._seen.add((name, step))
        return self._records[len(self._records) - len(due) :]

    def plot(self, ax: Any = None) -> Any:
        """Draw the records, see `plot_records`."""
        return plot_records(self._records, ax)

    def lightning_callback(self, attribute: str = "model") -> Any:
        """Make a Lightning callback that calls this monitor as training starts and at every batch.

        Parameters
        ----------
        attribute : str
            Where the LightningModule keeps the network; ``"encoder.body"`` looks deeper.

        Returns
        -------
        lightning.pytorch.Callback
            Steps are ``trainer.global_step``. Only the process of rank 0 measures.

        Raises
        ------
        MissingDependency
            If neither ``lightning`` nor ``pytorch_lightning`` is installed.
        """
        lightning = _optional("lightning", "lightning.pytorch", "pytorch_lightning")

        def follow(_: Any, trainer: Any, module: Any, *batch: Any) -> None:
            if trainer.sanity_checking or not trainer.is_global_zero:
                return
            try:
                network = operator.attrgetter(attribute)(module)
            except AttributeError:
                raise InvalidInput(
                    f"{type(module).__name__} has no {attribute!r}; say which attribute holds the "
                    "network, as in lightning_callback('net')"
                ) from None
            self(network, step=trainer.global_step)

        hooks = {"on_train_start": follow, "on_train_batch_end": follow}
        return type("LocalDimensionCallback", (lightning.Callback,), hooks)()

    def __repr__(self) -> str:
        return f"<LocalDimensionMonitor of {[*self._batches]}: {len(self._records)} records>"

    def _count(self, step: int | None) -> int:
        if step is None and self._next is None:
            last = max(r.step for r in self._records)
            raise InvalidInput(
                f"{self._path} holds records up to step {last}; say where training goes on, "
                "monitor(model, step=...), or start another file"
            )
        step = _integer("step", self._next if step is None else step, 0)
        self._next = step + 1
        return step

    def _read(self, model: NetworkLike) -> ReLUNetwork | NotFinite:
        """Read the network; of all that can go wrong only numbers that are not finite may pass."""
        try:
            with _evaluation_mode(model):
                net = as_network(model)
        except NotFinite as error:
            return error
        for name, X in self._batches.items():
            try:
                as_batch(X, net.widths[0])
            except InvalidInput as error:
                raise type(error)(f"batch {name!r}: {error}") from None
        return net

    def _measure(
        self, net: ReLUNetwork | NotFinite, name: str, step: int, notes: dict[str, float]
    ) -> Record:
        start = time.perf_counter()
        try:
            if isinstance(net, NotFinite):
                raise net
            d = local_dimension(net, self._batches[name], **self._options)
        except InvalidInput as error:  # options and shapes are checked: it lies in the weights
            seconds = time.perf_counter() - start
            return Record(step, name, seconds=seconds, error=str(error), notes=notes)
        if d.evidence.stopped == "interrupted":
            raise KeyboardInterrupt
        pattern = d.evidence.pattern
        return Record(
            step,
            name,
            lower=d.lower,
            upper=d.upper,
            status=d.status,
            n_parameters=d.n_parameters,
            n_rows=d.n_rows,
            largest=min(b.value for b in d.bounds if b.name in {"parameters", "rows"}),
            dead=tuple(int((~layer.any(axis=0)).sum()) for layer in pattern.layers),
            always_on=tuple(int(layer.all(axis=0).sum()) for layer in pattern.layers),
            aligned=tuple(_aligned(layer) for layer in pattern.layers),
            patterns=pattern.distinct,
            kept=len(pattern.kept),
            dropped=len(pattern.dropped),
            formal=d.formal,
            seconds=time.perf_counter() - start,
            notes=notes,
        )


def plot_records(records: Iterable[Record], ax: Any = None) -> Any:
    """Draw the local dimension over the steps, one colour a batch.

    Parameters
    ----------
    records : iterable of Record
    ax : matplotlib Axes, optional
        New ones of paper size by default.

    Returns
    -------
    matplotlib Axes
        The line joins proved values only; elsewhere a band spans the lower and the upper end.
        Dotted is `Record.largest`; a cross at the bottom marks an error.

    Raises
    ------
    MissingDependency
        If matplotlib is not installed.
    """
    plt = _optional("plot", "matplotlib.pyplot")
    if ax is None:
        ax = plt.subplots(figsize=(5, 3), layout="constrained")[1]
        ax.locator_params(integer=True)
    curves: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.step):
        curves.setdefault(record.batch, []).append(record)
    for number, (name, curve) in enumerate(curves.items()):
        color = {"color": f"C{number}"}
        steps = [r.step for r in curve]
        lower, upper, largest = (
            np.array([getattr(r, end) for r in curve], dtype=float)  # None becomes NaN: a gap
            for end in ("lower", "upper", "largest")
        )
        proved = np.where([r.status == "proved" for r in curve], lower, np.nan)
        ax.plot(steps, proved, "o-", markersize=3, linewidth=1.2, label=name, **color)
        ax.plot(steps, largest, ":", linewidth=1, **color)
        ax.fill_between(steps, lower, upper, alpha=0.2, linewidth=0, **color)
        ax.vlines(steps, lower, upper, linewidth=1, **color)
        failed = [r.step for r in curve if r.error is not None]
        bottom = ax.get_xaxis_transform()
        ax.plot(failed, [0.04] * len(failed), "x", markersize=5, transform=bottom, **color)
    every = [record for curve in curves.values() for record in curve]
    ax.plot([], [], ":", linewidth=1, color="grey", label="largest possible")
    if any(r.error is None and r.status != "proved" for r in every):
        ax.fill_between([], [], [], alpha=0.4, color="grey", label="not proved: lower to upper")
    if any(r.error is not None for r in every):
        ax.plot([], [], "x", markersize=5, color="grey", label="no answer")
    ax.set_xlabel("training step")
    ax.set_ylabel("local dimension")
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}  # where no curve is
    ax.legend(frameon=False, fontsize="small", borderaxespad=0.2, **above)
    return ax


def read_records(path: str | os.PathLike[str]) -> list[Record]:
    """Read the records of a monitor's file; a last line that a kill cut short does not count.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of Record

    Raises
    ------
    UnreadableFile
        If the file is missing, not one of these, or broken before its last line.
    """
    return _load(Path(path))[1]


# -- the file ---------------------------------------------------------------------------------


def _open(path: Path, header: dict[str, Any]) -> list[Record]:
    """Start a file, or check that it holds this run and cut off what a kill left half done."""
    try:
        if not path.exists():
            temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            with temporary.open("wb") as file:
                _write(file, json.dumps(header).encode() + b"\n")
            temporary.replace(path)
        found, records, size = _load(path)
        there, here = _settings(found), _settings(header)
        differences = [
            f"{key} is {there.get(key, 'absent')} there and {here.get(key, 'absent')} here"
            for key in there | here
            if there.get(key) != here.get(key)
        ]
        if differences:
            raise InvalidInput(
                f"{path} holds another run: {'; '.join(differences)}. Continue it with the same "
                "batches and settings, or start another file"
            )
        if path.stat().st_size > size:
            os.truncate(path, size)
    except OSError as error:
        raise UnreadableFile(f"cannot write {path}: {error.strerror or error}") from None
    return records


def _load(path: Path) -> tuple[dict[str, Any], list[Record], int]:
    """Return header, records, and how many bytes are whole lines."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror or error}") from None
    *lines, rest = data.split(b"\n")
    records: list[Record] = []
    try:
        header = json.loads(lines[0])
        if _settings(header) != _settings(header | FORMAT):
            raise ValueError("another format or version")
    except (ValueError, TypeError, LookupError, AttributeError):
        raise UnreadableFile(
            f"{path} does not begin as the file of a monitor does ({FORMAT}); give another path"
        ) from None
    for line in lines[1:]:
        try:
            records.append(_record(line))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise UnreadableFile(
                f"line {len(records) + 2} of {path} is no record ({error}); remove it to go on"
            ) from None
    return header, records, len(data) - len(rest)


def _settings(header: dict[str, Any]) -> dict[str, str]:
    """Return all that must agree, by the names that a message can use."""
    batches = {f"batch {name!r}": str(digest) for name, digest in header["batches"].items()}
    return {key: str(header[key]) for key in (*FORMAT, "head", "on_kink")} | batches


def _digest(X: QMatrix) -> str:
    text = " ".join(map(str, (*X.shape, X.denominator, *X.numerators())))
    return f"{X.shape[0]} x {X.shape[1]}, sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def _write(file: Any, line: bytes) -> None:
    file.write(line)
    file.flush()
    os.fsync(file.fileno())


def _line(record: Record) -> bytes:
    # JSON has no NaN, and a loss of NaN is just what one will look for in the file.
    notes = {key: x if math.isfinite(x) else str(x) for key, x in record.notes.items()}
    return json.dumps(asdict(record) | {"notes": notes}, allow_nan=False).encode() + b"\n"


def _record(line: bytes) -> Record:
    data: dict[str, Any] = json.loads(line)
    lists = {key: tuple(x) for key, x in data.items() if isinstance(x, list)}
    notes = {key: float(x) for key, x in data["notes"].items()}
    return Record(**data | lists | {"notes": notes})


# -- small pieces -----------------------------------------------------------------------------


def _aligned(layer: BoolArray) -> int:
    alive = [unit.tobytes() for unit in layer.T if unit.any()]
    return len(alive) - len(set(alive))


def _exact(name: str, X: ArrayLike) -> QMatrix:
    flat = X.reshape(X.shape[0], -1) if getattr(X, "ndim", 0) > 2 else X
    return QMatrix(flat, name=f"batch {name!r}")


def _integer(name: str, value: Any, least: int) -> int:
    with contextlib.suppress(TypeError):
        if operator.index(value) >= least:
            return operator.index(value)
    raise InvalidInput(f"{name}={value!r} is no integer from {least} on")


def _number(name: str, value: Any) -> float:
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInput(f"note {name}={value!r:.40} is not one number") from None


@contextlib.contextmanager
def _evaluation_mode(model: Any) -> Iterator[None]:
    """Turn Dropout off while a torch module is read; each submodule gets its own mode back."""
    modules = list(model.modules()) if hasattr(model, "named_parameters") else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _optional(extra: str, *names: str) -> Any:
    for name in names:
        with contextlib.suppress(ImportError):
            return import_module(name)
    package = names[0].split(".", maxsplit=1)[0]
    raise MissingDependency(f"this needs {package}: pip install 'exactdim[{extra}]'")
