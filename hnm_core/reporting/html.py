"""Write the report of a mining as Markdown, or as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from ..report import SUSPECTS, Counts, MiningReport, expected_label_errors, percent
from ..result import Mined
from ..rounds import KINDS, CorrectionGains, RoundChanges
from ..rounds.changes import value_text
from ..rounds.corrections import STEPS
from . import chart_data
from .headline import headline
from .overview import overview

__all__ = ["as_html", "as_markdown", "change_tables", "report_pages"]

Cells = Sequence[object]
Table = tuple[str, list[Cells]]

MARKUP = re.compile(r"[\\`*\[\]|~]")
"""Characters of Markdown, which names may hold."""

STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --card: #f4f4f2; --quiet: #666; --line: #ddd }
@media (prefers-color-scheme: dark) {
:root { --text: #e6e6e3; --back: #17181a; --card: #26282b; --quiet: #a5a5a0; --line: #44464a } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 1080px;
margin: 2em auto; padding: 0 1em }
a { color: inherit } h1 { font-size: 1.6em } h2 { font-size: 1.15em; margin-top: 2em }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); gap: .7em }
.facts div { background: var(--card); border-radius: 6px; padding: .6em .8em }
.facts b { display: block; font-size: 1.35em } small { color: var(--quiet) }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1em }
.crops { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 1em }
.crops img { width: 100%; height: 190px; object-fit: contain; background: var(--card); border-radius: 6px }
.crops figcaption { font-weight: 400; overflow-wrap: anywhere; line-height: 1.3 }
.crops b { border-left: .7em solid; padding-left: .35em }
figure { margin: 0 } figcaption { font-weight: 600 }
svg { width: 100%; height: auto; background: #fff; border-radius: 6px }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { padding: .2em .9em; text-align: right; border-bottom: 1px solid var(--line) }
td:first-child, th:first-child { text-align: left }
.note { border-left: 3px solid #e69f00; padding-left: .8em; color: var(--quiet) }
"""

MOST_PAIRS = 20
"""Pairs of confused classes in the table."""


class CloseUp(NamedTuple):
    """A picture of a mistake: ``picture`` as a data URI, its error type, words on it, its image and a link to that."""

    picture: str
    error: str
    words: str
    image: str
    link: str


def as_markdown(report: MiningReport, changes: Sequence[Table] = ()) -> str:
    """Return the report as Markdown: headline, errors by type, classes, notes.

    Args:
        report: of a mining.
        changes: tables of what changed since an earlier one, see :func:`change_tables`.

    Example:
        >>> print(as_markdown(MiningReport(images=2)).splitlines()[0])
        # Hard-negative mining
    """
    lines = ["# Hard-negative mining", ""]
    lines += [f"- **{fact.name}**: {fact.value}{f' ({fact.remark})' if fact.remark else ''}" for fact in _facts(report)]
    for title, rows in (*_tables(report), *changes):
        head, *body = ([_markdown(cell) for cell in row] for row in rows)
        rule = ["---", *["---:"] * (len(head) - 1)]
        lines += ["", f"## {title}", "", *(f"| {' | '.join(row)} |" for row in (head, rule, *body))]
    lines += ["", *(f"> {_markdown(note)}" for note in report.notes)] if report.notes else []
    return "\n".join(lines) + "\n"


def _markdown(value: object) -> str:
    """Return text that Markdown shows as it is, on one line; names in the data may hold anything."""
    text = "".join(c if c.isprintable() else " " for c in str(value)).replace("&", "&amp;").replace("<", "&lt;")
    return MARKUP.sub(r"\\\g<0>", text)


