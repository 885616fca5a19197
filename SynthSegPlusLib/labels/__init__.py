"""Label tables of the brain: structures, parcels, tissue groups, QC regions, and the maps that training starts from.

The numbers live in the CSV files of `data/`, one row per label; nothing in the project computes a label from another
by arithmetic. Numbering and published names follow FreeSurfer and SynthSeg; titles, colours and the paper's groupings
are this project's own. Standard library and numpy only, so that Slicer's own process can import it.

Decisions where the paper (Billot et al., PNAS 2023) names classes without listing their members:

- tissues("paper"), four classes: grey matter holds the cerebral cortex and all grey nuclei (thalamus, caudate, putamen,
  pallidum, hippocampus, amygdala, accumbens); brain-stem and ventral diencephalon, mostly fibre tracts, go with the
  white matter; fluid holds the ventricles and the extracerebral CSF; cerebellum holds its cortex and white matter.
- qc_regions("paper"), ten representative regions: the lateral ventricle includes its inferior horn. Caudate, accumbens,
  ventral diencephalon, third and fourth ventricle and CSF belong to no region: they are "not scored", never "passed".
- Codes of structures are those of DICOM's context groups for brain structures (CID 7140, 7153); codes of parcels are
  the gyri of SNOMED CT as Uberon maps them, and only where parcel and gyrus are the same thing (no code for the parts
  of the cingulate, middle and inferior frontal gyri, orbitofrontal, inferior parietal and pericalcarine cortex).
- Every parcel belongs to the groups of the cortex of its hemisphere.
"""

from SynthSegPlusLib.labels._generation import GenerationLabel, GenerationTable, generation_labels
from SynthSegPlusLib.labels._grouping import Grouping, lobes, qc_regions, tissues
from SynthSegPlusLib.labels._table import Label, LabelTable, Terminology, parcels, structures

__all__ = [
    "GenerationLabel",
    "GenerationTable",
    "Grouping",
    "Label",
    "LabelTable",
    "Terminology",
    "generation_labels",
    "lobes",
    "parcels",
    "qc_regions",
    "structures",
    "tissues",
]
