"""Export a network to ONNX and torch.export."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from scalian_exp.actions.action import Action, data_of, spread
from scalian_exp.checkpoint import Loaded
from scalian_exp.ranges import PositiveFloat
from scalian_exp.refusal import Refusal


class Export(Action):
    """Export to network.onnx and network.pt2 (torch.export), each verified against the network on test images.

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
        try:
            import onnxruntime
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise Refusal(f"{error.name} is missing: pip install 'scalian-exp[export]'.") from error
        network = copy.deepcopy(model.task.exported).cpu().eval()
        data = data_of(model)
        x = spread(model, data, min(4, len(data.splits["test"])))["image"].cpu()
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
        """Compare the logits of an exported network with those of the original.

        Raises:
            Refusal: if they differ by more than the tolerance.
        """
        difference = float((output - expected).abs().max() / expected.abs().max())
        if not difference <= self.tolerance:  # also refuses NaN
            raise Refusal(f"{name} differs from the network by {difference:.1e} of its largest logit; don't use it.")
        print(f"{name} agrees with the network to {difference:.1e} of its largest logit.")
