"""Segment an image file: python run_onnx.py IMAGE [MASK.png]. Needs onnxruntime and Pillow alone.

The network sees the image at the scale of its training images or, if it takes no other size, resized to theirs; its
probabilities are resized to the image's size. The mask's palette has the colours of the classes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from read_image import read


def interpolated(maps, height, width):
    """Interpolate maps (N, h, w) linearly between the centres of their pixels, (N, height, width)."""
    for axis, size in ((1, height), (2, width)):
        last = maps.shape[axis] - 1
        places = ((np.arange(size) + 0.5) * (last + 1) / size - 0.5).clip(0, last)
        low = places.astype(int)
        share = (places - low).astype(np.float32).reshape((-1, 1) if axis == 1 else -1)
        maps = maps.take(low, axis) * (1 - share) + maps.take(np.minimum(low + 1, last), axis) * share
    return maps


session = onnxruntime.InferenceSession(Path(__file__).with_name("network.onnx"))
facts = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
output = Path(sys.argv[2] if len(sys.argv) == 3 else "mask.png")
if output.exists() or output.suffix != ".png" or not output.parent.is_dir():
    sys.exit(f"{output}: name a .png that doesn't exist yet, in a folder that does")
image = read(sys.argv[1], facts)
pixels = (np.asarray(image, np.float32) / 255).reshape(image.height, image.width, -1).transpose(2, 0, 1)
height, width = facts["input_size"]
if facts["any_size"]:  # proportions are kept
    factor = (min if facts["fit"] == "pad" else max)(height / image.height, width / image.width)
    height, width = max(1, round(image.height * factor)), max(1, round(image.width * factor))
sizes = ((width, height), Image.Resampling.BILINEAR)
small = np.stack([np.asarray(Image.fromarray(channel).resize(*sizes)) for channel in pixels])
(logits,) = session.run(None, {"image": small.clip(0, 1)[None]})
probabilities = np.exp(logits[0] - logits[0].max(0))
probabilities /= probabilities.sum(0)
classes = interpolated(probabilities, image.height, image.width).argmax(0)
mask = Image.fromarray(classes.astype(np.uint8), mode="P")
mask.putpalette([value for colour in facts["palette"] for value in colour])
mask.save(output)
print(output)
for number, name in enumerate(facts["class_names"]):
    print(f"{name}\t{(classes == number).mean():.4f}")
