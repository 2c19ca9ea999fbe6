"""Name the class of an image file: python run_onnx.py IMAGE. Needs onnxruntime and Pillow alone."""

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
if len(sys.argv) != 2:
    sys.exit(__doc__)
image = read(sys.argv[1], facts)
ways: dict[str, Callable[..., Image.Image]] = {"crop": ImageOps.fit, "resize": Image.Image.resize, "pad": ImageOps.pad}
bring = ways[facts["fit"]]
pixels = np.asarray(bring(image, facts["input_size"][::-1], Image.Resampling.BILINEAR), np.float32) / 255
(logits,) = session.run(None, {"image": pixels.reshape(1, *pixels.shape[:2], -1).transpose(0, 3, 1, 2)})
probabilities = np.exp(logits[0] - logits[0].max())
probabilities /= probabilities.sum()
for number in probabilities.argsort()[::-1][:5]:
    print(f"{facts['class_names'][number]}\t{probabilities[number]:.6f}")
