"""Networks and batches from torch modules, files, lists and dictionaries.

Files are data: nothing is unpickled, sizes are limited, and everything that cannot be read exactly
is refused with its name and the list of what can be.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, MissingDependency, UnreadableFile, UnsupportedLayer
from exactdim.nets.network import ReLUNetwork

__all__ = ["NetworkLike", "as_network", "read_batch", "read_network", "write_network"]

NetworkLike: TypeAlias = Any
"""A `ReLUNetwork`, a torch module, a path, a dict of arrays, or a list of (weight, bias)."""

MAX_FILE_BYTES = 2**30

SUPPORTED_MODULES = "Linear, ReLU, Flatten, Identity, Dropout (in eval mode), nested Sequential"
NETWORK_FILES = ".npz, .json, .pt/.pth (state dict), .safetensors"
BATCH_FILES = ".npy, .npz (array 'X'), .csv, .json"


def as_network(source: NetworkLike) -> ReLUNetwork:
    """Read a ReLU network from whatever holds one.

    Parameters
    ----------
    source : ReLUNetwork, torch.nn.Sequential or Linear, str or Path, mapping, or sequence
        A path ends in .npz, .json, .pt, .pth or .safetensors. A mapping is a state dict
        (``"0.weight"``, ``"0.bias"``, ...), or has ``W1, b1, W2, ...``, or has ``"layers"`` with
        ``{"weight": ..., "bias": ... or None}``. A sequence holds ``(weight, bias)`` pairs. Arrays
        do not say what is between them: a ReLU after every layer but the last is assumed. All
        weights of a torch module count as parameters, frozen or not.

    Returns
    -------
    ReLUNetwork

    Raises
    ------
    UnsupportedLayer
        If a torch module is no plain ReLU network.
    UnreadableFile
        If a file cannot be read or would need unpickling.
    InvalidInput
        If the source is none of these.

    Examples
    --------
    >>> as_network([([[1, 2]], [0]), ([[3]], None)])
    <ReLUNetwork 2-1-1: 4 parameters, no bias in layers [1]>
    """
    if isinstance(source, ReLUNetwork):
        return source
    if isinstance(source, str | os.PathLike):
        return read_network(source)
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if hasattr(source, "named_parameters"):
        return _from_torch(source)
    if isinstance(source, list | tuple) and source:
        pairs = [_pair(item, i) for i, item in enumerate(source)]
        return ReLUNetwork([w for w, _ in pairs], [b for _, b in pairs])
    raise InvalidInput(
        f"cannot read a network from {type(source).__name__}; give a ReLUNetwork, a torch "
        "Sequential, a path, a dict of arrays or a list of (weight, bias) pairs"
    )


def _pair(item: Any, position: int) -> tuple[ArrayLike, ArrayLike | None]:
    if isinstance(item, list | tuple) and len(item) == 2:
        return item[0], item[1]
    raise InvalidInput(f"layer {position} is not a pair (weight, bias); write None for no bias")


# -- torch -----------------------------------------------------------------------------------


def _from_torch(module: Any) -> ReLUNetwork:
    try:
        from torch import nn, strided
        from torch.nn.modules import module as torch_module
    except ImportError:
        raise MissingDependency("reading this needs torch: pip install 'exactdim[torch]'") from None

    def refuse(name: str, reason: str) -> UnsupportedLayer:
        return UnsupportedLayer(f"{name}: {reason}. Supported: {SUPPORTED_MODULES}")

    def flatten(layer: Any, name: str) -> list[tuple[str, Any]]:
        if any(getattr(layer, hooks, None) for hooks in ("_forward_hooks", "_forward_pre_hooks")):
            raise refuse(name, "has forward hooks, which can change the function")
        if "forward" in vars(layer):
            raise refuse(name, "has a forward of its own")
        if type(layer) is nn.Sequential:
            # Not named_children(), which leaves out a module that occurs twice.
            children = layer._modules.items()
            return [x for k, child in children for x in flatten(child, f"{name}.{k}")]
        return [(name, layer)]

    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise refuse("torch", "global forward hooks are registered, which can change any function")
    linears: list[Any] = []
    tensors: set[int] = set()
    activated = True  # the next Linear may follow
    for name, layer in flatten(module, "module"):
        kind = type(layer)
        if kind is nn.Identity:
            continue
        if kind is nn.Dropout:
            if layer.training and layer.p > 0:
                raise refuse(name, "Dropout in training mode is random; call .eval() first")
            continue
        if kind is nn.Flatten:
            if linears or (layer.start_dim, layer.end_dim) != (1, -1):
                raise refuse(name, "Flatten is supported before the first Linear only")
            continue
        if kind is nn.ReLU:
            if activated:
                raise refuse(name, "a ReLU must follow a Linear")
            activated = True
            continue
        if kind is not nn.Linear:
            hint = ""
            if "Softmax" in kind.__name__:
                hint = "; remove it and ask for head='softmax'"
            raise refuse(name, f"{kind.__name__} is not supported{hint}")
        if not activated:
            raise refuse(name, "two Linear layers with no ReLU between them")
        own = {k: t for k, t in layer._parameters.items() if t is not None}
        used = {k: getattr(layer, k) for k in ("weight", "bias") if getattr(layer, k) is not None}
        if own.keys() != used.keys() or any(used[k] is not own[k] for k in own):
            raise refuse(name, "has weights that are not its parameters")
        if any(t.is_meta or t.layout != strided for t in own.values()):
            raise refuse(name, "has weights without dense data")
        if tensors & {_address(t) for t in layer.parameters()}:
            raise refuse(name, "shares its weights with an earlier layer")
        tensors |= {_address(t) for t in layer.parameters()}
        linears.append(layer)
        activated = False
    if not linears:
        raise UnsupportedLayer(f"the module has no Linear layer. Supported: {SUPPORTED_MODULES}")
    if activated:
        raise UnsupportedLayer(
            "the module ends in a ReLU; the output layer must be a plain Linear. "
            f"Supported: {SUPPORTED_MODULES}"
        )
    return ReLUNetwork([x.weight for x in linears], [x.bias for x in linears])


def _address(parameter: Any) -> int:
    return int(parameter.data_ptr())


# -- dictionaries ----------------------------------------------------------------------------


def _from_mapping(source: Mapping[str, Any]) -> ReLUNetwork:
    if "layers" in source:
        layers = source["layers"]
        if not isinstance(layers, Sequence) or isinstance(layers, str):
            raise InvalidInput("'layers' must be a list of {'weight': ..., 'bias': ... or null}")
        weights, biases = [], []
        for i, layer in enumerate(layers):
            if not isinstance(layer, Mapping) or "weight" not in layer:
                raise InvalidInput(f"layer {i} has no 'weight'")
            unknown = sorted(set(layer) - {"weight", "bias"})
            if unknown:
                raise InvalidInput(f"layer {i} has unknown keys {unknown}; use weight and bias")
            weights.append(layer["weight"])
            biases.append(layer.get("bias"))
        return ReLUNetwork(weights, biases)
    found: dict[tuple[str | int, ...], dict[str, Any]] = {}
    numbered: set[int] = set()
    for key, value in source.items():
        match = re.fullmatch(r"(?:(.*)\.(weight|bias))|(?:([Wb])(\d+))", str(key))
        if match is None or not (match[1] or match[4]):
            raise InvalidInput(
                f"key {key!r} is not understood; name arrays W1, b1, W2, ... or "
                "0.weight, 0.bias, 2.weight, ... as a torch state dict does"
            )
        layer = _tokens(match[1] or match[4])
        if match[4]:
            numbered.add(int(match[4]))
        kind = match[2] or {"W": "weight", "b": "bias"}[match[3]]
        if kind in found.setdefault(layer, {}):
            raise InvalidInput(f"layer {''.join(map(str, layer))} has two arrays called {kind}")
        found[layer][kind] = value
    if numbered and max(numbered) - min(numbered) + 1 != len(numbered):
        raise InvalidInput(
            f"layers {sorted(numbered)} are not consecutive; number them W1, W2, W3, ..."
        )
    for layer, arrays in found.items():
        if "weight" not in arrays:
            raise InvalidInput(f"layer {''.join(map(str, layer))} has a bias but no weight")
    ordered = [found[layer] for layer in sorted(found, key=cmp_to_key(_in_order))]
    return ReLUNetwork([x["weight"] for x in ordered], [x.get("bias") for x in ordered])


def _tokens(name: str) -> tuple[str | int, ...]:
    """Split a module's name into words and numbers, so that 10 comes after 2."""
    return tuple(int(t) if t.isdecimal() else t for t in re.findall(r"\d+|\D+", name))


