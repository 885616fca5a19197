"""Calibrate quality control: from R's score, the posteriors and the agreement of two networks to the Dice they promise.

The engine itself segments synthetic scans whose truth is known, so that whatever it does around the networks (mirror
images, a coarser working grid) is in the calibration too. They should be of many anatomies.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract import QC_THRESHOLD
from SynthSegPlusLib.contract.errors import InputError, ModelError, OptionsError
from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference._rules import Calibration, SecondOpinion
from SynthSegPlusLib.inference.model_set import DESCRIPTION_FILE
from SynthSegPlusLib.labels import Grouping, LabelTable
from SynthSegPlusLib.synthesis import Generator
from SynthSegPlusLib.training.nothing import not_a_brain
from SynthSegPlusLib.training.pairs import NOT_A_BRAIN, region_dice
from SynthSegPlusLib.volume import Volume

ASKED, ALONE = "robust", "fast"
"""The modes that are observed: one in which S is asked for a second opinion, and one in which it is not."""
_PARTS = {ASKED: ("regressor", "agreement", "confidence"), ALONE: ("regressor", "confidence")}
NOTHING = "nothing"
"""The kind of scans that show no head. Scores are not fitted to them, whose true Dice of 0 no sum would meet."""
NUMBERS = ("regressor", "confidence", "agreement", "dice")
COLUMNS = ("mode", "seed", "scan", "shown", "region", *NUMBERS)
GOOD, BAD = 0.70, 0.60
"""Above the first Dice a region should be accepted, below the second rejected."""
CAUTIONS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Of which `tradeoffs` tells what they would do."""
STRETCHES = tuple(1 + number / 100 for number in range(101))
"""By how much `stretch_for` may multiply what scores lack of 1."""
FEWEST_SCANS = 10
"""Four numbers cannot be told from fewer."""
FEWEST_HEADS = FEWEST_SCANS - FEWEST_SCANS // NOT_A_BRAIN
"""Of these, so many show a head."""
EXPECTED = "confidence"
"""The part that is itself the Dice to be expected; without any result, it would be the score."""
PRIOR_RESULTS = 200
"""So many regions that bear this out are imagined beside those that were observed: the weights would otherwise follow
the few results that are very bad."""
_DIGITS = 4
_WIDEST = 5.0  # as far as a model set's description may go


@dataclass(frozen=True)
class Observed:
    """One region of one segmented scan: R's own score, the Dice that the posteriors expect, the agreement between S2
    and S (no number where S is not asked), and the true Dice.
    """

    mode: str
    seed: int
    scan: int
    shown: str
    region: str
    regressor: float
    confidence: float
    agreement: float
    dice: float


def asking(model_set: ModelSet) -> ModelSet:
    """The set with rules that change nothing but ask for every part of a score; `ModelError` without S."""
    for role in ("segmenter", "structure", "quality"):
        model_set.require(role)
    none, one = ((number,) * (len(model_set.qc_regions) - 1) for number in (0.0, 1.0))
    opinion, alone = SecondOpinion(none, one, none, none), Calibration(none, one, none)
    return replace(model_set, quality=replace(model_set.quality, second_opinion=opinion, alone=alone))


def observe(
    model_set: ModelSet, generators: dict[str, Generator], scans: Sequence[int], seed: int, **machine: Any
) -> Iterator[list[Observed]]:
    """Segment scans number ``scans`` in both modes and compare, one scan's regions at a time.

    ``generators``: named kinds of scans at 1 mm, taken in turn; one in `NOT_A_BRAIN` shows no head, where every true
    Dice is 0. ``machine``: backend, device, threads.
    """
    asked = asking(model_set)
    segmenters = [Segmenter(asked, mode=mode, quality=True, keep_networks=True, **machine) for mode in (ASKED, ALONE)]
    names = list(generators)
    for number in scans:
        kind = NOTHING if number % NOT_A_BRAIN == NOT_A_BRAIN - 1 else names[number % len(names)]
        image, truth = _scan(generators.get(kind) or generators[names[0]], kind, [seed, number])
        rows: list[Observed] = []
        try:
            for segmenter in segmenters:
                if segmenter is not segmenters[0]:
                    segmenter.take_networks_of(segmenters[0])
                result = segmenter.segment(Volume(image, np.eye(4), f"calibration_{number}"))
                dice = true_dice(result.labels.data, truth, model_set.table, model_set.qc_regions)
                about = (segmenter.options.mode, seed, number, kind)
                rows += _rows(about, result.record["quality_parts"], dice)
        except InputError:  # what shows no head may be refused, which needs no score
            continue
        yield rows


