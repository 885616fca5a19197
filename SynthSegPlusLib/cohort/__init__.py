"""Many scans: where each result goes, what is done already, and the loop that lets no scan stop the others."""

from SynthSegPlusLib.cohort.loop import Reporter, Segment, run
from SynthSegPlusLib.cohort.naming import Asked, Job, Plan, plan
from SynthSegPlusLib.cohort.outcomes import Outcome

__all__ = ["Asked", "Job", "Outcome", "Plan", "Reporter", "Segment", "plan", "run"]
