"""The network for other runtimes."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.actions.action import Action, examples
from scalian_exp.checkpoint import Loaded
from scalian_exp.ranges import PositiveFloat
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.classification import Classification
from scalian_exp.tasks.segmentation import Segmentation


class Reconstructor(nn.Module):
    """image → logits of the pixels, without noise: what is exported of an encoder and a decoder."""

    def __init__(self, network: Any):
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.decode(self.network.encode(image))


class Recogniser(nn.Module):
    """image → logits of the classes, of the whole image or of each pixel."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        found: Any = self.network(image)
        logits: Tensor = found["out"] if isinstance(found, dict) else found
        return logits


def image_to_logits(model: Loaded) -> nn.Module:
    """A copy of the network as a function of images, on the processor.

    Raises:
        Refusal: if it is none.
    """
    network = copy.deepcopy(model.task.network).cpu().eval()
    if isinstance(model.task, Classification | Segmentation):
        return Recogniser(network)
    if hasattr(network, "encode") and hasattr(network, "decode"):
        return Reconstructor(network)
    raise Refusal(f"{type(network).__name__} makes nothing of a whole image at once, so there is nothing to export.")


class Export(Action):
    """network.onnx and network.pt2 (torch.export), each run on test images and compared with the network itself.

    Args:
        tolerance: largest difference of a logit, relative to the largest logit.

    Raises:
        Refusal: if the packages for ONNX are missing, the network doesn't take an image to logits, or an exported one
            gives something else.
    """

    def __init__(self, tolerance: PositiveFloat = 1e-4):
        self.tolerance = tolerance

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        try:
            import onnxruntime
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise Refusal(f"{error.name} is missing: pip install 'scalian-exp[export]'.") from error
        network = image_to_logits(model)
        x = examples(model, 4)["image"].cpu()
        expected = network(x)
        folder.mkdir(parents=True, exist_ok=True)

        batch = torch.export.Dim("batch", min=1, max=4096)
        program = torch.export.export(network, (x,), dynamic_shapes=({0: batch},))
        torch.export.save(program, folder / "network.pt2")
        again = torch.export.load(folder / "network.pt2").module()(x)
        self.compare("network.pt2", again, expected)

        torch.onnx.export(program, (x,), folder / "network.onnx", dynamo=True, external_data=False, verbose=False)
        session = onnxruntime.InferenceSession(folder / "network.onnx", providers=["CPUExecutionProvider"])
        (output,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        self.compare("network.onnx", torch.from_numpy(output), expected)
        return [folder / "network.pt2", folder / "network.onnx"]

    def compare(self, name: str, output: Tensor, expected: Tensor) -> None:
        difference = float((output - expected).abs().max() / expected.abs().max())
        if not difference <= self.tolerance:  # a NaN is no agreement
            raise Refusal(f"{name} differs from the network by {difference:.1e} of its largest logit; don't use it.")
        print(f"{name} agrees with the network to {difference:.1e} of its largest logit.")
