"""Reconstruct an image file: python run_onnx.py IMAGE [OUTPUT.png]. Needs onnxruntime and Pillow alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
from read_image import read

session = onnxruntime.InferenceSession(Path(__file__).with_name("network.onnx"))
facts = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
output = Path(sys.argv[2] if len(sys.argv) == 3 else "reconstruction.png")
if output.exists() or output.suffix != ".png" or not output.parent.is_dir():
    sys.exit(f"{output}: name a .png that doesn't exist yet, in a folder that does")
image = read(sys.argv[1], facts)
ways: dict[str, Callable[..., Image.Image]] = {"crop": ImageOps.fit, "resize": Image.Image.resize, "pad": ImageOps.pad}
bring = ways[facts["fit"]]
pixels = np.asarray(bring(image, facts["input_size"][::-1], Image.Resampling.BILINEAR), np.float32) / 255
(logits,) = session.run(None, {"image": pixels.reshape(1, *pixels.shape[:2], -1).transpose(0, 3, 1, 2)})
values = (255 / (1 + np.exp(-logits[0]))).round().astype(np.uint8).transpose(1, 2, 0)
Image.fromarray(values.squeeze(2) if values.shape[2] == 1 else values).save(output)
print(output)
