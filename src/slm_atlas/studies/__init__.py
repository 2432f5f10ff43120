"""Studies: sets of measurements that are planned, run one at a time, stored and resumed."""

from slm_atlas.studies.lock import measuring
from slm_atlas.studies.plan import Cell, Subject, plan, prepare
from slm_atlas.studies.run import Advanced, Event, Finished, Remaining, Session, Started, pending, run_cells
from slm_atlas.studies.schema import Study, StudyModel, builtin_names, load_study

__all__ = [
    "Advanced",
    "Cell",
    "Event",
    "Finished",
    "Remaining",
    "Session",
    "Started",
    "Study",
    "StudyModel",
    "Subject",
    "builtin_names",
    "load_study",
    "measuring",
    "pending",
    "plan",
    "prepare",
    "run_cells",
]
