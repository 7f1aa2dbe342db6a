"""Networks without call overhead: at one row, PyTorch spends most of its time between the operations.

`Lean` traces a module once and from then on runs it as a list of NumPy calls on the module's own weights. Only what
the networks of this package are made of is translated; anything else is an error when it is traced.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

ROWS = 2  # up to so many rows NumPy is faster


def _clamp(x: np.ndarray, low: Any, high: Any) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


def _linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return x @ weight.T + bias


def _layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    centred = x - np.add.reduce(x, -1, keepdims=True) / x.shape[-1]
    variance = np.add.reduce(centred * centred, -1, keepdims=True) / x.shape[-1]
    return centred / np.sqrt(variance + eps) * weight + bias


def _normalised(x: np.ndarray, shape: tuple[int]) -> np.ndarray:
    """LayerNorm without gain and shift over the last axis."""
    centred = x - np.add.reduce(x, -1, keepdims=True) / shape[0]
    return centred / np.sqrt(np.add.reduce(centred * centred, -1, keepdims=True) / shape[0] + np.float32(1e-5))


def _expand(x: np.ndarray, heads: int, *kept: int) -> np.ndarray:
    return np.broadcast_to(x, (heads, *x.shape[-len(kept) :]))


FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    **{f: f for f in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv)},
    **{f: f for f in (operator.getitem, operator.gt, getattr)},
    torch.cat: np.concatenate,
    torch.tanh: np.tanh,
    torch.exp: np.exp,
    torch.clamp: _clamp,
    torch.where: np.where,
    torch.zeros_like: np.zeros_like,
    torch.baddbmm: lambda bias, x, weight: bias + x @ weight,
    F.relu_: lambda x: np.maximum(x, np.float32(0)),
    torch.layer_norm: _normalised,
}
METHODS: Mapping[str, Callable[..., Any]] = {
    "clamp": _clamp,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "reshape": lambda x, *shape: x.reshape(shape),
    "expand": _expand,
    "squeeze": np.squeeze,
    "mean": np.mean,
    "flatten": lambda x, start: x.reshape(*x.shape[:start], -1),
}


class Lean:
    """`network` from arrays to an array, equal to PyTorch's result but for rounding. Inputs with a default are left
    out.

    Works on the network's own weights, so one that is still learning is followed. Raises `TypeError`, when it is made,
    for an operation that it does not know.
    """

    def __init__(self, network: nn.Module) -> None:
        nodes = list(fx.Tracer().trace(network).nodes)
        self._network, self._moves = network, next(network.parameters())
        self._slots: list[Any] = []  # values by number: constants and weights are there before, the rest comes and goes
        self._weights: list[tuple[int, Tensor]] = []
        self._program: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        self._number: dict[fx.Node, int] = {node: self._slot(None) for node in nodes}
        self._inputs = [self._number[node] for node in nodes if node.op == "placeholder" and not node.args]
        for node in nodes:
            self._translate(node)
        self._result = self._program[-1][2]
        self._view_weights()

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        if self._moves.data_ptr() != self._storage:
            self._view_weights()
        slots = self._slots
        for number, value in zip(self._inputs, inputs, strict=True):
            slots[number] = value
        for function, arguments, number in self._program:
            slots[number] = function(*[slots[argument] for argument in arguments])
        return slots[self._result]

    def _view_weights(self) -> None:
        """See the weights where they lie now; all of them move when a network is laid out anew."""
        self._storage = self._moves.data_ptr()
        for number, weight in self._weights:
            self._slots[number] = weight.detach().numpy()

    def _translate(self, node: fx.Node) -> None:
        if node.op == "get_attr":
            weight = operator.attrgetter(str(node.target))(self._network)
            self._weights.append((self._number[node], weight))
        elif node.op == "call_module":
            function, further = _layer(self._network.get_submodule(str(node.target)))
            self._add(function, (*node.args, *further), node)
        elif node.op in ("call_function", "call_method"):
            known: Mapping[Any, Callable[..., Any]] = FUNCTIONS if node.op == "call_function" else METHODS
            if node.target not in known or node.kwargs:
                raise TypeError(f"{node.format_node()}: not translated")
            self._add(known[node.target], node.args, node)

    def _add(self, function: Callable[..., Any], arguments: Sequence[Any], node: fx.Node) -> None:
        self._program.append((function, tuple(map(self._place, arguments)), self._number[node]))

    def _place(self, argument: Any) -> int:
        """Where an operation finds an argument: a node's value, a weight, a constant, or a tuple of such."""
        if isinstance(argument, fx.Node):
            return self._number[argument]
        number = self._slot(argument)
        if isinstance(argument, Tensor):
            self._weights.append((number, argument))
        elif isinstance(argument, tuple | list) and any(isinstance(part, fx.Node) for part in argument):
            self._program.append((_tuple, tuple(map(self._place, argument)), number))
        return number

    def _slot(self, value: Any) -> int:
        self._slots.append(value)
        return len(self._slots) - 1


class Network:
    """A network on arrays: as NumPy calls for few rows on a CPU, else as it is. One with eyes always is as it is."""

    def __init__(self, module: nn.Module, eyes: nn.Module | None = None) -> None:
        self.module = module
        self.device = next(module.parameters()).device
        self._rows = ROWS if self.device.type == "cpu" and eyes is None else 0
        self._lean: Lean | None = None

    @torch.inference_mode()
    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        """float32 arrays (B, ...) -> (B, ...)."""
        if len(inputs[0]) > self._rows:
            return self.module(*(torch.from_numpy(x).to(self.device) for x in inputs)).cpu().numpy()
        if self._lean is None:
            self._lean = Lean(self.module)
        return self._lean(*inputs)


def _layer(module: nn.Module) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A layer of PyTorch's own, and its arguments behind the input."""
    if isinstance(module, nn.ReLU):
        return np.maximum, (np.float32(0),)
    if isinstance(module, nn.Dropout):
        return _same, ()
    if isinstance(module, nn.Linear):
        return _linear, (module.weight, module.bias)
    if isinstance(module, nn.LayerNorm):
        return _layer_norm, (module.weight, module.bias, np.float32(module.eps))
    raise TypeError(f"{type(module).__name__}: not translated")


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _tuple(*parts: Any) -> tuple[Any, ...]:
    return parts
