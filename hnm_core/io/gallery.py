"""One static page that shows a folder of hard samples, hardest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from ..charts import COLORS

__all__ = ["Entry", "as_page", "color_of", "error_of", "ink_on"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1400px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } b { padding: 0 .4em; border-radius: 3px; font-weight: 600; white-space: nowrap }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 1.4em 1.2em }
figure { margin: 0 } img { width: 100%; height: 300px; object-fit: contain; background: #f4f4f2; border-radius: 6px }
figcaption { overflow-wrap: anywhere } small { color: #666 }
"""


@dataclass(frozen=True)
class Entry:
    """An image of the page.

    Attributes:
        name: file name of the image in the page's folder; what was found in it is in ``NAME.json``.
        shown: file name of the picture to show.
        errors: error type of every hard negative.
        difficulties: of every hard negative, hardest first.
    """

    name: str
    shown: str
    errors: Sequence[str]
    difficulties: Sequence[float]


def as_page(entries: Iterable[Entry]) -> str:
    """The page; all links are relative to it, nothing is loaded from elsewhere.

    Images stand in the order of their hardest hard negative; of equals by the next one, and so on.
    """
    entries = sorted(entries, key=lambda entry: ([-d for d in entry.difficulties] + [0.0], entry.name))
    total = Counter(error for entry in entries for error in entry.errors)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hard samples</title><style>{STYLE}</style></head>
<body><h1>Hard samples</h1>
<p>{total.total():,} hard negatives in {len(entries):,} images, hardest first. A solid box is a prediction, a dashed
one a truth that was missed; a thin one is any other truth.</p>
<p>{_counts(total)}</p>
<div class="samples">
{chr(10).join(map(_figure, entries))}
</div></body></html>
"""


def error_of(found: Mapping[str, Any]) -> str:
    """What is wrong: the error type; for a lucky hit, or where a miner of the user's own names none, the type.

    Example:
        >>> error_of({"type": "false_positive", "error": "both"}), error_of({"type": "false_negative"})
        ('both', 'false_negative')
    """
    return str(found["type"] if found["type"] == "lucky_hit" else found.get("error", found["type"]))


def color_of(error: str) -> str:
    """Its colour; what is no error type is grey."""
    return COLORS.get(error, COLORS["true_positive"])


def ink_on(color: str) -> str:
    """Black or white, whatever reads better on a colour.

    Example:
        >>> ink_on("#E69F00"), ink_on("#0072B2")
        ('black', 'white')
    """
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "black" if 0.299 * r + 0.587 * g + 0.114 * b > 125 else "white"


def _figure(entry: Entry) -> str:
    picture, copy, record = (quote(file) for file in (entry.shown, entry.name, f"{entry.name}.json"))
    hardest = f"{max(entry.difficulties, default=0.0):.2f}"
    return (
        f'<figure><a href="{picture}"><img src="{picture}" alt="{escape(entry.name)}" loading="lazy"></a>'
        f"<figcaption>{_counts(Counter(entry.errors))}<br>"
        f'<a href="{copy}">{escape(entry.name)}</a> · <a href="{record}">json</a> '
        f"<small>difficulty {hardest}</small></figcaption></figure>"
    )


def _counts(errors: Counter[str]) -> str:
    order = [*COLORS, *sorted(set(errors) - set(COLORS))]
    return " ".join(f"{_badge(error)}&nbsp;{errors[error]:,}" for error in order if errors[error])


def _badge(error: str) -> str:
    color = color_of(error)
    return f'<b style="background:{color};color:{ink_on(color)}">{escape(error.replace("_", " "))}</b>'
