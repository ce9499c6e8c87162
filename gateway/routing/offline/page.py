"""The report as one HTML file with its pictures inside, as SVG: nothing to install, nothing to fetch."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from gateway.routing.offline import evaluate
from gateway.routing.offline.dataset import Floats
from gateway.routing.offline.report import HEADINGS, LEGEND, WITH_INTERVAL, Interval, Scored, Table

SIZE = 420
MARGIN = 48
POINTS = 200
"""A curve of thousands of steps is drawn with this many."""
RESAMPLES = 100
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left } td small { color: #777 }
figure { display: inline-block; margin: 1rem 1rem 1rem 0; vertical-align: top } figcaption { max-width: 26rem }
.scroll { overflow-x: auto } svg text { font: 12px system-ui, sans-serif; fill: #444 }
"""
ROUTER, RANDOM, ORACLE = "#0b6bcb", "#999", "#2e8b57"

Line = tuple[Sequence[tuple[float, float]], str, str]
"""Points from 0 to 1 on both axes, a colour, and an SVG dash pattern."""


def as_html(title: str, facts: Sequence[str], table: Table, counts: dict[str, int], scored: Scored) -> str:
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>',
        f"<h1>{escape(title)}</h1>",
        "".join(f"<p>{escape(fact)}</p>" for fact in facts),
        _figure(
            cost_quality(scored),
            "Quality by share of expensive calls: the router with its 95% band, an oracle "
            "that knows the outcomes (dashed), and choosing at random (grey). 0 is the cheap model's mean score, "
            "1 the expensive one's.",
        ),
        _figure(
            reliability(scored),
            "Calibration: predicted against observed, in ten bins of equally many prompts. "
            "On the diagonal, a probability means what it says.",
        ),
        f'<div class="scroll">{_table(table, counts)}</div>',
        "".join(f"<p>{escape(line)}</p>" for line in LEGEND.split(". ")),
    ]
    return "\n".join(parts) + "\n"


def _table(table: Table, counts: dict[str, int]) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in ("", "prompts", *HEADINGS.values()))
    body = "".join(
        f"<tr><td>{escape(title)}</td><td>{counts.get(title, sum(counts.values())):,}</td>"
        + "".join(f"<td>{_cell(name, row[name])}</td>" for name in HEADINGS)
        + "</tr>"
        for title, row in table.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(name: str, interval: Interval) -> str:
    if np.isnan(interval.value):
        return ""
    spread = f" <small>{interval.low:.3f}-{interval.high:.3f}</small>" if name in WITH_INTERVAL else ""
    return f"{interval.value:.3f}{spread}"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def cost_quality(scored: Scored) -> str:
    """Recovered share of the gap over the share of expensive calls."""
    shares = np.linspace(0, 1, POINTS)
    drawn = np.array([_recovered(scored.take(some), shares) for some in evaluate.samples(len(scored.p), RESAMPLES)])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    band = [*zip(shares, low, strict=True), *zip(shares[::-1], high[::-1], strict=True)]
    even = np.ones_like(scored.p)
    oracle = Scored(scored.strong - scored.weak, scored.is_familiar, scored.weak, scored.strong, even)
    top = float(max(1.0, _recovered(oracle, shares).max()))
    lines: list[Line] = [
        ([(0.0, 0.0), (1.0, 1 / top)], RANDOM, ""),
        (_scaled(shares, _recovered(oracle, shares), top), ORACLE, "6 4"),
        (_scaled(shares, _recovered(scored, shares), top), ROUTER, ""),
    ]
    return _picture(
        lines, "share of expensive calls", "quality gap recovered", top, band=[(x, y / top) for x, y in band]
    )


def _recovered(scored: Scored, shares: Floats) -> Floats:
    points = scored.curve()
    gap = points.quality[-1] - points.quality[0]
    recovered: Floats = (np.interp(shares, points.share, points.quality) - points.quality[0]) / (gap or np.nan)
    return recovered


def reliability(scored: Scored) -> str:
    """Observed share of wins over the probability, in bins."""
    expected = evaluate.target(scored.weak, scored.strong)
    bins = np.array_split(np.argsort(scored.p, kind="stable"), min(10, len(scored.p)))
    points = [(float(scored.p[some].mean()), float(expected[some].mean())) for some in bins]
    lines: list[Line] = [([(0.0, 0.0), (1.0, 1.0)], RANDOM, "6 4"), (points, ROUTER, "")]
    return _picture(lines, "predicted probability", "observed", 1.0, dots=points)


def _scaled(x: Floats, y: Floats, top: float) -> list[tuple[float, float]]:
    return [(float(a), float(b) / top) for a, b in zip(x, y, strict=True)]


def _picture(
    lines: Iterable[Line],
    x_title: str,
    y_title: str,
    top: float,
    *,
    band: Sequence[tuple[float, float]] = (),
    dots: Sequence[tuple[float, float]] = (),
) -> str:
    """Lines in a square from 0 to 1; `top` is what the upper end of the y axis stands for."""
    ticks = [place / 5 for place in range(6)]
    parts = [f'<svg viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" role="img" aria-label="{escape(y_title)}">']
    parts += [f'<text x="{_x(tick):.0f}" y="{SIZE - 28}" text-anchor="middle">{tick:.1f}</text>' for tick in ticks]
    parts += [f'<text x="{MARGIN - 8}" y="{_y(t) + 4:.0f}" text-anchor="end">{t * top:.1f}</text>' for t in ticks]
    parts += [f'<path d="{_path([(0, t), (1, t)])}" stroke="#eee"/>' for t in ticks]
    if band:
        parts.append(f'<path d="{_path(band)}Z" fill="{ROUTER}" opacity=".15"/>')
    for points, colour, dash in lines:
        parts.append(
            f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
    parts += [f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4" fill="{ROUTER}"/>' for x, y in dots]
    parts.append(f'<text x="{SIZE / 2}" y="{SIZE - 8}" text-anchor="middle">{escape(x_title)}</text>')
    turned = f'transform="rotate(-90 14 {SIZE / 2})"'
    parts.append(f'<text x="14" y="{SIZE / 2}" text-anchor="middle" {turned}>{escape(y_title)}</text>')
    return "".join([*parts, "</svg>"])


def _x(share: float) -> float:
    return MARGIN + share * (SIZE - MARGIN - 12)


def _y(share: float) -> float:
    return SIZE - MARGIN - share * (SIZE - MARGIN - 12)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)
