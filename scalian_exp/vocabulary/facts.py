"""Facts about a data set's examples, which its config states for models, losses and figures. Imports no torch."""

from pathlib import Path
from typing import Any

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.options import documented, files, options

FACTS = {
    *("in_channels", "image_size", "num_classes", "class_names", "vocabulary_size"),
    *("ignore_index", "palette", "object_class", "levels", "background"),
}
"""keys that a data set's config may have for models and losses to read, even if its class takes no such argument"""

AUTO = "auto"
"""a value that the data set's class reads from its files"""


def check_facts(dataset: dict[str, Any]) -> None:
    """Check that a data set's image size, palette and class names are valid and agree with its number of classes.

    Balancing by classes needs labels or masks.
    """
    if dataset.get("balanced") and not {"labels", "masks"} & set(dataset.get("provides", [])):
        raise Refusal(
            "dataset.balanced=true draws training examples by their classes, but these have neither labels nor masks; "
            "leave it out."
        )
    size = dataset.get("image_size")
    if isinstance(size, list) and not (len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise Refusal(f"dataset.image_size must be two whole numbers, height and width, such as [96,128], not {size}.")
    colours = dataset.get("palette")
    if not isinstance(colours, list | None):
        raise Refusal(f"dataset.palette must be a list of colours or null, not {colours!r}.")
    if wrong := [colour for colour in colours or [] if not is_colour(colour)]:
        raise Refusal(
            f"dataset.palette has {wrong[0]!r}, which isn't a colour; give each class three whole numbers, 0 to 255: "
            "[red,green,blue]."
        )
    if not is_colour(dataset.get("background", [255, 255, 255])):
        raise Refusal(
            f"dataset.background={dataset['background']} isn't a colour; give three whole numbers from 0 to 255: "
            "[red,green,blue]."
        )
    if colours is not None and dataset.get("num_classes") and len(colours) < dataset["num_classes"]:
        raise Refusal(
            f"dataset.palette has {len(colours)} colours, but dataset.num_classes is {dataset['num_classes']}; give "
            "each class a colour, or use the default colours (dataset.palette=null)."
        )
    classes, names = dataset.get("num_classes"), dataset.get("class_names")
    if not isinstance(names, list | None):
        raise Refusal(f"dataset.class_names must be a list or null, not {names!r}.")
    if classes is not None and names is not None and len(names) != classes:
        raise Refusal(
            f"dataset.class_names has {len(names)} names, but dataset.num_classes is {classes}; name each class, "
            "or none (dataset.class_names=null)."
        )


def check_folder(dataset: dict[str, Any]) -> None:
    """Refuse users' own data whose folder doesn't exist, before torch is imported.

    These are the data sets whose option has no default for `root`; others are downloaded to theirs.
    """
    root = dataset.get("root")
    if not isinstance(root, str) or Path(root).exists():
        return
    for name, node in options("dataset").items():
        if node.get("root") == "???" and node.get("_target_") == dataset["_target_"]:
            comments = {key: comment for key, _, comment in documented(files("dataset")[name], "dataset")}
            meaning = comments.get("root") or "the folder of your data"
            raise Refusal(f"There is no folder {root}; set dataset.root to {meaning}.")


def is_colour(colour: Any) -> bool:
    """Return whether a value is a colour: red, green and blue from 0 to 255."""
    return (
        isinstance(colour, list) and len(colour) == 3 and all(type(part) is int and 0 <= part <= 255 for part in colour)
    )
