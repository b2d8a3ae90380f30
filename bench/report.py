# SPDX-License-Identifier: Apache-2.0
"""Tables of samples: printed with medians and ratios, kept as JSON, drawn as SVG."""
import json
import os
import re
import statistics

import plot


class Table:
    """add() takes samples in any order; a row is what is measured, a column the VMM it is measured of."""

    def __init__(self, title, unit="", x=""):
        self.title, self.unit, self.x = title, unit, x  # x: what the rows' labels count, for a plot of lines
        self.rows = {}

    def add(self, row, column, value):
        self.rows.setdefault(row, {}).setdefault(column, []).append(value)

    def columns(self):
        return list(dict.fromkeys(c for row in self.rows.values() for c in row))

    def median(self, row, column):
        return statistics.median(self.rows[row][column])

    def text(self):
        """The ratio in brackets is toyvmm's figure divided by the peer's: below 1, toyvmm needs less."""
        columns = self.columns()
        out = [f"\n{self.title}" + (f" ({self.unit})" if self.unit else "")]
        out.append(" " * 34 + "".join(f"{c:>19}" for c in columns))
        for row, cells in self.rows.items():
            line = f"{row!s:34}"
            for c in columns:
                cell = "-"
                if c in cells:
                    cell = plot.number(self.median(row, c))
                    if not c.startswith("toyvmm") and "toyvmm" in cells and self.median(row, c):
                        cell += f" ({self.median(row, 'toyvmm') / self.median(row, c):.2f})"
                line += f"{cell:>19}"
            out.append(line)
        return "\n".join(out)

    def svg(self):
        medians = {row: {c: self.median(row, c) for c in cells} for row, cells in self.rows.items()}
        if not self.x:
            return plot.bars(self.title, self.unit, medians)
        series = {c: [(row, cells[c]) for row, cells in medians.items() if c in cells] for c in self.columns()}
        return plot.lines(self.title, self.unit, self.x, series)

    def data(self):
        return {"title": self.title, "unit": self.unit, "x": self.x,
                "rows": [{"row": row, "column": c, "median": self.median(row, c), "samples": samples}
                         for row, cells in self.rows.items() for c, samples in cells.items()]}


def write(directory, host, tables):
    os.makedirs(directory, exist_ok=True)
    with open(f"{directory}/results.json", "w", encoding="utf-8") as out:
        json.dump({"host": host, "tables": [t.data() for t in tables]}, out, indent=1)
    for t in tables:
        name = re.sub(r"[^a-z0-9]+", "-", t.title.lower()).strip("-")
        with open(f"{directory}/{name}.svg", "w", encoding="utf-8") as out:
            out.write(t.svg())
