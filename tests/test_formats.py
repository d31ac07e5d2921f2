import itertools
import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import exactdim as ed
from exactdim import errors
from exactdim.nets.formats import read_batch, read_network, write_network


@pytest.fixture
def net():
    return ed.ReLUNetwork.random((3, 4, 2), seed=1)


def linear(a, b, **kwargs):
    return nn.Linear(a, b, **kwargs)


def test_sequential_with_harmless_layers():
    model = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(linear(4, 3), nn.ReLU(), nn.Identity()),
        nn.Dropout(0.5),
        linear(3, 2, bias=False),
    ).eval()
    net = ed.as_network(model)
    assert net.widths == (4, 3, 2)
    assert net.has_bias == (True, False)
    X = torch.randn(5, 2, 2, generator=torch.Generator().manual_seed(0))
    assert np.allclose(net(X).to_numpy(float), model(X).detach().numpy(), atol=1e-5)


shared, relu = linear(2, 2), nn.ReLU()


def hooked():
    model = nn.Sequential(linear(2, 2))
    model[0].register_forward_hook(lambda module, inputs, output: output * 2)
    return model


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def patched():
    model = nn.Sequential(linear(2, 2))
    model[0].forward = lambda x: x
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(linear(2, 2), nn.Tanh(), linear(2, 1)), "Tanh.*Supported: Linear"),
        (nn.Sequential(linear(2, 2), nn.Softmax(dim=1)), "head='softmax'"),
        (nn.Sequential(nn.Conv2d(1, 1, 1)), "Conv2d"),
        (nn.Sequential(linear(2, 2), linear(2, 1)), "no ReLU between"),
        (nn.Sequential(linear(2, 2), nn.ReLU()), "ends in a ReLU"),
        (nn.Sequential(nn.ReLU(), linear(2, 2)), "must follow a Linear"),
        (nn.Sequential(linear(2, 2), nn.ReLU(), nn.ReLU(), linear(2, 2)), "must follow a Linear"),
        (nn.Sequential(linear(2, 2), nn.ReLU(), nn.Flatten(), linear(2, 2)), "Flatten"),
        (nn.Sequential(linear(2, 2), nn.ReLU(), nn.Dropout(0.5), linear(2, 2)), "eval"),
        (nn.Sequential(shared, nn.ReLU(), shared), "shares its weights"),
        (nn.Sequential(shared, relu, shared, relu, linear(2, 1)), "shares its weights"),
        (nn.Sequential(), "no Linear"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(linear(2, 2))), "arametrized"),
        (hooked(), "hooks"),
        (Doubled(2, 2), "Doubled"),
        (patched(), "forward"),
    ],
)
def test_modules_that_are_no_plain_relu_network(model, words):
    with pytest.raises(errors.UnsupportedLayer, match=words):
        ed.as_network(model)


def test_hook_on_the_container_is_seen():
    model = nn.Sequential(linear(2, 2))
    model.register_forward_pre_hook(lambda module, inputs: None)
    with pytest.raises(errors.UnsupportedLayer, match="hooks"):
        ed.as_network(model)