def as_html(
    result: Mined,
    *,
    title: str = "Hard-negative mining",
    changes: Sequence[Table] = (),
    close_ups: Sequence[CloseUp] = (),
    samples: str = "",
) -> str:
    """Return one HTML page with headline, pictures, charts, tables and settings, for light and dark screens.

    It is one file: no script, nothing loaded from elsewhere.

    Args:
        result: the mining.
        title: of the page, such as the name of the dataset.
        changes: tables of what changed since an earlier one, see :func:`change_tables`.
        close_ups: pictures of the hardest mistakes, see :func:`hnm_core.samples.close_ups.hardest_close_ups`.
        samples: link to a page of all hard samples; empty if there is none.

    Raises:
        ImportError: if matplotlib is missing.
    """
    from .figures import as_svg, draw

    facts = "".join(
        f"<div>{escape(f.name)}<b>{escape(f.value)}</b><small>{escape(f.remark)}</small></div>"
        for f in _facts(result.report)
    )
    charts = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{as_svg(figure)}</figure>"
        for name, figure in draw(overview(result), result.settings.iou_threshold).items()
    )
    tables = [*_tables(result.report), *changes]
    settings: list[Cells] = [("setting", "value")]
    settings += [(name, value_text(value)) for name, value in result.settings.as_dict().items()]
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p class='note'>{escape(note)}</p>" for note in (*_suspicion(result.report), *result.report.notes)),
        f"<div class='facts'>{facts}</div>{_pictures(close_ups, samples)}",
        f"<h2>Charts</h2><div class='charts'>{charts}</div>",
        *(f"<h2>{escape(name)}</h2>{_html_table(rows)}" for name, rows in (*tables, ("Settings", settings))),
    ]
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head += f"<title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _pictures(close_ups: Sequence[CloseUp], samples: str) -> str:
    """Return the hardest mistakes as pictures, each with a link to its image."""
    page = f"<p><a href='{escape(samples)}'>All hard samples</a></p>" if samples else ""
    if not close_ups:
        return page
    what = "Solid: the prediction. Dashed: a truth. White: the nearest box of the other side."
    figures = "".join(map(_figure, close_ups))
    return f"<h2>The hardest mistakes</h2><p><small>{what}</small></p><div class='crops'>{figures}</div>{page}"


def _figure(one: CloseUp) -> str:
    link, image, color = escape(one.link), escape(one.image), chart_data.COLORS[one.error]
    return (
        f"<figure><a href='{link}'><img src='{one.picture}' alt='{image}'></a><figcaption>"
        f"<b style='border-color:{color}'>{escape(one.error.replace('_', ' '))}</b> {escape(one.words)}<br>"
        f"<small><a href='{link}'>{image}</a></small></figcaption></figure>"
    )


def _facts(report: MiningReport) -> list[Any]:
    return headline(report.as_dict())


def _suspicion(report: MiningReport) -> list[str]:
    mined = report.counts.hard_negatives
    if not mined:
        return []
    if report.review_count:
        cost = "It lowers their weight" if report.suspicion_used else "It is not used for weights"
        return [f"{expected_label_errors(report)}. {cost}."]
    cost = "it lowers their weight until they are reviewed" if report.suspicion_used else "it is not used for weights"
    return [f"{expected_label_errors(report)}. This is a prior, not a measurement: {cost}."]


