"""Translate a function of a network into a program that the page's engine runs.

torch.export records what the function computes, operation by operation; whatever depends on no input is computed
here, once. So any network works whose operations are known, including your own.
"""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export.graph_signature import OutputKind

from scalian_exp.exhibits.arguments import Arguments, Operation, UnknownUseError, by_name
from scalian_exp.exhibits.export import Called, export
from scalian_exp.exhibits.operations import (
    FACTORIES,
    NOTHING,
    RESIZES,
    ROWS,
    SAME,
    SPLITS,
    TAKES,
    separable,
    sliced,
)
from scalian_exp.exhibits.pack import Pack, Shared
from scalian_exp.refusal import Refusal


class Register(NamedTuple):
    """A value that depends on the program's inputs."""

    number: int
    shape: list[int]


class Part(NamedTuple):
    """One of several parts of a register along a dimension."""

    whole: Register
    dim: int
    start: int
    kept: bool
    shape: list[int]


class Program:
    """A function of a network, operation by operation.

    Args:
        network: in evaluation mode.
        function: the network and its inputs, each of batch size 1 → one tensor or several; deterministic.
        inputs: examples, by which the page verifies its computation.

    Raises:
        Refusal: if the function uses an operation that the page doesn't know; the message names it.
    """

    def __init__(self, network: nn.Module, function: Callable[..., Any], *inputs: Tensor):
        self.network = network
        self.inputs = tuple(value.clone() for value in inputs)  # export takes one tensor given twice for one input
        self.operations: list[dict[str, Any]] = []
        self.constants: list[Tensor] = []
        self.values: dict[Any, Any] = {}
        self.registers = 0
        called = Called(network, function)
        with torch.no_grad():
            outputs = called(*inputs)
            self.truth: Sequence[Tensor] = [outputs] if isinstance(outputs, Tensor) else list(outputs)
            if not all(bool(value.isfinite().all()) for value in self.truth):
                raise self.refused("gives values that are NaN or infinite")
            try:
                exported = export(called, self.inputs)
            except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError) as error:
                why = next(iter(str(error).splitlines()), type(error).__name__)
                raise self.refused(f"can't be exported by torch ({why})") from error
            self.outputs = self.translate(exported)

    def refused(self, why: str) -> Refusal:
        """Return a Refusal that says why this network can't run on a page."""
        return Refusal(f"{type(self.network).__name__} can't run on a page: it {why}.")

    def translate(self, exported: torch.export.ExportedProgram) -> list[Any]:
        """Translate the graph, which has no in-place operations, node by node, and return its outputs."""
        signature, held = exported.graph_signature, {**exported.state_dict, **exported.constants}
        names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        for node in exported.graph.nodes:
            if node.op == "placeholder":
                known = node.name in names
                self.values[node] = held[names[node.name]] if known else self.register(list(node.meta["val"].shape))
            elif node.op == "get_attr":
                self.values[node] = getattr(exported.graph_module, node.target)
            elif node.op == "output":
                pairs = zip(signature.output_specs, node.args[0], strict=True)
                return [self.values[result] for spec, result in pairs if spec.kind is OutputKind.USER_OUTPUT]
            else:
                self.values[node] = self.value_of(node)
        raise AssertionError("a graph without an output")

    def register(self, shape: list[int]) -> Register:
        """Return a new register."""
        self.registers += 1
        return Register(self.registers - 1, shape)

    def value_of(self, node: Any) -> Any:
        """Return the value of a node: a constant, a register, or parts of one."""
        arguments = torch.fx.node.map_arg(node.args, self.values.__getitem__)
        named = torch.fx.node.map_arg(node.kwargs, self.values.__getitem__)
        if node.target is operator.getitem:
            whole, number = arguments
            return self.part(whole[number]) if isinstance(whole[number], Part) else whole[number]
        name, value = node.target.__name__.partition(".")[0], node.meta.get("val")
        fixed = not any(isinstance(value, Register) for value in flat((arguments, tuple(named.values()))))
        drops = name in SAME and arguments[2:] == (True,)  # dropout in training
        if drops or (fixed and torch.Tag.nondeterministic_seeded in node.target.tags):
            raise self.refused(f"draws random numbers ({node.target})")
        if fixed:
            return node.target(*arguments, **named)
        if name in NOTHING:
            return None
        if name in FACTORIES:
            return node.target(torch.zeros(arguments[0].shape), *arguments[1:], **named)
        if name in SAME and (not isinstance(value, Tensor) or value.is_floating_point()):
            return arguments[0]
        given = by_name(node.target, arguments, named)
        if name in SPLITS:
            return list(self.parts(name, given, [list(part.shape) for part in value]))
        if name not in {*ROWS, *RESIZES, *TAKES}:
            raise self.refused(f"uses {node.target}, which the page doesn't know")
        given.shape = list((value if isinstance(value, Tensor) else value[0]).shape)
        operation = self.operation(node.target, name, given, lambda x: node.target(x, *arguments[1:], **named))
        result = self.add(operation, given.shape)
        return result if isinstance(value, Tensor) else [result]

    def operation(self, target: Any, name: str, given: Arguments, on: Callable[[Tensor], Tensor]) -> Operation:
        """Return the engine's operation for one of torch's; `on` calls torch's with another first argument."""
        if name in TAKES:
            numbers = torch.arange(math.prod(given.first.shape)).view(given.first.shape)
            return Operation("take", [given.first, on(numbers)])
        try:
            if name in RESIZES:
                return Operation("separable", [given.first, *separable(on, *given.image())])
            operation = ROWS[name](given)
            given.check_all_read()
        except UnknownUseError as error:
            raise self.refused(f"uses {target} in a way that the page doesn't know ({error})") from error
        return operation

    def add(self, operation: Operation, shape: list[int]) -> Register:
        """Add an operation, and return the register of its result."""
        result = self.register(shape)
        operands = [self.operand(value) for value in operation.operands]
        entry = {"op": operation.name, "in": operands, "out": result.number, "shape": shape}
        self.operations.append({**entry, **operation.attributes})
        return result

    def operand(self, value: Any) -> str | float | None:
        """Return an operand as the engine reads it: r3 is a register, c3 a constant, a number itself."""
        if isinstance(value, Register):
            return f"r{value.number}"
        if isinstance(value, Tensor):
            if value.dim() == 0:
                return self.operand(float(value))
            same = (number for number, known in enumerate(self.constants) if known is value)
            number = next(same, len(self.constants))
            if number == len(self.constants):
                self.constants.append(value)
            return f"c{number}"
        if value is None or math.isfinite(value):
            return None if value is None else float(value)
        return self.operand(torch.tensor([value]))  # JSON has no infinity

    def parts(self, name: str, given: Arguments, shapes: list[list[int]]) -> Iterator[Part]:
        """Yield the parts into which a register is split."""
        dim, start = given.dim("dim", len(given.first.shape)), 0
        for shape in shapes:
            yield Part(given.first, dim, start, name != "unbind", shape)
            start += 1 if name == "unbind" else shape[dim]

    def part(self, part: Part) -> Register:
        """Take a part of a register."""
        return self.add(sliced(part.whole, part.dim, part.start, kept=part.kept), part.shape)

    def add_to(self, pack: Pack, shared: Shared) -> dict[str, Any]:
        """Add constants, probes and torch's outputs to a pack, and return the rest of what the engine needs.

        Weights of the network go to `shared`, because several programs may use them.
        """
        own = {id(tensor) for tensor in self.network.state_dict(keep_vars=True).values()}
        names = {}
        for number, constant in enumerate(self.constants):
            if id(constant) in own:
                names[f"c{number}"] = shared.name_of(constant)
            else:
                pack.exact(f"c{number}", constant)
        for number, value in enumerate(self.inputs):
            pack.add(f"probe{number}", value, "f4")
        for number, value in enumerate(self.truth):
            pack.add(f"truth{number}", value, "f4")
        operations = [
            {**operation, "in": [names.get(operand, operand) for operand in operation["in"]]}
            for operation in self.operations
        ]
        outputs = [self.operand(value) for value in self.outputs]
        return {"operations": operations, "inputs": len(self.inputs), "outputs": outputs}


def flat(values: Any) -> Iterator[Any]:
    """Yield all leaves of nested tuples and lists; a register is a leaf."""
    if isinstance(values, tuple | list) and not isinstance(values, Register):
        for value in values:
            yield from flat(value)
    else:
        yield values