def test_tied_tensors_are_seen():
    model = nn.Sequential(linear(2, 2), nn.ReLU(), linear(2, 2))
    model[2].weight = model[0].weight
    with pytest.raises(errors.UnsupportedLayer, match="shares"):
        ed.as_network(model)
    model = nn.Sequential(linear(2, 2), nn.ReLU(), linear(2, 2))
    model[2].bias = model[0].bias
    with pytest.raises(errors.UnsupportedLayer, match="shares"):
        ed.as_network(model)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_networks_survive_a_file(net, tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    write_network(net, path)
    assert read_network(path) == net
    assert ed.as_network(str(path)) == net


def test_rational_networks_need_json(tmp_path):
    net = ed.ReLUNetwork([[["1/3", 2]]], [None])
    write_network(net, tmp_path / "net.json")
    assert read_network(tmp_path / "net.json") == net
    with pytest.raises(errors.InvalidInput, match=r"W1.*json"):
        write_network(net, tmp_path / "net.npz")
    with pytest.raises(errors.InvalidInput, match=r"json or \.npz"):
        write_network(net, tmp_path / "net.onnx")


def test_decimals_in_json_are_decimals(tmp_path):
    path = tmp_path / "net.json"
    path.write_text('{"layers": [{"weight": [[0.1]], "bias": null}]}')
    assert read_network(path) == ed.ReLUNetwork([[["1/10"]]])


def test_state_dicts(net, tmp_path):
    module = net.to_torch()
    assert ed.as_network(module.state_dict()) == net
    torch.save(module.state_dict(), tmp_path / "net.pt")
    assert read_network(tmp_path / "net.pt") == net
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    assert read_network(tmp_path / "checkpoint.pth") == net
    from safetensors.torch import save_file

    save_file(module.state_dict(), tmp_path / "net.safetensors")
    assert read_network(tmp_path / "net.safetensors") == net


def test_order_of_layers_is_numeric_not_alphabetic():
    state = OrderedDict()
    widths = [2, 3, 2, 3, 2, 3, 1]
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        state[f"net.{2 * i}.weight"] = np.full((b, a), float(i))
    shuffled = dict(sorted(state.items(), key=lambda item: item[0][::-1]))
    assert ed.as_network(shuffled).widths == tuple(widths)


def test_a_pickled_module_is_not_loaded(net, tmp_path):
    torch.save(net.to_torch(), tmp_path / "model.pt")
    with pytest.raises(errors.UnreadableFile, match=r"unpickling.*state_dict"):
        read_network(tmp_path / "model.pt")


def test_a_pickled_array_is_not_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", W1=np.array([[{}]], dtype=object))
    with pytest.raises(errors.UnreadableFile, match="plain arrays"):
        read_network(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", np.array([[{}]], dtype=object))
    with pytest.raises(errors.UnreadableFile, match="numpy"):
        read_batch(tmp_path / "x.npy")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".json", ".csv", ".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff rubbish", b'{"layers": [', b"PK\x03\x04"])
def test_rubbish_files(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    for read in (read_network, read_batch):
        with pytest.raises(errors.InvalidInput, match="bad"):
            read(path)


def test_truncated_files(net, tmp_path):
    for name in ("net.npz", "net.json"):
        path = tmp_path / name
        write_network(net, path)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(errors.InvalidInput, match=name):
            read_network(path)


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(errors.UnreadableFile, match="No such file"):
        read_network(tmp_path / "absent.npz")
    with pytest.raises(errors.UnreadableFile, match="not a file"):
        read_batch(tmp_path)
    (tmp_path / "net.h5").write_text("x")
    with pytest.raises(errors.UnreadableFile, match="safetensors"):
        read_network(tmp_path / "net.h5")


def test_oversized_files(tmp_path, monkeypatch):
    monkeypatch.setattr("exactdim.nets.formats.MAX_FILE_BYTES", 100)
    np.savez_compressed(tmp_path / "bomb.npz", X=np.zeros((100, 100)))
    with pytest.raises(errors.UnreadableFile, match="limit"):
        read_batch(tmp_path / "bomb.npz")


def test_batches(tmp_path):
    expected = ed.QMatrix([["1/10", 2], [3, "1/3"]])
    (tmp_path / "x.csv").write_text("0.1, 2\n3, 1/3\n")
    (tmp_path / "x.json").write_text('[[0.1, 2], [3, "1/3"]]')
    (tmp_path / "y.json").write_text(json.dumps({"X": [["1/10", 2], [3, "1/3"]]}))
    for name in ("x.csv", "x.json", "y.json"):
        assert read_batch(tmp_path / name) == expected
    np.savez(tmp_path / "x.npz", X=np.eye(2), y=np.zeros(2))
    assert read_batch(tmp_path / "x.npz") == ed.QMatrix(np.eye(2))
    np.savez(tmp_path / "z.npz", a=np.eye(2), b=np.zeros(2))
    with pytest.raises(errors.UnreadableFile, match="name the batch 'X'"):
        read_batch(tmp_path / "z.npz")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(errors.InvalidInput, match=r"bad.csv.*\[0, 0\]"):
        read_batch(tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (3, "cannot read a network"),
        ([], "cannot read a network"),
        ([1, 2], "not a pair"),
        ({"layers": 3}, "must be a list"),
        ({"layers": [{"bias": [1]}]}, "no 'weight'"),
        ({"layers": [{"weight": [[1]], "bias": None, "act": "relu"}]}, "unknown keys"),
        ({"kernel": [[1]]}, "not understood"),
        ({"b1": [1]}, "no weight"),
        ({"a.0.weight": [[1]], "b.0.weight": [[1]]}, "order of layers"),
        ({"W1": [[1]], "1.weight": [[1]]}, "two arrays"),
    ],
)
def test_sources_that_hold_no_network(source, words):
    with pytest.raises(errors.InvalidInput, match=words):
        ed.as_network(source)