def _in_order(a: tuple[str | int, ...], b: tuple[str | int, ...]) -> int:
    """Compare module names by the first number in which they differ."""
    for x, y in zip(a, b, strict=False):
        if x == y:
            continue
        if isinstance(x, int) and isinstance(y, int):
            return x - y
        break
    if a == b:
        return 0
    names = ["".join(map(str, t)) for t in (a, b)]
    raise InvalidInput(
        f"the order of layers {names[0]!r} and {names[1]!r} is not clear from their names; "
        "number the layers, or give a list of (weight, bias) pairs"
    )


# -- files -----------------------------------------------------------------------------------


def read_network(path: str | os.PathLike[str]) -> ReLUNetwork:
    """Read a network from a file, exactly.

    Parameters
    ----------
    path : path
        .npz (``W1, b1, ...`` or a state dict's names), .json (``{"layers": [{"weight": rows,
        "bias": list or null}, ...]}`` or a list of pairs; numbers or strings such as "2/3"), .pt or
        .pth (a state dict, loaded without unpickling), .safetensors.

    Returns
    -------
    ReLUNetwork

    Raises
    ------
    UnreadableFile
        If the file is missing, too large, truncated, of another kind, or needs unpickling.
    MissingDependency
        If torch or safetensors is needed and not installed.
    InvalidInput
        If the arrays in it make no network.
    """
    file = _readable(path)
    suffix = file.suffix.lower()
    if suffix == ".npz":
        return _named(file, _read_npz(file))
    if suffix == ".json":
        return _named(file, _read_json(file))
    if suffix in {".pt", ".pth"}:
        return _named(file, _read_torch(file))
    if suffix == ".safetensors":
        try:
            from safetensors.numpy import load_file
        except ImportError:
            raise MissingDependency(
                "reading .safetensors needs safetensors: pip install 'exactdim[formats]'"
            ) from None
        try:
            return _named(file, load_file(file))
        except InvalidInput:
            raise
        except Exception as error:
            raise UnreadableFile(f"{file} is not a readable safetensors file: {error}") from None
    raise UnreadableFile(
        f"{file}: no network is read from {suffix or 'no suffix'}; {NETWORK_FILES}"
    )


