"""The page's engine, operation by operation, against torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tools import needs_browser
from torch import Tensor, nn

from scalian_exp.exhibits.arguments import by_name
from scalian_exp.exhibits.operations import ROWS
from scalian_exp.exhibits.pack import Pack, Shared, quantised
from scalian_exp.exhibits.page import FRAME, SCRIPTS
from scalian_exp.exhibits.program import Program
from scalian_exp.pages.parts import as_json, module
from scalian_exp.refusal import Refusal

IMAGE, VECTOR = (1, 4, 7, 6), (1, 24)


class Layers(nn.Module):
    """One module of each kind, with random weights and statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(24, 10)
        self.lstm, self.gru = nn.LSTM(6, 3, batch_first=True), nn.GRU(6, 3, 2, batch_first=True, bidirectional=True)
        self.cells = nn.ModuleList([nn.LSTMCell(24, 3), nn.GRUCell(24, 3), nn.RNNCell(24, 3)])
        self.register_buffer("flag", torch.tensor(True))
        self.convolution = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(2, 1))
        self.grouped = nn.Conv2d(4, 8, 3, groups=2, bias=False)
        self.transposed = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)
        self.wide = nn.ConvTranspose2d(4, 6, (2, 3), stride=(3, 2), padding=(0, 1), output_padding=(2, 1), groups=2)
        self.norm, self.plain_norm = nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)
        self.vector_norm = nn.BatchNorm1d(24)
        for norm in (self.norm, self.plain_norm, self.vector_norm):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)


def in_place(net: Layers, x: Tensor) -> Tensor:
    y = net.linear(x)
    F.relu_(y)
    return y + y.mul_(2)


def through_views(net: Layers, x: Tensor) -> Tensor:
    y, z = net.linear(x), torch.zeros(1, 24)
    y[:, :3].mul_(2)
    F.relu_(y.view(2, 5))
    z[:, :3].add_(x[:, 3:6])
    return torch.cat([y, z], 1)


