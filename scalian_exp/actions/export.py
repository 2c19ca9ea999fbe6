"""Export a network to ONNX, torch.export and safetensors, with all that a user of other programs must know."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp import safe_weights
from scalian_exp.actions.action import Action, data_of, spread
from scalian_exp.actions.export_facts import INPUT, OUTPUT, facts_of, facts_of_outputs
from scalian_exp.checkpoint import Loaded, read
from scalian_exp.networks.parts.exported import flags_as_values
from scalian_exp.ranges import PositiveFloat
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.offers import has

PACKAGES = {"safetensors": "export"}
"""see vocabulary/packages.py"""
SCRIPTS = Path(__file__).with_name("onnx_scripts")
AXES = ("batch", "channels", "height", "width")
FAILURES = (torch.onnx.OnnxExporterError, RuntimeError, ValueError, AssertionError)
"""what torch raises where a network can't be exported"""
FACTS = "facts.json"
"""name of the facts inside network.pt2"""


class Export(Action):
    """Export to network.onnx and network.pt2 (torch.export), each verified on test images, and to model.safetensors.

    Both networks hold what a user must know: the input's range, size and layout, class names, colours. A script beside
    them, run_onnx.py, runs network.onnx on an image file with onnxruntime and Pillow alone; it needs a network of grey
    or coloured images. model.safetensors and config.json are the trained weights and what rebuilds the model from them.
    Models that aren't functions of an image alone, such as recommenders, are exported as these two.

    Args:
        tolerance: largest difference of a logit, relative to the largest logit.
    """

    def __init__(self, tolerance: PositiveFloat = 1e-4):
        self.tolerance = tolerance

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Export and verify the network.

        Raises:
            Refusal: if the packages for ONNX are missing, or an exported network gives other results.
        """
        folder.mkdir(parents=True, exist_ok=True)
        facts = facts_of(model)
        if not has(model.task, "exported") or "images" not in model.config["dataset"]["provides"]:
            kind = type(model.task.network).__name__
            print(f"There is no network.onnx: {kind} isn't trained as a function of an image alone.")
            return safe_weights.write(folder, read(model.file), model.data_state, facts)
        files, more = self.export_network(model, folder, facts)
        return [*files, *safe_weights.write(folder, read(model.file), model.data_state, facts | more)]

    def export_network(self, model: Loaded, folder: Path, facts: dict[str, Any]) -> tuple[list[Path], dict[str, Any]]:
        """Export a function of images, verify it, and return the files and what else must be known of it."""
        try:
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise Refusal(f"{error.name} is missing: pip install 'scalian-exp[export]'.") from error
        network = copy.deepcopy(model.task.exported).cpu().eval()
        data = data_of(model)
        x = spread(model, data, min(4, len(data.splits["test"])))["image"].cpu()
        x = torch.cat([x, x])[: max(2, len(x))]  # several at once are compared even if there is a single test image
        expected = network(x)
        larger = larger_images(network, x)
        free = facts_of_outputs(model, expected, any_size=True)
        fixed = {**free, "any_size": False}
        if larger is not None:
            try:
                return self.verified(network, [x, x[:1], larger], folder, facts | free), free
            except (*FAILURES, Refusal) as error:
                print(f"Height and width are fixed, as other sizes can't be exported: {str(error).splitlines()[0]}")
        try:
            return self.verified(network, [x, x[:1]], folder, facts | fixed), fixed
        except FAILURES as error:
            name = type(model.task.network).__name__
            raise Refusal(f"torch.export can't follow {name}: {str(error).strip().splitlines()[0]}") from error

    def verified(self, network: nn.Module, inputs: list[Tensor], folder: Path, facts: dict[str, Any]) -> list[Path]:
        """Export a function of images, compare it with the original on all inputs, and return the files."""
        import onnxruntime

        program, onnx = programs(network, inputs[-1 if facts["any_size"] else 0], facts["any_size"])
        torch.export.save(program, folder / "network.pt2", extra_files={FACTS: json.dumps(facts)})
        again = torch.export.load(folder / "network.pt2").module(check_guards=False)
        onnx.model.metadata_props.update({name: json.dumps(fact, ensure_ascii=False) for name, fact in facts.items()})
        onnx.save(folder / "network.onnx")
        session = onnxruntime.InferenceSession(folder / "network.onnx", providers=["CPUExecutionProvider"])
        for images in inputs:
            expected = network(images)
            (output,) = session.run(None, {INPUT: images.numpy()})
            self.compare("network.pt2", again(images), expected)
            self.compare("network.onnx", torch.from_numpy(output), expected)
        networks = [folder / "network.pt2", folder / "network.onnx"]
        if len(facts["input_channels"]) not in (1, 3):
            print("There is no run_onnx.py: it reads image files, which have 1 or 3 channels.")
            return networks
        return [
            *networks,
            Path(shutil.copy(SCRIPTS / f"{facts['kind']}.py", folder / "run_onnx.py")),
            Path(shutil.copy(SCRIPTS / "read_image.py", folder)),
        ]

    def compare(self, name: str, output: Tensor, expected: Tensor) -> None:
        """Compare the logits of an exported network with those of the original.

        Raises:
            Refusal: if they differ by more than the tolerance.
        """
        size = "×".join(map(str, expected.shape))
        if output.shape != expected.shape:
            raise Refusal(f"{name} returns {'×'.join(map(str, output.shape))} values, not {size}; don't use it.")
        largest = expected.abs().max().clamp_min(1e-30)  # a network that starts from zeros may give zeros alone
        difference = float((output - expected).abs().max() / largest)
        if not difference <= self.tolerance:  # also refuses NaN
            raise Refusal(
                f"{name} differs from the network by {difference:.1e} of its largest logit ({size}); don't use it."
            )
        print(f"{name} agrees with the network to {difference:.1e} of its largest logit ({size}).")


def programs(network: nn.Module, x: Tensor, any_size: bool) -> tuple[Any, Any]:
    """Export a function of images (B, C, H, W) with torch.export and, from that, to ONNX.

    Args:
        network: the function.
        x: some images.
        any_size: whether height and width are free, as the number of images is. Guards of the result may then ask for
            more than it needs, such as sides that are multiples of a stride or never are: leave them unchecked.
    """
    import onnxscript

    def remainder(dividend: Any, divisor: Any) -> Any:
        """Divide integers and keep the rest; torch's own translation wants a number known beforehand."""
        return onnxscript.opset18.Mod(dividend, onnxscript.opset18.CastLike(divisor, dividend))

    shapes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=4096)}
    if any_size:
        shapes = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
        x = torch.cat([x, x])  # one image would fix the number of images
    with flags_as_values(network):
        program = torch.export.export(network, (x,), dynamic_shapes=(shapes,))
    onnx: Any = torch.onnx.export(
        program,
        (x,),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamo=True,
        external_data=False,
        verbose=False,
        custom_translation_table={torch.ops.aten.remainder.Scalar: remainder} if any_size else None,
    )
    name_axes(onnx.model)
    return program, onnx


def larger_images(network: nn.Module, x: Tensor) -> Tensor | None:
    """Return images of another height and width, made of images (B, C, H, W), if a network takes them; else None."""
    height, width = x.shape[-2:]
    images = F.interpolate(x, (height + 5, width + 11))
    try:
        network(images)
    except (RuntimeError, ValueError, IndexError, AssertionError):  # whatever a fixed size makes a network raise
        return None
    return images


def name_axes(model: Any) -> None:
    """Name the axes of an ONNX model's input that take any size, wherever they occur: batch, height and width."""
    names = {str(axis): name for axis, name in zip(model.graph.inputs[0].shape, AXES, strict=True)}
    for value in (*model.graph.inputs, *(value for node in model.graph for value in node.outputs)):
        for place, axis in enumerate(value.shape or ()):
            if not isinstance(axis, int) and str(axis) in names:
                value.shape[place] = names[str(axis)]