def replaced_weight():
    model = nn.Sequential(linear(2, 2), nn.ReLU(), linear(2, 1))
    weight = model[2].weight.detach() * 2
    del model[2].weight
    model[2].weight = weight
    return model


def bias_as_buffer():
    model = nn.Sequential(linear(2, 2), nn.ReLU(), linear(2, 1))
    bias = model[0].bias.detach()
    del model[0].bias
    model[0].register_buffer("bias", bias)
    return model


def shared_storage():
    model = nn.Sequential(linear(2, 2), nn.ReLU(), linear(2, 2))
    model[2].weight = nn.Parameter(model[0].weight.data)
    return model


def patched_container():
    model = nn.Sequential(linear(2, 2))
    model.forward = lambda x: x
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (replaced_weight(), "not its parameters"),
        (bias_as_buffer(), "not its parameters"),
        (shared_storage(), "shares"),
        (patched_container(), "forward of its own"),
        (nn.Sequential(linear(2, 2), relu, linear(2, 2), relu), "ends in a ReLU"),
        (nn.Sequential(nn.Linear(2, 2, device="meta")), "without dense data"),
    ],
)
def test_modules_whose_parameters_or_function_are_others(model, words):
    with pytest.raises(errors.UnsupportedLayer, match=words):
        ed.as_network(model)


def test_one_relu_used_everywhere_is_fine():
    model = nn.Sequential(linear(2, 3), relu, linear(3, 2), relu, linear(2, 1)).double()
    net = ed.as_network(model)
    assert net.widths == (2, 3, 2, 1)
    X = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert np.allclose(net(X).to_numpy(float), model(X).detach().numpy())


def test_global_hooks_are_seen():
    from torch.nn.modules.module import register_module_forward_hook

    handle = register_module_forward_hook(lambda module, inputs, output: output)
    try:
        with pytest.raises(errors.UnsupportedLayer, match="global"):
            ed.as_network(nn.Sequential(linear(2, 2)))
    finally:
        handle.remove()


def test_names_with_numbers_inside_words():
    arrays = {"fc10.weight": [[3]], "fc2.weight": [[2]], "fc2.bias": [1]}
    assert ed.as_network(arrays) == ed.ReLUNetwork([[[2]], [[3]]], [[1], None])


def test_json_with_a_key_twice(tmp_path):
    path = tmp_path / "net.json"
    path.write_text('{"layers": [{"weight": [[1]], "weight": [[2]], "bias": null}]}')
    with pytest.raises(errors.UnreadableFile, match="key twice"):
        read_network(path)


def test_missing_layers_are_seen():
    with pytest.raises(errors.InvalidInput, match=r"\[1, 3\] are not consecutive"):
        ed.as_network({"W1": [[1, 2]], "W3": [[1]]})
    with pytest.raises(errors.InvalidInput, match="layer 2 has a bias"):
        ed.as_network({"W1": [[1, 2]], "b2": [1]})


def test_json_lists_of_pairs_and_csv_of_spreadsheets(tmp_path):
    (tmp_path / "net.json").write_text('[[[[1, "1/2"]], [0]], [[[3]], null]]')
    assert read_network(tmp_path / "net.json") == ed.ReLUNetwork([[[1, "1/2"]], [[3]]], [[0], None])
    (tmp_path / "x.csv").write_text("\ufeff1,2\n3,4\n", encoding="utf-8")
    assert read_batch(tmp_path / "x.csv") == ed.QMatrix([[1, 2], [3, 4]])
    (tmp_path / "y.csv").write_text("1;2\n3;4\n")
    with pytest.raises(errors.InvalidInput, match="separated by commas"):
        read_batch(tmp_path / "y.csv")