FUNCTIONS: dict[str, tuple[tuple[int, ...], Callable[[Layers, Tensor], Any]]] = {
    "linear": (VECTOR, lambda net, x: net.linear(x)),
    "linear, backwards": (VECTOR, lambda net, x: F.linear(net.linear(x), net.linear.weight.t())),
    "linear of rows": (VECTOR, lambda net, x: F.linear(x.view(1, 3, 8), net.linear.weight[:, :8])),
    "linear of few inputs": (VECTOR, lambda net, x: net.linear(F.relu(x - 1))),
    "linear, computed": (VECTOR, lambda _, x: F.linear(F.relu(x - 1), x * torch.ones(3, 1))),
    "addmm": (VECTOR, lambda net, x: torch.addmm(net.linear.bias, x, net.linear.weight.t())),
    "mm": (VECTOR, lambda net, x: torch.mm(x, net.linear.weight.t())),
    "matmul": (VECTOR, lambda _, x: x.view(1, 4, 6) @ x.view(1, 6, 4)),
    "matrix times vector": (VECTOR, lambda net, x: x.view(3, 8) @ x[0, :8] + x.view(3, 8) @ net.linear.weight[0, :8]),
    "bmm": (VECTOR, lambda _, x: torch.bmm(x.view(2, 3, 4), x.view(2, 4, 3))),
    "batched matmul": (VECTOR, lambda _, x: x.view(2, 3, 4) @ x.view(2, 4, 3)),
    "convolution": (IMAGE, lambda net, x: net.convolution(x)),
    "grouped": (IMAGE, lambda net, x: net.grouped(x)),
    "transposed": (IMAGE, lambda net, x: net.transposed(x)),
    "wide": (IMAGE, lambda net, x: net.wide(x)),
    "batch norm": (IMAGE, lambda net, x: net.plain_norm(net.norm(x))),
    "batch norm of vectors": (VECTOR, lambda net, x: net.vector_norm(x)),
    "max pool": (IMAGE, lambda _, x: F.max_pool2d(x, 2)),
    "max pool, padded": (IMAGE, lambda _, x: F.max_pool2d(x, (3, 2), stride=2, padding=1, ceil_mode=True)),
    "average pool": (IMAGE, lambda _, x: F.avg_pool2d(x, 2)),
    "adaptive pool": (IMAGE, lambda _, x: F.adaptive_avg_pool2d(x, (3, 4))),
    "bilinear": (IMAGE, lambda _, x: F.interpolate(x, size=(13, 10), mode="bilinear", align_corners=False)),
    "nearest": (IMAGE, lambda _, x: F.interpolate(x, scale_factor=2, mode="nearest")),
    "bicubic": (IMAGE, lambda _, x: F.interpolate(x, size=(9, 9), mode="bicubic")),
    "softmax": (IMAGE, lambda _, x: x.softmax(1)),
    "log softmax": (IMAGE, lambda _, x: 5 * x.log_softmax(-2)),
    "functions": (
        VECTOR,
        lambda _, x: torch.cat([x.relu(), x.sigmoid(), x.tanh(), x.exp(), x.abs(), x.neg(), x.square()]),
    ),
    "functions of positive numbers": (
        VECTOR,
        lambda _, x: torch.cat([f(x.abs() + 0.1) for f in (torch.log, torch.sqrt, torch.rsqrt, torch.reciprocal)]),
    ),
    "logit": (VECTOR, lambda _, x: torch.cat([torch.logit(x.sigmoid()), torch.logit(x, eps=1e-3)])),
    "activations": (
        VECTOR,
        lambda _, x: torch.cat([F.silu(x), F.relu6(4 * x), F.hardsigmoid(3 * x), F.hardswish(3 * x), F.softplus(x)]),
    ),
    "more activations": (
        VECTOR,
        lambda _, x: torch.cat([F.leaky_relu(x, 0.2), F.elu(x, 0.7), F.hardtanh(x, -0.3, 0.4)]),
    ),
    "gelu": (VECTOR, lambda _, x: torch.cat([F.gelu(x), F.gelu(x, approximate="tanh")])),
    "clamps": (VECTOR, lambda _, x: torch.cat([x.clamp(-0.5, 0.2), x.clamp_min(0.1), x.clamp_max(0.1)])),
    "arithmetic": (VECTOR, lambda _, x: (2 - x) / (3 + x * x) - 0.5 * x),
    "alpha": (VECTOR, lambda _, x: torch.add(x, x.square(), alpha=3) - torch.sub(x, x.exp(), alpha=2)),
    "extremes": (VECTOR, lambda _, x: torch.minimum(x, -x) + torch.maximum(x, x.square()) + x.abs().pow(1.5)),
    "broadcasting": (IMAGE, lambda _, x: x * x.mean((2, 3), keepdim=True) + x[:, :1]),
    "sums": (IMAGE, lambda _, x: x.sum(1) + x.mean(dim=1) + x.sum((1, 2)).unsqueeze(1)),
    "permute": (IMAGE, lambda _, x: x.permute(0, 2, 3, 1)),
    "t": (VECTOR, lambda _, x: x.view(4, 6).t() * 2),
    "transpose": (IMAGE, lambda _, x: x.transpose(1, -1)),
    "slices": (IMAGE, lambda _, x: x[:, 1:, ::2, -2:]),
    "select": (IMAGE, lambda _, x: x[:, 2].narrow(1, 1, 3)),
    "parts": (IMAGE, lambda _, x: torch.cat([*reversed(x.chunk(2, 1)), *x.split([1, 3], 1), *x.unbind(3)[:0]], 1)),
    "unbind": (IMAGE, lambda _, x: torch.stack(x.unbind(1)[1:3], 1)),
    "pad": (IMAGE, lambda _, x: F.pad(x, (1, 2, 0, 3), value=0.5)),
    "other shapes": (VECTOR, lambda _, x: x.reshape(4, 6).view_as(x.view(4, 6)) + x[:, :6].expand_as(x.view(4, 6))),
    "shapes": (IMAGE, lambda _, x: x.flatten(1).unflatten(1, (2, -1)).unsqueeze(1).squeeze(0).expand(3, -1, -1)),
    "elements": (
        IMAGE,
        lambda _, x: torch.cat([x.flip(1), x.roll(1, 2), x.repeat_interleave(2, 1), x.repeat(1, 2, 1, 1)], 1),
    ),
    "pixel shuffle": (IMAGE, lambda _, x: F.pixel_shuffle(x, 2)),
    "rows by number": (IMAGE, lambda _, x: x[:, :, torch.tensor([3, 0, 0])].index_select(3, torch.tensor([1, 5]))),
    "new tensors": (VECTOR, lambda _, x: x + x.new_full((1, 24), 2.0) * torch.ones_like(x) - x.new_zeros(24)),
    "two outputs": (VECTOR, lambda net, x: (net.linear(x), x.tanh())),
    "in place": (VECTOR, in_place),
    "in place, through views": (VECTOR, through_views),
    "same padding": (IMAGE, lambda net, x: F.conv2d(x, net.grouped.weight, padding="same", groups=2)),
    "average pool, padded": (IMAGE, lambda _, x: F.avg_pool2d(x, 3, 1, 1)),
    "recurrent layers": (VECTOR, lambda net, x: [net.lstm(x.view(1, 4, 6))[0], *net.gru(x.view(1, 4, 6))]),
    "recurrent cells": (VECTOR, lambda net, x: [*net.cells[0](x), net.cells[1](x), net.cells[2](x)]),
    "branch on a flag": (VECTOR, lambda net, x: 2 * x if bool(net.flag) else x),
    "masks": (
        VECTOR,
        lambda _, x: (
            torch.where(torch.arange(24) < 9, x.view(1, 24), x.exp()).view(2, 12).masked_fill(torch.arange(12) > 6, 3.0)
        ),
    ),
    "infinite fill": (VECTOR, lambda _, x: x.masked_fill(torch.arange(24) > 6, -torch.inf).softmax(1)),
    "infinite constants": (VECTOR, lambda _, x: torch.softmax(x + torch.tensor([0.0, -torch.inf] * 12), 1)),
    "constants of all sizes": (VECTOR, lambda _, x: x + torch.tensor([[1e-6, 1e3] * 12]).log()),
    "constants": (IMAGE, lambda net, x: x + net.norm.running_mean.view(1, -1, 1, 1).square() + torch.arange(6.0)),
}