def read_batch(path: str | os.PathLike[str]) -> QMatrix:
    """Read a batch of samples from a file, exactly.

    Parameters
    ----------
    path : path
        .npy, .npz (the array ``X``, or the only one), .csv (numbers, one sample per line, no
        header; "0.1" is read as 1/10), .json (a list of rows; decimals are read exactly).

    Returns
    -------
    QMatrix of shape (n, N_0)

    Raises
    ------
    UnreadableFile
        If the file is missing, too large, truncated or of another kind.
    """
    file = _readable(path)
    suffix, hint = file.suffix.lower(), ""
    if suffix == ".npy":
        data: Any = _load_numpy(file)
    elif suffix == ".npz":
        arrays = _read_npz(file)
        if "X" not in arrays and len(arrays) != 1:
            raise UnreadableFile(f"{file} holds arrays {sorted(arrays)}; name the batch 'X'")
        data = arrays.get("X", next(iter(arrays.values())))
    elif suffix == ".csv":
        lines = _text(file).strip().splitlines()
        data = [[cell.strip() for cell in line.split(",")] for line in lines if line.strip()]
        hint = "; a .csv file holds numbers separated by commas, one sample a line, no header"
    elif suffix == ".json":
        data = _read_json(file)
        if isinstance(data, dict):
            data = data.get("X", data.get("inputs"))
    else:
        raise UnreadableFile(
            f"{file}: no batch is read from {suffix or 'no suffix'}; {BATCH_FILES}"
        )
    if getattr(data, "ndim", 0) > 2:
        data = data.reshape(data.shape[0], -1)
    try:
        return QMatrix(data, name="X")
    except InvalidInput as error:
        raise type(error)(f"{file}: {error}{hint}") from None


