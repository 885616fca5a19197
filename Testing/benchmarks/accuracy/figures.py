"""Figures of a run, drawn from its tables: each is written where the tables have what it shows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.options import QC_THRESHOLD
from SynthSegPlusLib.evaluation import agreement, area_under_curve, bootstrap_interval
from Testing.benchmarks.accuracy.summary import paired_gain, quality_pairs, scan_means, values_of
from Testing.benchmarks.accuracy.tables import Rows
from Testing.benchmarks.accuracy.variants import CASCADE, TITLES

COLOURS = {
    "robust": "#0072B2", "s1-s2": "#56B4E9", "fast": "#D55E00", "s-d": "#E69F00", "s1-s2-d": "#009E73",
    "default": "#CC79A7", CASCADE: "#999999",
}  # fmt: skip
"""Okabe and Ito's palette, which colour-blind people can tell apart."""
GREY = "#555555"
PARTS = ("synthetic", "contrast", "quality", "real")
NAMES = {"quality": "strongly degraded"}
MARKERS = {"synthetic": "o", "contrast": "s", "quality": "^", "degraded": "^", "real": "D"}
DPI = 110


def draw_figures(out: Path, dice: Rows, scans: Rows) -> list[Path]:
    """Draw everything that the tables allow; the files that were written."""
    structures = [row for row in dice if row["kind"] == "structure"]
    synthetic = [row for row in structures if row["part"] == "synthetic"]
    drawn = {
        "dice_by_spacing": _by_spacing(synthetic),
        "dice_by_structure": _by_structure(synthetic),
        "degraded": _degraded([row for row in structures if row["part"] == "degraded"]),
        "quality": _quality([row for row in dice if row["mode"] == "robust"]),
        "icv": _volumes([row for row in scans if row["part"] == "synthetic"], "icv", "ICV (litres)", 1e6),
        "real_scans": _real([row for row in structures if row["part"] == "real"],
                            [row for row in scans if row["part"] == "real"]),
    }  # fmt: skip
    return [_write(out / f"{name}.png", figure) for name, figure in drawn.items() if figure is not None]


def _figure(width: float, height: float, columns: int = 1, **keywords: Any) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, columns, **keywords))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def _write(path: Path, figure: Any) -> Path:
    partial = path.with_name(f".{path.stem}.part.png")
    figure.savefig(partial, dpi=DPI, bbox_inches="tight", pad_inches=0.1)
    os.replace(partial, path)
    return path


def _modes(rows: Iterable[dict[str, str]]) -> list[str]:
    found = {row["mode"] for row in rows}
    return [mode for mode in TITLES if mode in found]


def _boxes(axis: Any, groups: Sequence[Sequence[np.ndarray]], modes: Sequence[str], horizontal: bool = False) -> None:
    """Boxes of each group's modes side by side; few values are also shown as points."""
    width = 0.8 / len(modes)
    for number, mode in enumerate(modes):
        places = np.arange(len(groups)) + (number - (len(modes) - 1) / 2) * width
        values = [group[number] for group in groups]
        boxes = axis.boxplot(
            values, positions=places, widths=0.82 * width, patch_artist=True, manage_ticks=False,
            orientation="horizontal" if horizontal else "vertical", label=TITLES[mode],
            medianprops={"color": "black"}, flierprops={"marker": ".", "markersize": 3, "markeredgecolor": GREY},
        )  # fmt: skip
        for box in boxes["boxes"]:
            box.set(facecolor=COLOURS[mode], linewidth=0.7)
        for place, points in zip(places, values, strict=True):
            if len(points) <= 12 and not horizontal:
                axis.plot(np.full(len(points), place), points, ".", color="black", markersize=3, alpha=0.6)