@pytest.fixture(scope="module")
def translated() -> tuple[Program, set[str]]:
    """All functions as one program, and the names of the operations of torch in it."""
    torch.manual_seed(0)
    names: set[str] = set()

    def noted(target: Any, *given: Any) -> Any:
        names.add(target.__name__.partition(".")[0])
        return by_name(target, *given)

    def all_of_them(net: Layers, image: Tensor, vector: Tensor) -> list[Tensor]:
        results = [function(net, image if shape == IMAGE else vector) for shape, function in FUNCTIONS.values()]
        return [value for result in results for value in ([result] if isinstance(result, Tensor) else result)]

    with torch.no_grad(), patch("scalian_exp.exhibits.program.by_name", noted):
        return Program(Layers().eval(), all_of_them, torch.randn(IMAGE), torch.randn(VECTOR)), names


@needs_browser
def test_the_browser_computes_what_torch_does(translated: Any, tmp_path: Path, driver: Any) -> None:
    pack, shared = Pack(), Shared()
    about = translated[0].add_to(pack, shared)
    page = as_json([about, shared.pack.index, shared.pack.text(), pack.index, pack.text()])
    scripts = "".join(module(FRAME / name) for name in SCRIPTS[:4])
    file = tmp_path / "engine.html"
    file.write_text(f"<script>{scripts}\nconst page = {page};</script>", encoding="utf-8")
    driver.get(file.as_uri())
    results = driver.execute_async_script(
        """
        const done = arguments[0], [about, shared, sharedText, own, ownText] = page;
        Promise.all([unpack(sharedText, shared), unpack(ownText, own)]).then(([weights, arrays]) => {
          const program = new Program(about, { ...weights, ...arrays });
          program.run(arrays.probe0.map(() => 0), arrays.probe1.map(() => 0)); // of which nothing may be kept
          const results = program.run(arrays.probe0, arrays.probe1);
          done(results.map((result) => Array.from(result, (value) => (Number.isFinite(value) ? value : 1e30))));
        });
        """
    )
    assert len(results) == len(translated[0].truth) >= len(FUNCTIONS)
    for result, truth in zip(results, translated[0].truth, strict=True):
        size = max(1.0, float(truth.abs().max()))
        np.testing.assert_allclose(np.array(result) / size, truth.flatten() / size, atol=2e-4)


