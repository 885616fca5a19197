"""Model sets: folders of weight files with a description, `model_set.json`. Reading one needs no deep learning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.contract.options import SegmentOptions
from SynthSegPlusLib.inference._fields import Fields
from SynthSegPlusLib.inference._integrity import Integrity, sha256_of
from SynthSegPlusLib.inference._rules import (
    Calibration,
    Padding,
    ParcelRule,
    Postprocessing,
    QualityRule,
    SecondOpinion,
    refiner_channels,
)
from SynthSegPlusLib.labels import Grouping, LabelTable, parcels, qc_regions, structures, tissues
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec

SCHEMA = 1
"""Version of `model_set.json` that this library reads."""

DESCRIPTION_FILE = "model_set.json"

SMALLEST_VIEW_MM = 64
"""A field of view of a set that is smaller than this holds no brain."""

ROLE_TITLES: dict[str, str] = {
    "segmenter": "single segmentation network (S)",
    "segmenter_1.0": "single segmentation network of version 1.0 (S 1.0)",
    "tissue": "tissue network (S1)",
    "denoiser": "denoiser (D)",
    "structure": "structure network (S2)",
    "refiner": "refiner at 1 mm",
    "parcellation": "cortical parcellation (S3)",
    "quality": "quality control (R)",
}
"""What each role is called when it is named to a person."""

MODE_ROLES: dict[str, tuple[str, ...]] = {
    "robust": ("tissue", "denoiser", "structure"),
    "default": ("segmenter",),
    "fast": ("segmenter",),
    "s1-s2": ("tissue", "structure"),
    "s-d": ("segmenter", "denoiser"),
    "s1-s2-d": ("tissue", "structure", "denoiser"),
}
"""Roles that each mode needs, in the order in which they run."""

_KEYS = (
    "schema", "name", "title", "version", "licence", "citation", "description", "source", "rank",
    "working_resolution_mm", "field_of_view_mm", "scheme", "padding", "label_table", "tissue_grouping", "qc_regions",
    "postprocessing", "quality", "parcels", "roles",
)  # fmt: skip


@dataclass(frozen=True)
class Role:
    """One network of a set: its weight file, what the file's checksum must be ("" if not known), its architecture."""

    name: str
    path: Path
    sha256: str
    network: UNetSpec | RegressorSpec
    label_version: str

    @property
    def title(self) -> str:
        return ROLE_TITLES[self.name]

    def verify(self) -> Integrity:
        """Check that the file exists and is the one described; `ModelError` otherwise. Cached until it changes."""
        actual = sha256_of(self.path)
        if self.sha256 and actual.sha256 != self.sha256:
            raise ModelError(
                f"The weight file {self.path} is damaged or another version: its SHA-256 is {actual.sha256[:12]}... "
                f"where the model set says {self.sha256[:12]}...; fetch it again."
            )
        return actual


