"""A mining as a document: Markdown for a merge request, one self-contained HTML page for a team."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .charts import headline
from .report import Counts, MiningReport, expected_label_errors, percent
from .result import MiningResult
from .rounds import compare_rounds

__all__ = ["as_html", "as_markdown", "report_pages"]

Cells = Sequence[object]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } h2 { font-size: 1.15em; margin-top: 2em }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); gap: .7em }
.facts div { background: #f4f4f2; border-radius: 6px; padding: .6em .8em }
.facts b { display: block; font-size: 1.35em } .facts small { color: #666 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1em }
figure { margin: 0 } figcaption { font-weight: 600 } svg { width: 100%; height: auto }
table { border-collapse: collapse } td, th { padding: .2em .9em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
.note { border-left: 3px solid #e69f00; padding-left: .8em; color: #444 }
"""


def as_markdown(report: MiningReport) -> str:
    """The report as Markdown: headline, errors by type, classes, notes.

    Example:
        >>> print(as_markdown(MiningReport(images=2)).splitlines()[0])
        # Hard-negative mining
    """
    lines = ["# Hard-negative mining", ""]
    lines += [f"- **{fact.name}**: {fact.value}{f' ({fact.remark})' if fact.remark else ''}" for fact in _facts(report)]
    for title, rows in _tables(report):
        head, *body = ([str(cell).replace("|", "\\|") for cell in row] for row in rows)
        rule = ["---", *["---:"] * (len(head) - 1)]
        lines += ["", f"## {title}", "", *(f"| {' | '.join(row)} |" for row in (head, rule, *body))]
    lines += ["", *(f"> {note}" for note in report.notes)] if report.notes else []
    return "\n".join(lines) + "\n"


def as_html(result: MiningResult, *, title: str = "Hard-negative mining", before: MiningResult | None = None) -> str:
    """One page with everything in it: headline, charts, tables, settings; no script, nothing loaded from elsewhere.

    Args:
        result: what was mined.
        title: of the page, such as the name of the data set.
        before: an earlier round; what persists, is new and is fixed since then is added.

    Raises:
        ImportError: if matplotlib is missing.
    """
    from .plots import as_svg, draw

    facts = "".join(
        f"<div>{escape(f.name)}<b>{escape(f.value)}</b><small>{escape(f.remark)}</small></div>"
        for f in _facts(result.report)
    )
    charts = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{as_svg(figure)}</figure>"
        for name, figure in draw(result).items()
    )
    tables = [*_tables(result.report), *(_changes(before, result) if before else [])]
    settings: list[Cells] = [("setting", "value")]
    settings += [(name, _plain(value)) for name, value in result.settings.as_dict().items()]
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p class='note'>{escape(note)}</p>" for note in (*_suspicion(result.report), *result.report.notes)),
        f"<div class='facts'>{facts}</div><h2>Charts</h2><div class='charts'>{charts}</div>",
        *(f"<h2>{escape(name)}</h2>{_html_table(rows)}" for name, rows in (*tables, ("Settings", settings))),
    ]
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _facts(report: MiningReport) -> list[Any]:
    return headline(report.as_dict())


def _suspicion(report: MiningReport) -> list[str]:
    mined = report.counts.hard_negatives
    if not mined:
        return []
    if report.looks:
        cost = "It lowers their weight" if report.suspicion_used else "Weights ignore it"
        return [f"{expected_label_errors(report)}. {cost}."]
    cost = "until somebody looks, it lowers their weight" if report.suspicion_used else "weights ignore it"
    return [f"{expected_label_errors(report)}. That is a prior, not a finding: {cost}."]


def report_pages(result: MiningResult, title: str) -> tuple[dict[str, str], list[str]]:
    """The report in every format, by file name; and what to say about one that is left out."""
    pages = {"report.md": as_markdown(result.report), "report.txt": f"{result.report}\n"}
    try:
        return {**pages, "report.html": as_html(result, title=title)}, []
    except ImportError:
        return pages, ["report.html is left out: its charts need matplotlib (pip install matplotlib)"]


def _tables(report: MiningReport) -> list[tuple[str, list[Cells]]]:
    """Title and rows, the first of them the heads."""
    errors: list[Cells] = [("error", "false positives", "false negatives", "mined")]
    errors += [(name, *count.values()) for name, count in report.errors.items()]
    tables = [
        ("Errors by type", errors),
        ("Classes", _counts("class", report.classes)),
        ("Sizes", _counts("size", report.sizes)),
    ]
    if report.weighting:
        shares = report.weighting.extra_by_error
        extra: list[Cells] = [("error", "share of the extra weight"), *((n, percent(s, 1)) for n, s in shares.items())]
        tables.append(("What the extra weight is owed to", extra))
    return tables


def _counts(what: str, groups: Mapping[str, Counts]) -> list[Cells]:
    rows: list[Cells] = [(what, "right", "false positives", "false negatives", "mined", "precision", "recall")]
    for name, c in groups.items():
        right, wrong, missed = c.true_positives, c.false_positives, c.false_negatives
        rates = percent(right, right + wrong), percent(right, right + missed)
        rows.append((name, right, wrong, missed, c.hard_negatives, *rates))
    return rows


def _changes(before: MiningResult, after: MiningResult) -> list[tuple[str, list[Cells]]]:
    changes = compare_rounds(before, after).as_dict()
    rows: list[Cells] = [("error", "persistent", "new", "fixed")]
    rows += [(kind.replace("_", " "), *changes[kind].values()) for kind in ("false_positives", "false_negatives")]
    at = changes["fppi_at_recall"]
    fppi: list[Cells] = [
        ("false positives per image at recall", "before", "after"),
        (f"{changes['recall']:.3f}", *("–" if value is None else f"{value:.3f}" for value in at.values())),
    ]
    return [("Since the round before", rows), ("At equal recall", fppi)]


def _html_table(rows: Iterable[Cells]) -> str:
    head, *body = ([escape(str(cell)) for cell in row] for row in rows)
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {v}" for name, v in value.items()) or "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
