"""Studies: sets of measurements that are planned, run one at a time, stored and resumed."""

from slm_atlas.studies.lock import measuring
from slm_atlas.studies.plan import Cell, plan
from slm_atlas.studies.run import Advanced, Event, Finished, Remaining, Session, Started, pending, run_cells
from slm_atlas.studies.schema import Precision, Study, StudyModel, builtin_names, load_study
from slm_atlas.studies.subjects import Subject, discard, ensure, forged_bytes, prepare

__all__ = [
    "Advanced",
    "Cell",
    "Event",
    "Finished",
    "Precision",
    "Remaining",
    "Session",
    "Started",
    "Study",
    "StudyModel",
    "Subject",
    "builtin_names",
    "discard",
    "ensure",
    "forged_bytes",
    "load_study",
    "measuring",
    "pending",
    "plan",
    "prepare",
    "run_cells",
]