def write_network(net: ReLUNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network exactly, as .json (any rational weights) or .npz (float64 weights).

    Parameters
    ----------
    net : ReLUNetwork
    path : path
        Ends in .json or .npz.

    Raises
    ------
    InvalidInput
        If the suffix is another one, or a weight is no float64 and the file is .npz.
    """
    file = Path(path)
    if file.suffix == ".json":
        layers = [
            {
                "weight": [[str(x) for x in row] for row in W.tolist()],
                "bias": None if b is None else [str(x) for x in b.tolist()[0]],
            }
            for W, b in zip(net.weights, net.biases, strict=True)
        ]
        file.write_text(json.dumps({"layers": layers}), encoding="utf-8")
        return
    if file.suffix != ".npz":
        raise InvalidInput(f"networks are written as .json or .npz, not {file.suffix!r}")
    arrays: dict[str, Any] = {}
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        for name, exact in ((f"W{i}", W), (f"b{i}", b)):
            if exact is None:
                continue
            rounded = exact.to_numpy(np.float64)
            if not np.isfinite(rounded).all() or QMatrix(rounded) != exact:
                raise InvalidInput(f"{name} is not representable in float64; write .json instead")
            arrays[name] = rounded if name.startswith("W") else rounded[0]
    np.savez(file, **arrays)


def _named(file: Path, mapping: Any) -> ReLUNetwork:
    try:
        if not isinstance(mapping, Mapping | list):
            raise InvalidInput(f"it holds a {type(mapping).__name__}, not named arrays")
        return as_network(mapping)
    except InvalidInput as error:
        raise type(error)(f"{file}: {error}") from None


def _readable(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    try:
        size = file.stat().st_size
    except OSError as error:
        raise UnreadableFile(f"cannot read {file}: {error.strerror or error}") from None
    if not file.is_file():
        raise UnreadableFile(f"{file} is not a file")
    if size > MAX_FILE_BYTES:
        raise UnreadableFile(f"{file} has {size} bytes; the limit is {MAX_FILE_BYTES}")
    if size == 0:
        raise UnreadableFile(f"{file} is empty")
    return file


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"cannot read {file} as text: {error}") from None


def _read_json(file: Path) -> Any:
    try:
        # Decimals stay strings, so that 0.1 in a file is 1/10 and not the nearest float.
        return json.loads(_text(file), parse_float=str, object_pairs_hook=_no_duplicates)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise UnreadableFile(f"{file} is not JSON, or is truncated: {error}") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError("an object has a key twice")
    return out


def _load_numpy(file: Path) -> Any:
    try:
        # From memory: on bad input numpy leaves a file that it opened to the garbage collector.
        return np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise UnreadableFile(f"{file} is not a readable numpy file of numbers") from None


def _read_npz(file: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            total = sum(item.file_size for item in archive.infolist())
            if total > MAX_FILE_BYTES:
                raise UnreadableFile(
                    f"{file} unpacks to {total} bytes; the limit is {MAX_FILE_BYTES}"
                )
            out = {}
            for item in archive.infolist():
                data = io.BytesIO(archive.read(item))
                out[item.filename.removesuffix(".npy")] = np.load(data, allow_pickle=False)
            return out
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(f"{file} is not a readable .npz file of plain arrays") from None


def _read_torch(file: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise MissingDependency(
            "reading .pt files needs torch: pip install 'exactdim[torch]'"
        ) from None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error)
        if "weights_only" in text.lower() or "Unsupported" in text:
            raise UnreadableFile(
                f"{file} needs unpickling, which can run code, so it is not loaded; save "
                "model.state_dict() instead of the model"
            ) from None
        raise UnreadableFile(f"{file} is not a readable torch file: {text:.200}") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    return state
