"""Encoders of timm, PyTorch Image Models (Wightman 2019, github.com/huggingface/pytorch-image-models)."""

from difflib import get_close_matches
from itertools import product
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.backbones import Standardise, for_channels
from scalian_exp.networks.parts.centres import recording
from scalian_exp.networks.parts.weights import load_matching, read_weights
from scalian_exp.ranges import PositiveInt

PACKAGES = {"timm": "timm"}
"""see vocabulary/packages.py"""
FOR_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""arguments by which transformers take images of any size; other encoders don't know and don't need them"""
LISTING = "python -c 'import timm; print(*timm.list_models())'"
"""the command that prints the names of all encoders"""


class TimmEncoder(nn.Module):
    """Encoder of timm: images (B, in_channels, H, W) in [0, 1] → maps, finest first, as `Encoder` describes them.

    Images are standardised by the mean and deviation that timm names for this encoder, and extended by this mean at the
    bottom and on the right to a multiple of the deepest map's stride, so that every size works.

    Args:
        in_channels: channels of the images.
        output_stride: stride of the deepest map, where the encoder can be dilated.
        name: name in timm, such as `resnet18`, or with a tag of its weights, `resnet18.a1_in1k`.
        pretrained: start from the weights that timm downloads, or from a file (.pth, .pt, .safetensors, .ckpt), whose
            tensors have timm's names; for ResNets and VGG, these are torchvision's as well.
    """

    implied: ClassVar = {"aligned": False}
    """behaviour of networks from before encoders knew where their units lie"""

    def __init__(
        self, in_channels: PositiveInt, output_stride: PositiveInt = 32, *, name: str, pretrained: bool | str = False
    ):
        super().__init__()
        self.name, self.pretrained = name, pretrained
        self.in_channels = in_channels
        settings = timm_settings(name)
        self.standardise = Standardise(
            in_channels, for_channels(in_channels, settings.mean), for_channels(in_channels, settings.std)
        )
        self.body = features_of(name, in_channels, output_stride)
        self.channels_last = getattr(getattr(self.body, "output_fmt", None), "value", "NCHW") == "NHWC"
        self.channels: list[int] = self.body.feature_info.channels()
        self.strides: list[int] = self.body.feature_info.reduction()
        self.aligned = True
        self.centres: list[float] = self.measured()

    @property
    def offsets(self) -> list[float]:
        """The pixels of the image on which the first unit of each map is centred; 0 for all if not `aligned`."""
        return self.centres if self.aligned else [0.0] * len(self.strides)

    def measured(self) -> list[float]:
        """Return the pixels on which the first units of all maps are centred.

        Raises:
            ValueError: if the maps don't cover images of any size by equal strides, as with a few old encoders.
        """
        side = 2 * max(self.strides)
        self.body.eval()
        try:
            with torch.no_grad(), recording(self.body, side, self.strides) as centres:
                maps = self.forward(torch.zeros(1, self.in_channels, side, side))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(f"{self.name} of timm takes no images of {side}×{side} pixels; choose another.") from error
        finally:
            self.body.train()
        expected = [(c, side // stride, side // stride) for c, stride in zip(self.channels, self.strides, strict=True)]
        if [tuple(features.shape[1:]) for features in maps] != expected:
            raise ValueError(f"The maps of timm's {self.name} don't cover images by equal strides; choose another.")
        return [centres.of(stride) for stride in self.strides]

    def load_pretrained(self) -> None:
        """Load the file of `pretrained`, or the weights that timm downloads, fitted to the images' channels by timm.

        Raises:
            ValueError: if they can't be had, or don't match.
        """
        if isinstance(self.pretrained, str):
            load_matching(self.body, read_weights(self.pretrained), self.pretrained)
            return
        import timm

        try:
            source = timm.create_model(self.name, pretrained=True, num_classes=0, in_chans=self.in_channels)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"the weights of {self.name} can't be downloaded ({first_sentence(error)}); download them where there "
                "is a network and give the file, model.network.backbone.pretrained=<file>, or leave them out, "
                "model.network.backbone.pretrained=false."
            ) from error
        load_matching(self.body, source.state_dict(), f"timm's {self.name}")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (B, C, H, W) in [0, 1] to maps of `channels` and `strides`, finest first."""
        deepest = max(self.strides)
        height, width = x.shape[-2:]
        x = F.pad(
            self.standardise(x), (0, (deepest - width % deepest) % deepest, 0, (deepest - height % deepest) % deepest)
        )
        maps = [features.permute(0, 3, 1, 2) if self.channels_last else features for features in self.body(x)]
        return [  # without what only covers the extension
            features[..., : (height + stride - 1) // stride, : (width + stride - 1) // stride]
            for features, stride in zip(maps, self.strides, strict=True)
        ]


def timm_settings(name: str) -> Any:
    """Return what timm knows about the weights of an encoder, such as the mean of its inputs.

    Raises:
        ValueError: if timm isn't installed, or has no encoder of this name.
    """
    try:
        import timm
    except ImportError as error:
        raise ValueError("Encoders of timm need the package timm: pip install 'scalian-exp[timm]'.") from error
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture not in known:  # the name of a place to download from, too, such as hf-hub:…, is refused
        near = ", ".join(get_close_matches(architecture, known, n=3))
        hint = f"similar names: {near}." if near else f"all that it has are listed by {LISTING}"
        raise ValueError(f"timm has no encoder {name if name.strip() else repr(name)}; {hint}")
    tags = [
        each for each in timm.list_models(f"{architecture}.*", pretrained=True) if each.startswith(f"{architecture}.")
    ]
    if tag and name not in tags:
        raise ValueError(f"timm has no weights {name}; it has {', '.join(tags[:5]) or 'none of this encoder'}.")
    return timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg(mean=(0.5,) * 3, std=(0.5,) * 3)


def features_of(name: str, in_channels: int, output_stride: int) -> Any:
    """Build an encoder of timm with random weights.

    Raises:
        ValueError: if it has no maps, or not this output stride.
    """
    import timm

    dilated: tuple[dict[str, Any], ...] = ({}, {"output_stride": output_stride}) if output_stride < 32 else ({},)
    problem: BaseException | None = None
    for stride, more in product(dilated[::-1], FOR_ANY_SIZE):
        try:
            body: Any = timm.create_model(name, features_only=True, in_chans=in_channels, **stride, **more)
        except (TypeError, AssertionError, RuntimeError, AttributeError) as error:  # the last try has no such arguments
            problem = error
            continue
        if max(body.feature_info.reduction()) <= output_stride:
            return body
        problem = None
    if problem is not None:
        raise ValueError(f"timm's {name} gives no feature maps ({first_sentence(problem)}).") from problem
    raise ValueError(
        f"timm's {name} can't be built with a map of stride {output_stride} as its last; choose an encoder that can, "
        "such as resnet50 or efficientnet_lite0."
    )


def first_sentence(error: BaseException) -> str:
    """Return the first line of an exception's message, or its name."""
    return next(iter(str(error).splitlines()), "").strip().rstrip(".") or type(error).__name__