@dataclass(frozen=True)
class ModelSet:
    """A set of networks that belong together, and the rules of the work around them.

    Attributes
    ----------
    folder
        Where its files are.
    found_in
        "named", "environment", "freesurfer" or "bundled".
    roles
        Networks whose files are there, by role name. `lacking` names the others.
    working_resolution_mm
        Voxel size of the grid on which the networks run, mm; results are given on 1 mm.
    field_of_view_mm
        Size (R, A, S) of the box about the brain that the networks were trained on, or None: they see the whole scan.
        A brain that such a box would cut gets a longer one.
    scheme
        How scans are conformed: "published" or "centred".
    rank
        Among bundled sets the highest is taken when none is named.
    """

    name: str
    folder: Path
    title: str
    version: str
    licence: str
    citation: str
    description: str
    source: str
    working_resolution_mm: float
    scheme: Literal["published", "centred"]
    label_version: str
    tissue_scheme: str
    qc_scheme: str
    padding: Padding
    postprocessing: Postprocessing
    quality: QualityRule
    parcel_rule: ParcelRule
    roles: Mapping[str, Role]
    absent: Mapping[str, Path] = field(default_factory=dict)
    rank: int = 0
    found_in: str = "named"
    field_of_view_mm: tuple[int, int, int] | None = None

    @classmethod
    def load(cls, folder: str | Path) -> ModelSet:
        """Read a set: a folder with `model_set.json`, that file itself, or a folder of published weight files.

        Raises `ModelError` when there is none, or its description is wrong.
        """
        from SynthSegPlusLib.inference._find import load_folder

        return load_folder(Path(folder))

    @classmethod
    def find(cls, path: str | Path | None = None) -> ModelSet:
        """The set to use: the one named (a folder, or the name of a bundled set), else the first that is found.

        Searched in order: ``path``, ``SYNTHSEGPLUS_MODELS``, ``FREESURFER_HOME/models``, the bundled sets.
        Raises `ModelError` when what was named is not a model set: it is never replaced in silence.
        """
        from SynthSegPlusLib.inference._find import find_model_set

        return find_model_set(path)

    @classmethod
    def from_dict(cls, values: object, folder: Path, path: Path) -> ModelSet:
        """Interpret a description; ``path`` is named in messages. Files that are not in ``folder`` become `absent`."""
        fields = Fields(values, path)
        schema = fields.whole("schema")
        if schema != SCHEMA:
            raise ModelError(f"{path} has schema {schema}, this version reads {SCHEMA}; update the older of the two.")
        fields.only(*_KEYS)
        label_version = fields.text("label_table", "2.0", ("1.0", "2.0"))
        described = _read_roles(fields.part("roles"), folder, label_version)
        found = cls(
            name=fields.text("name"),
            folder=folder,
            title=fields.text("title", fields.text("name")),
            version=fields.text("version", "1"),
            licence=fields.text("licence"),
            citation=fields.text("citation"),
            description=fields.text("description"),
            source=fields.text("source", ""),
            working_resolution_mm=fields.number("working_resolution_mm", low=0.5, high=4.0),
            scheme=fields.text("scheme", choices=("published", "centred")),  # type: ignore[arg-type]
            label_version=label_version,
            tissue_scheme=fields.text("tissue_grouping", "published", ("published", "paper")),
            qc_scheme=fields.text("qc_regions", "paper", ("published", "paper")),
            padding=Padding.read(fields.part("padding")),
            postprocessing=Postprocessing.read(fields.part("postprocessing")),
            quality=QualityRule.read(fields.part("quality")),
            parcel_rule=ParcelRule.read(fields.part("parcels")),
            roles={role.name: role for role in described if role.path.is_file()},
            absent={role.name: role.path for role in described if not role.path.is_file()},
            rank=fields.whole("rank", 0),
            field_of_view_mm=_read_view(fields),
        )
        _check_rules(found, path)
        _check_calibration(found, path)
        for role in described:
            _check_channels(found, role, path)
        return found

    @property
    def table(self) -> LabelTable:
        """Structures in the channel order of the networks."""
        return structures(self.label_version)

    @property
    def tissues(self) -> Grouping:
        return tissues(self.tissue_scheme)

    @property
    def qc_regions(self) -> Grouping:
        return qc_regions(self.qc_scheme)

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes that this set can run; none where it lacks the refiner that all of them end with."""
        if self.refines and not self.has("refiner"):
            return ()
        return tuple(mode for mode, needed in MODE_ROLES.items() if all(role in self.roles for role in needed))

    @property
    def best_mode(self) -> str:
        """Robust if the set has it, else default; `ModelError` when it can run nothing."""
        if not self.modes:
            self.require("segmenter")
            self.require("refiner")
        return self.modes[0]

    @property
    def lacking(self) -> tuple[str, ...]:
        """Names of the roles that this set does not have. Version 1.0 is not missed, nor is a refiner that no rule
        asks for.
        """
        optional = {"segmenter_1.0"} if self.refines else {"segmenter_1.0", "refiner"}
        return tuple(role for role in ROLE_TITLES if role not in self.roles and role not in optional)

    def has(self, *roles: str) -> bool:
        return all(role in self.roles for role in roles)

    def require(self, role: str) -> Role:
        """The role, or a `ModelError` that names the lack, where its file was expected, and where to get it."""
        if role in self.roles:
            return self.roles[role]
        title = ROLE_TITLES.get(role, role)
        if role in self.absent:
            where = f"the file {self.absent[role]} is missing. {self.source}".strip()
            raise ModelError(f"The model set {self.name!r} has no {title}: {where}")
        modes = f"it can run {', '.join(self.modes)}" if self.modes else "it can run no mode"
        raise ModelError(
            f"The model set {self.name!r} has no {title}; {modes}. Choose another option or another model set."
        )

    def averages_segmenter(self, mode: str) -> bool:
        """Whether the structures of ``mode`` are the mean of S's and S2's: robust, where the set has S and says so."""
        return mode == "robust" and self.postprocessing.segmenter_share > 0 and self.has("segmenter")

    @property
    def refines(self) -> bool:
        """Whether the refiner has a say at 1 mm."""
        return self.postprocessing.refinement > 0

    def refines_labels(self, label_version: str) -> bool:
        """Whether it has a say in a run for this version of the labels: the refiner knows those of the set alone."""
        return self.refines and label_version == self.label_version

    def asks_second_opinion(self, mode: str) -> bool:
        """Whether S is asked too where the result of ``mode`` is scored: it must be another network's."""
        return self.quality.second_opinion is not None and "structure" in MODE_ROLES[mode] and self.has("segmenter")

    def scoring(self, mode: str) -> SecondOpinion | Calibration | None:
        """The rule by which the regions of a result of ``mode`` are scored; None: R's scores as they are."""
        return self.quality.second_opinion if self.asks_second_opinion(mode) else self.quality.alone

    def needed_roles(self, options: SegmentOptions) -> tuple[str, ...]:
        """Names of the roles that a run needs, in the order in which they run; whether they are there is not asked."""
        roles = list(MODE_ROLES[options.mode])
        if "segmenter" in roles:
            roles[roles.index("segmenter")] = self.segmenter_role(options.label_version)
        if self.averages_segmenter(options.mode):
            roles.insert(roles.index("structure"), "segmenter")
        if self.refines_labels(options.label_version):
            roles.append("refiner")
        if options.parcellation:
            roles.append("parcellation")
        if options.quality:
            asks = self.asks_second_opinion(options.mode) and "segmenter" not in roles
            roles += ["segmenter"] if asks else []
            roles.append("quality")
        return tuple(roles)

    def segmenter_role(self, label_version: str) -> str:
        """Name of the single network's role for a label version."""
        return "segmenter" if label_version == self.label_version else f"segmenter_{label_version}"


