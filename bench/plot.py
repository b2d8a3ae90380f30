# SPDX-License-Identifier: Apache-2.0
"""Bars and lines as SVG, by hand: no library, and a file that can be read."""
import html
import math

OWN, OTHERS, INK, GRID = "#0b7a75", ["#9aa5b1", "#c2a878", "#b48ead", "#7c93c3", "#d08770"], "#22303c", "#e3e8ee"
STYLE = ('<style>text{font:13px "Inter","Helvetica Neue",Arial,sans-serif;fill:%s}.title{font-size:17px;font-weight:600}'
         '.small{font-size:11px;fill:#66737f}.value{font-size:12px}.own{font-weight:600}</style>' % INK)


def colours(names):
    """toyvmm has a colour of its own, its second transport a lighter one; the peers are muted."""
    others = iter(OTHERS * 3)
    return {n: OWN if n == "toyvmm" else "#5fb3ae" if n.startswith("toyvmm") else next(others) for n in names}


def number(v):
    if v >= 10000:
        return f"{v:,.0f}"
    return f"{v:.3g}" if v < 1000 else f"{v:.0f}"


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(str(words))}</text>'


def document(width, height, title, note, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
                      f'role="img" aria-label="{html.escape(title)}">', STYLE,
                      f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
                      text(24, 34, title, "title"), text(24, 54, note, "small"), *parts, "</svg>", ""])


class Scale:
    """Values to pixels: logarithmic where the largest is more than 30 times the smallest."""

    def __init__(self, values, low, high, from_zero=True, force_log=False):
        values = [v for v in values if v > 0] or [1]
        self.log = force_log or max(values) > 30 * min(values)
        self.pixels = low, high
        if self.log:
            self.low = 10 ** math.floor(math.log10(min(values)))
            self.high = max(values) * 1.05
        else:
            self.low, self.high = (0, max(values) * 1.05) if from_zero else (min(values), max(values))

    def __call__(self, v):
        low, high = self.pixels
        if self.log:
            part = math.log(max(v, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (v - self.low) / (self.high - self.low)
        return low + (high - low) * part

    def ticks(self):
        if self.log:
            first = round(math.log10(self.low))
            return [10.0 ** n for n in range(first, math.ceil(math.log10(self.high)) + 1) if 10.0 ** n <= self.high]
        step = 10 ** math.floor(math.log10(self.high / 3))
        step *= next(m for m in (1, 2, 5, 10) if self.high / (step * m) <= 6)
        return [n * step for n in range(int(self.high / step) + 1)]


def bars(title, unit, rows):
    """rows: {label: {name: value}}; a group of horizontal bars for each label."""
    names = list(dict.fromkeys(n for row in rows.values() for n in row))
    colour, left, width, bar = colours(names), 190, 860, 17
    scale = Scale([v for row in rows.values() for v in row.values()], left, width - 90)
    parts, y = [], 76
    for label, row in rows.items():
        middle = y + bar * len(row) / 2
        parts.append(text(left - 12, middle + 4, label, "", "end"))
        for name, value in row.items():
            end = max(scale(value), left + 1.5)
            parts.append(f'<rect x="{left}" y="{y + 1.5}" width="{end - left:.1f}" height="{bar - 3}" rx="2" fill="{colour[name]}"/>')
            parts.append(text(end + 6, y + bar - 5, number(value), "value own" if name == "toyvmm" else "value"))
            y += bar
        y += 14
    grid = []
    for tick in scale.ticks():
        x = scale(tick)
        grid.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="68" y2="{y}" stroke="{GRID}"/>')
        grid.append(text(x, y + 15, number(tick), "small", "middle"))
    x, legend = left, []
    for name in names:
        legend += [f'<rect x="{x}" y="{y + 28}" width="12" height="12" rx="2" fill="{colour[name]}"/>', text(x + 18, y + 38, name)]
        x += 42 + 7 * len(name)
    note = unit + (", logarithmic axis" if scale.log else "") + "; shorter is better"
    return document(width, y + 56, title, note, grid + parts + legend)


def lines(title, unit, x_label, series):
    """series: {name: [(x, y)...]}; x on a logarithmic axis."""
    width, height, left, bottom = 860, 420, 80, 350
    points = [p for line in series.values() for p in line]
    sx = Scale([x for x, _ in points], left, width - 150, force_log=True)
    sx.low, sx.high = min(x for x, _ in points) or 1, max(x for x, _ in points)
    sy = Scale([y for _, y in points], bottom, 76)
    parts, colour = [], colours(series)
    for tick in sy.ticks():
        y = sy(tick)
        parts += [f'<line x1="{left}" x2="{width - 150}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>',
                  text(left - 10, y + 4, number(tick), "small", "end")]
    for x in sorted({x for x, _ in points}):
        parts.append(text(sx(x), bottom + 20, number(x), "small", "middle"))
    parts.append(text((left + width - 150) / 2, bottom + 42, x_label, "", "middle"))
    for name, line in series.items():
        path = " ".join(f"{sx(x):.1f},{sy(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour[name]}" stroke-width="2.5" stroke-linejoin="round"/>')
        parts += [f'<circle cx="{sx(x):.1f}" cy="{sy(y):.1f}" r="3.5" fill="{colour[name]}"/>' for x, y in line]
        parts.append(text(sx(line[-1][0]) + 10, sy(line[-1][1]) + 4, name, "own" if name == "toyvmm" else ""))
    return document(width, height, title, unit + (", logarithmic axis" if sy.log else ""), parts)
