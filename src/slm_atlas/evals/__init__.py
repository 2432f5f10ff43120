"""Capability: suites of tasks in lm-eval's form, evaluated on our engines.

lm-eval itself (extra `eval`) is imported when a task runs; its model of ours is `slm_atlas.evals.lm.EngineLM`.
"""

from slm_atlas.evals.answers import Answer, Answers, Told
from slm_atlas.evals.compute import Choice, Compute
from slm_atlas.evals.fingerprint import Fingerprint, task_fingerprint
from slm_atlas.evals.registry import find_task
from slm_atlas.evals.run import TaskResult, check_installed, evaluate_task, work_notes
from slm_atlas.evals.shots import ShotsOrder
from slm_atlas.evals.suites import Source, Suite, SuiteTask, all_suites, suite, with_shots

__all__ = [
    "Answer",
    "Answers",
    "Choice",
    "Compute",
    "Fingerprint",
    "ShotsOrder",
    "Source",
    "Suite",
    "SuiteTask",
    "TaskResult",
    "Told",
    "all_suites",
    "check_installed",
    "evaluate_task",
    "find_task",
    "suite",
    "task_fingerprint",
    "with_shots",
    "work_notes",
]
