"""All stored cases as one Markdown page with a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from SynthSegPlusLib.cohort.files import replacing, write_text
from Testing.benchmarks.inference.whole import REFERENCE

NAME, PICTURE = "README.md", "cpu_seconds.png"
GOALS = {"float32": 0.70, "bfloat16": 0.40}
"""Share of the reference's CPU seconds that a robust run with parcels, quality and volumes may take."""

GOAL_GB = 6.0
COLUMNS = ("case", "grid", "wall s", "CPU s", "peak GB", "CPU / reference", "wall / reference", "memory / reference",
           "of matrix rate")  # fmt: skip


def write(out: Path) -> None:
    """`README.md` and `cpu_seconds.png` in the folder of the results, from whatever cases are there."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
    cases = sorted((r for r in reports if "stages" in r), key=lambda r: (r["shape"], r["chain"] != "robust",
                                                                         r["precision"] != "float32"))  # fmt: skip
    if not cases:
        return
    with replacing(out / PICTURE) as partial:
        picture(cases).savefig(partial, format="png", dpi=110, bbox_inches="tight")
    write_text(out / NAME, page(cases, [r for r in reports if r["chain"] == "dice"]))


def page(cases: list[dict[str, Any]], dice: list[dict[str, Any]]) -> str:
    lines = ["# Whole runs on a 1 mm head", "", _where(cases[0]), "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
    lines += [_row(_cells(case)) for case in cases]
    lines += ["", "The reference's figures: " + "; ".join(
        f"{chain} {r['wall_s']} s wall, {r['cpu_s']} s CPU, {r['peak_gb']} GB" for chain, r in REFERENCE.items()) + ".",
        "The share of the matrix rate counts the arithmetic of the plain networks, so that saved work shows, against "
        "the whole process, start and files included.", ""]  # fmt: skip
    lines += [_judged(case) for case in cases if case["chain"] == "robust" and case["over_reference"]]
    lines += [_dice(report) for report in dice]
    lines += ["", f"![CPU seconds by stage]({PICTURE})", "", "CPU seconds by stage:", ""]
    stages = list(dict.fromkeys(name for case in cases for name in case["stages"]))
    lines += [_row(["stage", *map(_title, cases)]), _row(["---"] * (len(cases) + 1))]
    for name in stages:
        times = [case["stages"].get(name) for case in cases]
        lines.append(_row([name, *("" if t is None else f"{t['cpu_s']:.1f}" for t in times)]))
    rest = [case["cpu_s"] - sum(t["cpu_s"] for t in case["stages"].values()) for case in cases]
    lines.append(_row(["start, files, backend", *(f"{seconds:.1f}" for seconds in rest)]))
    return "\n".join(lines) + "\n"


def picture(cases: list[dict[str, Any]]) -> Figure:
    """Stacked bars, a bar a case; the reference's whole process as a line above the cases of the full head."""
    figure = Figure(figsize=(1.6 + 1.5 * len(cases), 4.5))
    axes = figure.add_subplot()
    bottom = [0.0] * len(cases)
    for name in dict.fromkeys(name for case in cases for name in case["stages"]):
        heights = [case["stages"].get(name, {"cpu_s": 0.0})["cpu_s"] for case in cases]
        axes.bar(range(len(cases)), heights, bottom=bottom, label=name)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.bar(range(len(cases)), [case["cpu_s"] - low for case, low in zip(cases, bottom, strict=True)], bottom=bottom,
             label="start, files, backend", color="#999999")  # fmt: skip
    for place, case in enumerate(cases):
        if case["over_reference"]:
            axes.hlines(REFERENCE[case["chain"]]["cpu_s"], place - 0.4, place + 0.4, "black", "dashed")
    axes.set_xticks(range(len(cases)), [_title(case).replace(" ", "\n") for case in cases], fontsize=8)
    axes.set_ylabel("CPU seconds (dashed: the reference)")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _where(case: dict[str, Any]) -> str:
    machine = case["machine"]
    return (f"{machine['cpu']}, {machine['threads']} threads, {machine['device']}; stand-in weights; "
            f"load of the machine {machine['load_1min']}; {case['measured']}. Made by `python3 dev.py bench "
            "inference`.")  # fmt: skip


def _title(case: dict[str, Any]) -> str:
    return f"{case['chain']} {case['precision']} {'x'.join(map(str, case['shape']))}"


def _cells(case: dict[str, Any]) -> list[str]:
    over = case["over_reference"] or {}
    shares = [f"{over[name]:.2f}" if over else "" for name in ("cpu_s", "wall_s", "peak_gb")]
    return [_title(case), "x".join(map(str, case["grid"])), f"{case['wall_s']:.1f}", f"{case['cpu_s']:.1f}",
            f"{case['peak_gb']:.2f}", *shares, f"{case['share_of_matrix_rate']:.2f}"]  # fmt: skip


def _judged(case: dict[str, Any]) -> str:
    share, goal = case["over_reference"]["cpu_s"], GOALS.get(case["precision"])
    reached = "" if goal is None else f"; goal {goal:.2f}, {'reached' if share <= goal else 'not reached'}"
    memory = "reached" if case["peak_gb"] <= GOAL_GB else "not reached"
    return (f"- {case['precision']}: {share:.2f} of the reference's CPU seconds{reached}; {case['peak_gb']:.1f} GB; "
            f"goal {GOAL_GB:.0f}, {memory}.")  # fmt: skip


def _dice(report: dict[str, Any]) -> str:
    inside = report.get("bundled set", {}).get("structures")
    found_in = {**report, **({"bundled set, parcels as cortex": inside} if inside else {})}
    words = [f"{kind}: mean Dice {found['mean_dice']}, smallest {found['smallest_dice']}, "
             f"{100 * found['voxels_that_differ']:.2f} % of the brain's voxels differ"
             for kind in ("bundled set, parcels as cortex", "bundled set", "stand-in, fast")
             if (found := found_in.get(kind))]  # fmt: skip
    return f"- {report['precision']} against float32 - " + "; ".join(words) + "."


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"