def _by_spacing(rows: Rows) -> Any:
    """Mean Dice of each synthetic scan, per variant and slice spacing."""
    if not rows:
        return None
    modes = _modes(rows)
    levels = sorted({row["spacing"] for row in rows}, key=float)
    groups = []
    for level in [None, *levels]:
        chosen = [row for row in rows if level is None or row["spacing"] == level]
        groups.append([np.array([*scan_means([r for r in chosen if r["mode"] == mode]).values()]) for mode in modes])
    figure, (axis,) = _figure(9, 4.2)
    _boxes(axis, groups, modes)
    counts = [max(map(len, group)) for group in groups]
    names = ["all", *(f"{float(level):g} mm" for level in levels)]
    axis.set_xticks(range(len(groups)), [f"{name}\n{n} scans" for name, n in zip(names, counts, strict=True)])
    axis.set(ylabel="mean Dice of structures", title="Synthetic test scans by slice spacing")
    axis.grid(visible=False, axis="x")
    axis.legend(ncols=len(modes), frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return figure


def _by_structure(rows: Rows) -> Any:
    """Dice of every structure, both sides together, robust beside single."""
    modes = [mode for mode in ("robust", "fast") if mode in _modes(rows)]
    if not modes:
        return None
    by_name: dict[tuple[str, str], Rows] = {}
    for row in rows:
        by_name.setdefault((row["name"].removeprefix("left ").removeprefix("right "), row["mode"]), []).append(row)
    names = list(dict.fromkeys(name for name, _ in by_name))
    middle = {name: np.median(values_of(by_name.get((name, modes[0]), []))) for name in names}
    names.sort(key=lambda name: middle[name])
    figure, (axis,) = _figure(8, 0.36 * len(names) + 1.2)
    _boxes(axis, [[values_of(by_name.get((name, mode), [])) for mode in reversed(modes)] for name in names],
           modes[::-1], horizontal=True)  # fmt: skip
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="Dice", title="Synthetic test scans by structure (left and right together)", xlim=(0, 1))
    axis.grid(visible=False, axis="y")
    axis.legend(frameon=False, fontsize=9, loc="upper left", reverse=True)
    return figure


def _degraded(rows: Rows) -> Any:
    """Robust, and the cascade without S where robust is averaged with it, against S on each degraded scan."""
    single = scan_means([row for row in rows if row["mode"] == "fast"])
    pairs = {mode: paired_gain(rows, mode, "fast") for mode in ("robust", CASCADE)}
    pairs = {mode: gain for mode, gain in pairs.items() if len(gain)}
    if "robust" not in pairs:
        return None
    figure, axes = _figure(5 + 4.6 * len(pairs), 4.6, 1 + len(pairs))
    shown = []
    for mode in reversed(pairs):
        means = scan_means([row for row in rows if row["mode"] == mode])
        both = np.array([(single[name], means[name]) for name in means if name in single])
        axes[0].plot(both[:, 0], both[:, 1], "o", color=COLOURS[mode], markersize=4, alpha=0.7, label=TITLES[mode])
        shown.append(both.ravel())
    _diagonal(axes[0], np.concatenate(shown))
    axes[0].set(xlabel="mean Dice, S", ylabel="mean Dice",
                title=f"{len(pairs['robust'])} strongly degraded scans")  # fmt: skip
    axes[0].legend(frameon=False, fontsize=8, loc="upper left", reverse=True)
    for axis, (mode, gain) in zip(axes[1:], pairs.items(), strict=True):
        low, high = bootstrap_interval(gain)
        axis.hist(100 * gain, bins=24, color=COLOURS[mode], alpha=0.8)
        axis.axvline(0, color="black", linewidth=1)
        axis.axvspan(100 * low, 100 * high, color=COLOURS["fast"], alpha=0.45)
        axis.set(xlabel=f"{TITLES[mode]} minus S (Dice points)\nshaded: 95 % interval of the mean", ylabel="scans",
                 title=f"mean {100 * gain.mean():+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]")  # fmt: skip
    return figure


def _diagonal(axis: Any, values: np.ndarray) -> None:
    room = 0.04 * (np.ptp(values) or 1.0)
    limits = (values.min() - room, values.max() + room)
    axis.plot(limits, limits, color=GREY, linewidth=1)
    axis.set(xlim=limits, ylim=limits)
    axis.set_aspect("equal")