def read_description(path: Path) -> object:
    """The JSON of a description; `ModelError` when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"The model set description {path} cannot be read ({error}); fetch it again.") from error


def _read_view(fields: Fields) -> tuple[int, int, int] | None:
    view = fields.values.get("field_of_view_mm")
    if view is None:
        return None
    whole = isinstance(view, list) and all(isinstance(side, int) and side >= SMALLEST_VIEW_MM for side in view)
    if not whole or len(view) != 3:
        raise ModelError(
            f"In {fields.path}, field_of_view_mm is {view!r}; give three whole numbers of at least {SMALLEST_VIEW_MM}."
        )
    return view[0], view[1], view[2]


def _read_roles(fields: Fields, folder: Path, label_version: str) -> list[Role]:
    fields.only(*ROLE_TITLES)
    if not fields.values:
        raise ModelError(f"In {fields.path}, no role is described; a model set needs at least one network.")
    return [_read_role(name, fields.part(name), folder, label_version) for name in fields.values]


def _read_role(name: str, fields: Fields, folder: Path, label_version: str) -> Role:
    fields.only("file", "sha256", "network")
    file = fields.text("file")
    if Path(file).name != file:
        raise ModelError(f"In {fields.path}, {fields.place}.file is {file!r}; name a file of the same folder.")
    kind = RegressorSpec if name == "quality" else UNetSpec
    try:
        network = kind.from_dict(fields.part("network").values)
    except ModelError as error:
        raise ModelError(f"In {fields.path}, {fields.place}.network: {error}") from error
    version = "1.0" if name == "segmenter_1.0" else label_version
    return Role(name, folder / file, fields.text("sha256", "").lower(), network, version)


def _check_rules(found: ModelSet, path: Path) -> None:
    if found.working_resolution_mm != 1 and "published" in (found.scheme, found.parcel_rule.combination):
        raise ModelError(
            f"{path} works at {found.working_resolution_mm:g} mm with the published scheme or parcel rule, which know "
            f"1 mm only; use the centred scheme and the conditional rule."
        )
    for name in ("appearance", "gaps_mm"):
        value = getattr(found.postprocessing, name)
        if value and found.working_resolution_mm <= 1:
            raise ModelError(
                f"{path} works at {found.working_resolution_mm:g} mm, where postprocessing.{name} is {value:g}; it is "
                f"for posteriors that are brought to 1 mm from a coarser grid, so remove it."
            )
    if found.refines and not found.postprocessing.appearance:
        raise ModelError(
            f"In {path}, postprocessing.refinement is {found.postprocessing.refinement:g} without appearance, whose "
            f"results the refiner is shown; give both, or leave it out."
        )
    if found.refines and "refiner" not in {*found.roles, *found.absent}:
        raise ModelError(
            f"In {path}, postprocessing.refinement is {found.postprocessing.refinement:g} and roles describe no "
            f"refiner; describe it, or leave refinement out."
        )


def _check_calibration(found: ModelSet, path: Path) -> None:
    wanted = len(found.qc_regions) - 1
    for part in ("second_opinion", "alone"):
        rule = getattr(found.quality, part)
        for name, values in vars(rule).items() if rule is not None else ():
            if len(values) != wanted and (values or name != "confidence"):
                raise ModelError(
                    f"In {path}, quality.{part}.{name} has {len(values)} numbers where the set has {wanted} QC "
                    f"regions; correct the description, or calibrate the set again."
                )


def _check_channels(found: ModelSet, role: Role, path: Path) -> None:
    """A network's first and last layer must fit the tables: a mistake here would give plausible wrong labels."""
    n_tissues, n_regions = len(found.tissues), len(found.qc_regions)
    n_structures = len(structures(role.label_version))
    takes, answers = refiner_channels(structures(role.label_version))
    expected: dict[str, tuple[int, tuple[int, ...]]] = {
        "segmenter": (1, (n_structures,)),
        "segmenter_1.0": (1, (n_structures,)),
        "tissue": (1, (n_tissues,)),
        "denoiser": (n_tissues, (n_tissues,)),
        "structure": (1 + n_tissues, (n_structures,)),
        "refiner": (takes, (answers,)),
        "parcellation": (3, (len(parcels()),)),
        "quality": (n_regions, (n_regions, n_regions - 1)),
    }
    network = role.network
    outputs = network.n_outputs if isinstance(network, RegressorSpec) else network.n_labels
    n_in, n_out = expected[role.name]
    if network.in_channels != n_in or outputs not in n_out:
        raise ModelError(
            f"In {path}, the network of role {role.name} has {network.in_channels} inputs and {outputs} outputs where "
            f"the set's tables need {n_in} and {' or '.join(map(str, n_out))}; correct the description."
        )