def test_every_row_is_tried(translated: Any) -> None:
    elsewhere = {"batch_norm", "constant_pad_nd", "expand_as", "flatten", "narrow", "reshape", "unflatten", "view_as"}
    elsewhere |= {"_unsafe_view"}
    assert not set(ROWS) - translated[1] - elsewhere  # other releases of torch write them so


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda _, x: x.cumsum(1), "uses aten.cumsum.default, which the page doesn't know"),
        (lambda _, x: x.max(1).values, "uses aten.max.dim, which the page doesn't know"),
        (lambda _, x: x + torch.randn(1, 24), r"draws random numbers \(aten.randn.default\)"),
        (lambda _, x: F.dropout(x, training=True), "doesn't know|draws random numbers"),
        (lambda _, x: torch.div(x, 0.3, rounding_mode="floor"), r"in a way that the page doesn't know \(rounding_mode"),
        (lambda _, x: F.softplus(x, beta=3), r"in a way that the page doesn't know \(beta=3"),
        (lambda _, x: torch.addmm(x, x[:, :1], x, alpha=2), r"in a way that the page doesn't know \(alpha=2"),
        (lambda _, x: torch.clamp(x, min=x.mean()), "in a way that the page doesn't know"),
        (lambda _, x: (3 * x).long().float(), "doesn't know"),
        (lambda _, x: F.conv2d(x.view(3, 2, 2, 2), torch.ones(1, 2, 1, 1)), "not one image"),
        (lambda _, x: F.max_pool2d(x.view(6, 2, 2), 2), "not one image"),
        (lambda _, x: x.view(1, 6, 4) @ torch.ones(2, 4, 3), "in a way that the page doesn't know"),
        (lambda _, x: F.pad(x, (-1, 0)), "in a way that the page doesn't know"),
        (lambda _, x: x / 0, "gives values that are NaN or infinite"),
    ],
)
def test_what_the_page_cannot_compute_is_refused_in_a_sentence(function: Any, why: str) -> None:
    with pytest.raises(Refusal, match=f"Layers can't run on a page: it .*({why})"):
        Program(Layers().eval(), function, torch.randn(VECTOR))


def test_a_branch_on_values_is_refused_in_a_sentence() -> None:
    with pytest.raises(Refusal, match=r"can't run on a page: it can't be exported by torch .*data-dependent"):
        Program(Layers().eval(), lambda _, x: x if x.sum() > 0 else -x, torch.randn(VECTOR))


def test_weights_keep_four_digits() -> None:
    weights = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 2, 5).view(-1, 1, 1)
    weights[2] = 0
    levels, scale = quantised(weights)
    assert levels.min() >= 0
    assert levels.max() <= 65534
    restored = (levels - 32767) * scale[:, None, None]
    largest = weights.abs().amax((1, 2)).numpy()
    assert (np.abs(restored - weights.numpy()).max((1, 2)) <= 2e-5 * largest).all()


def test_a_pack_refuses_what_its_kind_cannot_hold() -> None:
    for values, kind in (([256], "u1"), ([-1], "u2"), ([0.5], "u1"), ([float("nan")], "f4"), ([1e6], "f2")):
        with pytest.raises(ValueError, match="can't hold"):
            Pack().add("x", values, kind)  # type: ignore[arg-type]


def test_json_cannot_end_its_script() -> None:
    assert "</script" not in (text := as_json({"name": "</script><!--"}))
    assert json.loads(text) == {"name": "</script><!--"}