def _quality(rows: Rows) -> Any:
    """Predicted against true Dice of regions: the score, its parts where it has several, and the estimate from D."""
    rows = [row for row in rows if row["part"] in PARTS]
    joined = len(quality_pairs(rows, "region", "regressor")[0]) > 0
    panels = [("Score" if joined else "R", "score"), ("R alone", "regressor"),
              ("Dice that the posteriors expect", "confidence"), ("Dice between S and S2", "agreement"),
              ("Dice between D's tissues and S2's", "estimate")]  # fmt: skip
    panels = [panel for panel in panels if len(quality_pairs(rows, "region", panel[1])[0])]
    if not panels:
        return None
    figure, axes = _figure(4.6 * len(panels) + 0.4, 4.8, len(panels), sharey=True)
    colours = dict(zip(PARTS, (COLOURS[mode] for mode in ("robust", "s1-s2-d", "fast", "default")), strict=True))
    for axis, (title, column) in zip(axes, panels, strict=True):
        for part in PARTS:
            predicted, true = quality_pairs([row for row in rows if row["part"] == part], "region", column)
            if len(true):
                axis.scatter(true, predicted, s=10, alpha=0.45, color=colours[part], marker=MARKERS[part],
                             label=f"{NAMES.get(part, part)} ({len(true)})", linewidths=0)  # fmt: skip
        predicted, true = quality_pairs(rows, "region", column)
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        axis.axhline(QC_THRESHOLD, color="black", linewidth=0.9, linestyle="--")
        axis.axvline(QC_THRESHOLD, color="black", linewidth=0.9, linestyle="--")
        auc = area_under_curve(predicted, true < QC_THRESHOLD)
        error = np.abs(predicted - true).mean()
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="true Dice of a region",
                 title=f"{title}\nAUC {auc:.3f}, mean absolute error {error:.3f}")  # fmt: skip
        axis.set_aspect("equal")
    axes[0].set_ylabel("predicted Dice")
    axes[0].legend(frameon=False, fontsize=8, loc="upper left", markerscale=1.8)
    return figure


def _volumes(rows: Rows, name: str, title: str, unit: float) -> Any:
    """Measured against true volume, robust beside single."""
    modes = [mode for mode in ("robust", "fast") if mode in _modes(rows)]
    pairs = {mode: _pairs([row for row in rows if row["mode"] == mode], name) / unit for mode in modes}
    pairs = {mode: found for mode, found in pairs.items() if len(found)}
    if not pairs:
        return None
    figure, (axis,) = _figure(5, 5.6)
    _scatter(axis, pairs)
    axis.set(xlabel=f"true {title}", ylabel=f"measured {title}", title="Synthetic test scans")
    return figure


def _pairs(rows: Rows, name: str) -> np.ndarray:
    """(measured, true) volumes, float64 [n, 2], of the rows that have both."""
    found = [(row.get(f"{name}_mm3", ""), row.get(f"true_{name}_mm3", "")) for row in rows]
    return np.array([(float(a), float(b)) for a, b in found if a and b and float(b) > 0]).reshape(-1, 2)


def _scatter(axis: Any, pairs: dict[str, np.ndarray]) -> None:
    for mode, found in pairs.items():
        stats = agreement(found[:, 0], found[:, 1])
        label = f"{TITLES[mode]}: r {stats.pearson:.2f}, bias {100 * stats.bias:+.1f} %"
        axis.plot(found[:, 1], found[:, 0], MARKERS["synthetic" if mode == "robust" else "degraded"],
                  color=COLOURS[mode], markersize=5, alpha=0.75, label=label)  # fmt: skip
    _diagonal(axis, np.concatenate([found.ravel() for found in pairs.values()]))
    axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14))


def _real(rows: Rows, scans: Rows) -> Any:
    """Mean Dice of real scans with a reference per variant, and their hippocampal and ventricular volumes."""
    modes = _modes(rows)
    if not modes:
        return None
    names = list(dict.fromkeys(row["scan"] for row in rows))
    figure, axes = _figure(13, 4.8, 3, width_ratios=[1.5, 1, 1])
    for number, mode in enumerate(modes):
        means = scan_means([row for row in rows if row["mode"] == mode])
        width = 0.8 / len(modes)
        places = np.arange(len(names)) + (number - (len(modes) - 1) / 2) * width
        heights = [means.get(name, 0.0) for name in names]
        axes[0].bar(places, heights, 0.94 * width, color=COLOURS[mode], label=TITLES[mode])
    axes[0].set_xticks(range(len(names)), [name.replace("_", "\n", 2) for name in names], fontsize=8)
    axes[0].set(ylabel="mean Dice of structures", ylim=(0, 1), title="Real scans with a reference")
    axes[0].grid(visible=False, axis="x")
    axes[0].legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    for axis, (name, title) in zip(axes[1:], (("hippocampus", "hippocampi"), ("ventricles", "lateral ventricles")),
                                   strict=True):  # fmt: skip
        pairs = {mode: _pairs([row for row in scans if row["mode"] == mode], name) / 1000 for mode in modes
                 if mode in ("robust", "fast")}  # fmt: skip
        pairs = {mode: found for mode, found in pairs.items() if len(found)}
        if pairs:
            _scatter(axis, pairs)
        axis.set(xlabel="reference (ml)", ylabel="measured (ml)", title=f"Volume of the {title}")
    return figure
