"""SynthSegPlus in the MRML scene: runs, result nodes, colours, review, export. Needs Slicer, not its windows.

Names here follow Slicer's manner (camelCase); positions are RAS in mm.
"""

from SynthSegPlusLib.scene._batch import NodeBatch, removeWithCompanions
from SynthSegPlusLib.scene._colours import allLabels, fillQualityTable, labelOf, shade
from SynthSegPlusLib.scene._display import Colouring, Which, colourBy, colouringOf, isShown, setLook, showInSlices
from SynthSegPlusLib.scene._engine import Engine, Job, Progress
from SynthSegPlusLib.scene._export import exportResult, ofEdits, summaryCsv, volumesCsv
from SynthSegPlusLib.scene._geometry import affineOf, arrayAndAffine, fillLabelmap, transformFindings
from SynthSegPlusLib.scene._judge import judge, runThreshold
from SynthSegPlusLib.scene._jump import centreOf, jumpTo
from SynthSegPlusLib.scene._packages import Installation, Packages, describe
from SynthSegPlusLib.scene._requirements import BACKENDS, Requirement, totalMegabytes
from SynthSegPlusLib.scene._result import ResultNodes, makeNodes, resultOf, resultsIn
from SynthSegPlusLib.scene._review import Decision, comment, commentOn, decide, decisionOf
from SynthSegPlusLib.scene._run import Check, Request, SegmentRun
from SynthSegPlusLib.scene._segmentation import makeSegmentation, segmentsOf, showSurfaces
from SynthSegPlusLib.scene._session import Session, sharedSession
from SynthSegPlusLib.scene._terminology import CONTEXT, terminologyDocument, terminologyTag
from SynthSegPlusLib.scene._worker import (
    LIBRARY_HOME,
    Worker,
    userFolder,
    workerCommand,
    workerEnvironment,
    workerPython,
)

__all__ = [
    "BACKENDS", "CONTEXT", "LIBRARY_HOME", "Check", "Colouring", "Decision", "Engine", "Installation", "Job",
    "NodeBatch", "Packages", "Progress", "Request", "Requirement", "ResultNodes", "SegmentRun", "Session", "Which",
    "Worker", "affineOf", "allLabels", "arrayAndAffine", "centreOf", "colourBy", "colouringOf", "comment",
    "commentOn", "decide", "decisionOf", "describe", "exportResult", "fillLabelmap", "fillQualityTable", "isShown",
    "judge", "jumpTo", "labelOf", "makeNodes", "makeSegmentation", "ofEdits", "removeWithCompanions", "resultOf",
    "resultsIn", "runThreshold", "segmentsOf", "setLook", "shade", "sharedSession", "showInSlices", "showSurfaces",
    "summaryCsv", "terminologyDocument", "terminologyTag", "totalMegabytes", "transformFindings", "userFolder",
    "volumesCsv", "workerCommand", "workerEnvironment", "workerPython",
]