def _rows(
    about: tuple[str, int, int, str], parts: dict[str, dict[str, float | None]], dice: np.ndarray
) -> list[Observed]:
    def number(part: str, region: str) -> float:
        value = parts.get(part, {}).get(region)
        return math.nan if value is None else value

    return [
        Observed(*about, region, number("regressor", region), number("confidence", region),
                 number("agreement", region), float(value))
        for region, value in zip(parts["regressor"], dice, strict=True)
    ]  # fmt: skip


def _scan(generator: Generator, kind: str, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    from keras import ops

    if kind == NOTHING:
        image = not_a_brain(seed, generator.config.shape)
        return image, np.zeros(image.shape, np.uint8)
    sample = generator.sample(seed)
    truth: np.ndarray = ops.convert_to_numpy(sample.structures()).astype(np.uint8)
    return ops.convert_to_numpy(sample.image), truth


def true_dice(labels: np.ndarray, truth: np.ndarray, table: LabelTable, regions: Grouping) -> np.ndarray:
    """Dice (float64 [regions]) of QC regions; 0 for one that both maps lack.

    ``labels``: label values [x, y, z]; ``truth``: channels of ``table``, uint8 on the same grid.
    """
    channel_of = np.zeros(int(table.values.max()) + 1, np.uint8)
    channel_of[table.values] = np.arange(len(table.values))
    return region_dice(channel_of[labels], truth, regions.channels(table), len(regions))


def fit(
    observed: Sequence[Observed], regions: Sequence[str], caution: float, stretch: float = 1.0
) -> SecondOpinion:
    """How the parts of a score add up to the true Dice, lowered until a share ``caution`` of it is at least the score.

    One constant and one weight a part, the same for all regions: regions apart have too few bad results to learn from.
    Least squares, of the scans that show a head; the confidence, which is itself the Dice that is to be expected,
    counts in full, and the others not at all, as far as `PRIOR_RESULTS` go. No part may count against the truth. What
    is no number, as R's score can be in 16 bits, is left out. ``stretch``: by how much what scores lack of 1 is
    multiplied then (see `stretch_for`). `OptionsError` where fewer than `FEWEST_HEADS` scans show a head.
    """
    return SecondOpinion(*_cautious(observed, regions, ASKED, caution, stretch))


def fit_alone(
    observed: Sequence[Observed], regions: Sequence[str], caution: float, stretch: float = 1.0
) -> Calibration:
    """The same without the agreement, for the modes in which S is not asked."""
    return Calibration(*_cautious(observed, regions, ALONE, caution, stretch))


def _cautious(
    observed: Sequence[Observed], regions: Sequence[str], mode: str, caution: float, stretch: float
) -> list[tuple[float, ...]]:
    """A constant, which may be negative, and the weight of each part: for each one number a region."""
    results = _results(observed, regions, mode)
    weights = _weights(results.parts[results.head], results.true[results.head], _PARTS[mode])
    weights[0] -= _excess(results, weights, caution) + 1  # of the score less 1
    weights *= min(stretch, _WIDEST / max(weights[1:].max(), 1.0))
    weights[0] = np.clip(weights[0] + 1, -_WIDEST, _WIDEST)
    return [(round(float(weight), _DIGITS),) * len(regions) for weight in weights]


@dataclass(frozen=True)
class _Results:
    """What was observed in one mode, a row a region of a scan.

    parts: 1 and the parts of a score [n, 1 + parts]; true: Dice [n]; scan: number of the scan [n]; head: whether it
    shows a head [n].
    """

    parts: np.ndarray
    true: np.ndarray
    scan: np.ndarray
    head: np.ndarray

    def where(self, chosen: np.ndarray) -> _Results:
        """The rows that are chosen, bool [n]."""
        return _Results(self.parts[chosen], self.true[chosen], self.scan[chosen], self.head[chosen])


def _results(observed: Sequence[Observed], regions: Sequence[str], mode: str) -> _Results:
    own = [one for one in observed if one.mode == mode and one.region in regions and math.isfinite(one.regressor)]
    numbers = {scan: number for number, scan in enumerate(sorted({(one.seed, one.scan) for one in own}))}
    heads = {(one.seed, one.scan) for one in own if one.shown != NOTHING}
    if len(heads) < FEWEST_HEADS:
        raise OptionsError(
            f"{len(heads)} scans of heads were observed in mode {mode!r}; calibrate with {FEWEST_SCANS} scans or more."
        )
    parts = np.array([[1.0, *(getattr(one, name) for name in _PARTS[mode])] for one in own])
    scan = np.array([numbers[one.seed, one.scan] for one in own])
    return _Results(parts, np.array([one.dice for one in own]), scan, np.array([one.shown != NOTHING for one in own]))


def _weights(parts: np.ndarray, true: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Least squares with a free constant, the first, and no other weight below 0.

    What is expected of the weights counts as `PRIOR_RESULTS` results do that vary as these do.
    """
    from scipy.optimize import lsq_linear

    middle, spread = parts[:, 1:].mean(axis=0), parts[:, 1:].std(axis=0)
    expected = np.array([1.0 if name == EXPECTED else 0.0 for name in names])
    trust = np.sqrt(PRIOR_RESULTS) * spread
    rows = np.block([[np.ones((len(parts), 1)), parts[:, 1:] - middle], [np.zeros((len(names), 1)), np.diag(trust)]])
    lowest = [-_WIDEST] + [0.0] * len(names)
    highest = [_WIDEST] * (1 + len(names))
    found: np.ndarray = lsq_linear(rows, np.concatenate([true, trust * expected]), bounds=(lowest, highest)).x
    found[0] -= found[1:] @ middle
    return found


def _excess(results: _Results, weights: np.ndarray, caution: float | Sequence[float]) -> Any:
    """By how much scores must be lowered for a share ``caution`` of the results on heads to reach theirs."""
    return np.quantile((results.parts @ weights - results.true)[results.head], caution)


@dataclass(frozen=True)
class Tradeoff:
    """What a caution costs and brings, as shares of the scans' regions: of those with a true Dice above `GOOD` that are
    accepted, and of those below `BAD` that are rejected (NaN where there are none).
    """

    caution: float
    accepted: float
    rejected: float


def tradeoffs(
    observed: Sequence[Observed], regions: Sequence[str], mode: str = ASKED, threshold: float = QC_THRESHOLD,
    cautions: Sequence[float] = CAUTIONS,
) -> list[Tradeoff]:  # fmt: skip
    """What other cautions would do in a mode, each scan scored by a fit to the others.

    The others show the same anatomies, so this is kinder than new people will be. Scans without a head count, all their
    regions being bad. `OptionsError` where fewer than `FEWEST_HEADS` scans show one.
    """
    scores, dice = _scores_of_others(observed, regions, mode, cautions)
    return [
        Tradeoff(caution, *_shares(scores[:, number], dice, threshold)) for number, caution in enumerate(cautions)
    ]


def stretch_for(
    observed: Sequence[Observed], regions: Sequence[str], mode: str, caution: float, accepted: float,
    threshold: float = QC_THRESHOLD,
) -> tuple[float, Tradeoff]:  # fmt: skip
    """The largest of `STRETCHES` by which what the scores of a mode lack of 1 can be multiplied while a share
    ``accepted`` of the regions above `GOOD` is still accepted, and what it does; each scan scored by a fit to the
    others.

    At this threshold the same regions pass as with a margin below all scores, which would lower good scores more. 1
    where already the scores of ``caution`` accept fewer. `OptionsError` as `tradeoffs`.
    """
    scores, dice = _scores_of_others(observed, regions, mode, (caution,))
    lacking = 1 - scores[:, 0]
    found = [(stretch, _shares(1 - stretch * lacking, dice, threshold)) for stretch in STRETCHES]
    stretch, shares = [one for one in found if one[1][0] >= accepted or one[0] == 1][-1]
    return stretch, Tradeoff(caution, *shares)


def _scores_of_others(
    observed: Sequence[Observed], regions: Sequence[str], mode: str, cautions: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """(scores [n, cautions], true Dice [n]) of a mode's regions, each by a fit to the scans that are not its own."""
    results = _results(observed, regions, mode)
    scores = np.empty((len(results.true), len(cautions)))
    for scan in np.unique(results.scan):
        left = results.scan == scan
        others = results.where(~left)
        weights = _weights(others.parts[others.head], others.true[others.head], _PARTS[mode])
        scores[left] = (results.parts[left] @ weights)[:, None] - _excess(others, weights, cautions)
    return scores, results.true


def _shares(scores: np.ndarray, dice: np.ndarray, threshold: float) -> tuple[float, float]:
    """Shares of the good regions that pass and of the bad ones that do not; NaN where there are none."""
    passed = scores >= threshold
    good, bad = passed[dice > GOOD], ~passed[dice < BAD]
    return tuple(float(of.mean()) if len(of) else math.nan for of in (good, bad))  # type: ignore[return-value]


def check_writable(model_set: ModelSet) -> None:
    """`ModelError` for a set whose description could not be changed: better said before the scans are segmented."""
    path = model_set.folder / DESCRIPTION_FILE
    if not path.is_file() or not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise ModelError(
            f"The calibration of {model_set.name!r} cannot be written: {path} is missing or write-protected; make a "
            f"set of your own (`synthsegplus export`) or calibrate a copy."
        )


def claim(table: Path, model_set: ModelSet, maps: Sequence[str], kinds: Mapping[str, Any]) -> None:
    """Note beside a table which networks, rules, label maps and kinds of scans (generator's settings by name) it is of;
    `OptionsError` where they are others.
    """
    networks = {name: role.verify().sha256 for name, role in sorted(model_set.roles.items())}
    mine = {
        "columns": list(COLUMNS), "networks": networks, "postprocessing": asdict(model_set.postprocessing),
        "maps": list(maps), "kinds": dict(kinds),
    }  # fmt: skip
    path = table.with_suffix(".json")
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != mine:
            raise OptionsError(
                f"{table} holds what other networks or rules made, or other label maps or kinds of scans; give another "
                "folder with --out."
            )
        return
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def write_calibration(folder: Path, opinion: SecondOpinion, alone: Calibration) -> ModelSet:
    """Write a calibration into a set's description, replacing what it had, and load the set again."""
    path = folder / DESCRIPTION_FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    rules: dict[str, SecondOpinion | Calibration] = {"second_opinion": opinion, "alone": alone}
    values.setdefault("quality", {}).update(
        {rule: {name: list(part) for name, part in asdict(numbers).items()} for rule, numbers in rules.items()}
    )
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return ModelSet.load(folder)


def read_observed(path: Path) -> list[Observed]:
    """Rows of a table of observations; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Observed(row["mode"], int(row["seed"]), int(row["scan"]), row["shown"], row["region"],
                     *(float(row[name]) for name in NUMBERS))
            for row in csv.DictReader(file)
        ]  # fmt: skip


def write_observed(path: Path, observed: Sequence[Observed]) -> None:
    """Write the table of observations, through a temporary file."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for one in observed:
            numbers = {name: f"{getattr(one, name):.{_DIGITS}f}" for name in NUMBERS}
            writer.writerow({**asdict(one), **numbers})
    os.replace(partial, path)


def collect(
    model_set: ModelSet, generators: dict[str, Generator], count: int, seed: int, table: Path,
    say: Callable[[str], None] = print, **machine: Any,
) -> list[Observed]:  # fmt: skip
    """Observe scans 0 to ``count`` - 1 of a seed into a table; those that it has already are not made again.

    Returns these scans, whatever else the table holds.
    """
    observed = read_observed(table)
    done = {one.scan for one in observed if one.seed == seed}
    missing = [number for number in range(count) if number not in done]
    for rows in observe(model_set, generators, missing, seed, **machine):
        observed += rows
        write_observed(table, observed)
        mean = np.mean([one.dice for one in rows if one.mode == ASKED])
        say(f"scan {rows[0].scan} ({rows[0].shown}): mean true Dice of the regions {mean:.3f}")
    return [one for one in observed if one.seed == seed and one.scan < count]
