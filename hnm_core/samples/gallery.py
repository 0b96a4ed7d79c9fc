"""Write one static HTML page that shows a folder of hard samples, hardest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from ..reporting.chart_data import COLORS

__all__ = ["GalleryItem", "color_of", "error_of", "gallery_page", "text_color_on"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1400px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } b { padding: 0 .4em; border-radius: 3px; font-weight: 600; white-space: nowrap }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 1.4em 1.2em }
figure { margin: 0 } img { width: 100%; height: 300px; object-fit: contain; background: #f4f4f2; border-radius: 6px }
figcaption { overflow-wrap: anywhere } small { color: #666 }
"""


PROPOSED = {"confident": COLORS["background"], "uncertain": COLORS["duplicate"], "gap": COLORS["missed"]}
"""Colours of what is proposed for review where there is no ground truth: nobody knows yet whether it is an error."""


@dataclass(frozen=True)
class GalleryItem:
    """An image on the page.

    Attributes:
        name: file name of the image in the folder of the page; its hard negatives are in ``NAME.json``.
        shown: file name of the picture to show.
        errors: error type of every hard negative.
        difficulties: of every hard negative, hardest first.
    """

    name: str
    shown: str
    errors: Sequence[str]
    difficulties: Sequence[float]


def gallery_page(entries: Iterable[GalleryItem]) -> str:
    """Return the page; all links are relative, and nothing is loaded from elsewhere.

    Images are sorted by their hardest hard negative, then by the next one, and so on.
    """
    entries = sorted(entries, key=lambda entry: ([-d for d in entry.difficulties] + [0.0], entry.name))
    total = Counter(error for entry in entries for error in entry.errors)
    title, said = _said(total, len(entries))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>
<body><h1>{title}</h1>
<p>{said}</p>
<p>{_counts(total)}</p>
<div class="samples">
{chr(10).join(map(_figure, entries))}
</div></body></html>
"""


def error_of(found: Mapping[str, Any]) -> str:
    """Return the error type; for a lucky hit, or if a custom miner gives none, the type.

    Example:
        >>> error_of({"type": "false_positive", "error": "both"}), error_of({"type": "false_negative"})
        ('both', 'false_negative')
    """
    return str(found["type"] if found["type"] == "lucky_hit" else found.get("error", found["type"]))


def color_of(error: str) -> str:
    """Return the colour of an error type or of a proposal; grey for other names."""
    return PROPOSED.get(error) or COLORS.get(error, COLORS["true_positive"])


def text_color_on(color: str) -> str:
    """Return black or white, whichever is more readable on a colour.

    Example:
        >>> text_color_on("#E69F00"), text_color_on("#0072B2")
        ('black', 'white')
    """
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "black" if 0.299 * r + 0.587 * g + 0.114 * b > 125 else "white"


def _figure(entry: GalleryItem) -> str:
    picture, copy, record = (quote(file) for file in (entry.shown, entry.name, f"{entry.name}.json"))
    hardest = f"{max(entry.difficulties, default=0.0):.2f}"
    return (
        f'<figure><a href="{picture}"><img src="{picture}" alt="{escape(entry.name)}" loading="lazy"></a>'
        f"<figcaption>{_counts(Counter(entry.errors))}<br>"
        f'<a href="{copy}">{escape(entry.name)}</a> · <a href="{record}">json</a> '
        f"<small>difficulty {hardest}</small></figcaption></figure>"
    )


def _said(total: Counter[str], images: int) -> tuple[str, str]:
    """Return the title of the page and what is on it."""
    number = f"{total.total():,}"
    if total and set(total) <= set(PROPOSED):
        return "Proposals for review", (
            f"{number} proposals in {images:,} images, likeliest errors first; no verdicts: nobody has looked at them. "
            f"A solid box is a prediction, a dashed box is where the model may have missed an object."
        )
    return "Hard samples", (
        f"{number} hard negatives in {images:,} images, hardest first. A solid box is a prediction, a dashed\nbox is a "
        f"missed truth, and a thin box is any other truth."
    )


def _counts(errors: Counter[str]) -> str:
    order = [*COLORS, *sorted(set(errors) - set(COLORS))]
    return " ".join(f"{_badge(error)}&nbsp;{errors[error]:,}" for error in order if errors[error])


def _badge(error: str) -> str:
    color = color_of(error)
    return f'<b style="background:{color};color:{text_color_on(color)}">{escape(error.replace("_", " "))}</b>'
