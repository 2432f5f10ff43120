"""Studies: sets of measurements that are planned, run one at a time, stored and resumed."""

from slm_atlas.studies.evaluations import EvalTarget, select
from slm_atlas.studies.lock import measuring
from slm_atlas.studies.plan import Cell, check, plan
from slm_atlas.studies.precision import probed_choice, with_known_choice
from slm_atlas.studies.run import (
    Advanced,
    Event,
    Finished,
    Remaining,
    Rules,
    Session,
    Started,
    agenda,
    pending,
    run_cells,
)
from slm_atlas.studies.schema import Precision, Study, StudyModel, builtin_names, load_study, on_model
from slm_atlas.studies.stopping import designs
from slm_atlas.studies.subjects import (
    Subject,
    discard,
    ensure,
    ensure_if_usable,
    made_bytes,
    prepare,
    prepare_if_usable,
)
from slm_atlas.studies.threads import check_threads, known_knee, probed_knee

__all__ = [
    "Advanced",
    "Cell",
    "EvalTarget",
    "Event",
    "Finished",
    "Precision",
    "Remaining",
    "Rules",
    "Session",
    "Started",
    "Study",
    "StudyModel",
    "Subject",
    "agenda",
    "builtin_names",
    "check",
    "check_threads",
    "designs",
    "discard",
    "ensure",
    "ensure_if_usable",
    "known_knee",
    "load_study",
    "made_bytes",
    "measuring",
    "on_model",
    "pending",
    "plan",
    "prepare",
    "prepare_if_usable",
    "probed_choice",
    "probed_knee",
    "run_cells",
    "select",
    "with_known_choice",
]
