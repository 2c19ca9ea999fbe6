"""Join styles, scripts and data into one HTML file."""

import json
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from scalian_exp.refusal import Refusal

HERE = Path(__file__).parent
STYLE, SCRIPT = HERE / "base.css", HERE / "dom.js"
"""the form of all pages, and what their scripts share"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
"""Content-Security-Policy by which a page can load nothing from anywhere"""


def module(file: Path) -> str:
    """Return a script without its imports and exports, because all scripts are joined into one."""
    text = file.read_text(encoding="utf-8")
    text = re.sub(r"^(import|export \{[^}]*\} from) .*?;\n", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def in_script(text: str) -> Markup:
    """Return a script's text so that it can't end the script element that it stands in."""
    return Markup(text.replace("</script", "<\\/script"))


def as_json(value: Any) -> Markup:
    """Return a value as JSON that is safe inside a script element.

    Raises:
        Refusal: if a number in it is NaN or infinite, as after a training that diverged.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise Refusal("One of the numbers for the page is NaN or infinite.") from error
    return Markup(text.replace("<", "\\u003c"))
