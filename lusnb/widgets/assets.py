"""What a widget is made of in the browser: plain ES modules and a style sheet, as they lie beside this file.

A widget's module arrives in the browser as one text, from which nothing beside it can be imported. So a file
and the files that it imports are put one behind the other, each once, and their import lines go: no build,
no network. Top-level names of these files must differ.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) )", re.M)


def module(name: str) -> str:
    """The ES module `name` and all that it imports from beside it, as one text."""
    return "\n".join(EXPORT.sub("", IMPORT.sub("", _text(one))) for one in _ordered(name, []))


def style(own: str) -> str:
    """The style sheet of all widgets, and a widget's own behind it."""
    return _text("style.css") + _text(own)


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _ordered(name: str, seen: list[str]) -> list[str]:
    """`seen`, then the files that `name` still needs, each behind what it imports, and itself last."""
    for other in IMPORT.findall(_text(name)):
        if other not in seen:
            seen = _ordered(other, seen)
    return [*seen, name]