def report_pages(
    result: Mined, title: str, close_ups: Sequence[CloseUp] = (), samples: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Return the report in every format, by file name, and a sentence on formats that are left out."""
    pages = {"report.md": as_markdown(result.report), "report.txt": f"{result.report}\n"}
    try:
        return {**pages, "report.html": as_html(result, title=title, close_ups=close_ups, samples=samples)}, []
    except ImportError:
        return pages, ["report.html is not written: its charts need matplotlib (pip install matplotlib)"]


def _tables(report: MiningReport) -> list[Table]:
    """Return title and rows of every table; the first row is the header."""
    errors: list[Cells] = [("error", "false positives", "false negatives", "mined")]
    errors += [(name, *count.values()) for name, count in report.errors.items()]
    tables = [
        ("Errors by type", errors),
        ("Classes", _counts("class", report.classes)),
        ("Sizes", _counts("size", report.sizes)),
    ]
    pairs = sorted((-n, true, name) for true, row in report.confusions.items() for name, n in row.items())
    if pairs:
        confused: list[Cells] = [("truth", "taken for", "count"), *((t, p, -n) for n, t, p in pairs[:MOST_PAIRS])]
        tables.insert(1, ("Confused classes", confused))
    if report.label_suspects:
        asked = report.label_suspects.get("labels", 0)
        suspects: list[Cells] = [("the model sees the label", "labels", "share")]
        counts = ((what, report.label_suspects.get(way, 0)) for way, what in SUSPECTS.items())
        suspects += [(what, count, percent(count, asked)) for what, count in counts]
        tables.append(("Labels that the model contradicts", suspects))
    if report.weighting:
        shares = report.weighting.extra_by_error
        extra: list[Cells] = [("error", "share of the extra weight"), *((n, percent(s, 1)) for n, s in shares.items())]
        tables.append(("Extra weight by error type", extra))
    return tables


def _counts(what: str, groups: Mapping[str, Counts]) -> list[Cells]:
    rows: list[Cells] = [(what, "right", "false positives", "false negatives", "mined", "precision", "recall")]
    for name, c in groups.items():
        right, wrong, missed = c.true_positives, c.false_positives, c.false_negatives
        rates = percent(right, right + wrong), percent(right, right + missed)
        rows.append((name, right, wrong, missed, c.hard_negatives, *rates))
    return rows


def change_tables(rounds: RoundChanges, gains: CorrectionGains | None) -> list[Table]:
    """Return what changed since an earlier mining: settings, images, errors, at equal recall, by the labels."""
    changes = rounds.as_dict()
    differ: list[Cells] = [("setting", "before", "after")]
    differ += [
        (name, value_text(each["before"]), value_text(each["after"])) for name, each in changes["settings"].items()
    ]
    rows: list[Cells] = [("error", "persistent", "new", "fixed")]
    rows += [(kind.replace("_", " "), *changes[kind].values()) for kind in ("false_positives", "false_negatives")]
    at = changes["fppi_at_recall"]
    fppi: list[Cells] = [
        ("false positives per image at recall", "before", "after"),
        (f"{changes['recall']:.3f}", *("–" if value is None else f"{value:.3f}" for value in at.values())),
    ]
    bought = correction_tables(gains) if gains else []
    both, earlier, later = changes["images"].values()
    images: list[Cells] = [
        ("compared", "of the earlier round alone", "of the later round alone"),
        (both, earlier, later),
    ]
    first = [("Settings that differ", differ)] if changes["settings"] else []
    first += [("Images", images)] if earlier or later else []
    return [*first, ("Since the previous round", rows), ("At equal recall", fppi), *bought]


def correction_tables(gains: CorrectionGains) -> list[Table]:
    """Return what corrected labels and the new model changed, in one table each: labels, errors, at equal recall."""
    found = gains.as_dict()
    labels: list[Cells] = [tuple(found["labels"]), tuple(found["labels"].values())]
    errors: list[Cells] = [("classes", "errors", "before", "by the labels", "by the model", "after")]
    level: list[Cells] = [("classes", "recall", "before", "by the labels", "by the model", "together", "after")]
    for group, of_group in found["errors"].items():
        for kind in KINDS:
            row = of_group[kind]
            steps = [f"−{row[step]['vanished']} +{row[step]['appeared']}" for step in STEPS]
            errors.append((group, kind.replace("_", " "), row["before"], *steps, row["after"]))
        at = found["at_recall"][group]
        if at:
            changes = [f"{at[name]['change']:+d} ({_range(at[name]['interval'])})" for name in (*STEPS, "both")]
            counts = at["false_positives"]
            level.append((group, f"{at['recall']:.3f}", counts["before"], *changes, counts["after"]))
    title = "False positives at equal recall (95 % interval over images)"
    return [("What the corrections bought: labels", labels), ("Errors by labels and by model", errors), (title, level)]


def _range(interval: Sequence[float]) -> str:
    return " to ".join(f"{value:+.0f}" for value in interval)


def _html_table(rows: Iterable[Cells]) -> str:
    head, *body = ([escape(str(cell)) for cell in row] for row in rows)
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"
