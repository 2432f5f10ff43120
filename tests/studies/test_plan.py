"""Planning: the order of runs, and keys that change with all that determines a result and with nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from slm_atlas.bench import BenchSettings
from slm_atlas.errors import UserError
from slm_atlas.evals import suite
from slm_atlas.store.records import RunKind
from slm_atlas.studies import Cell, Study, StudyModel, Subject, plan, prepare

from .subjects import ENGINE, HOST, study, subject

SUBJECTS = [subject(name) for name in ("a", "b", "c", "d")]


def planned(*subjects: Subject, of: Study | None = None) -> list[Cell]:
    return plan(of or study(*subjects), subjects, HOST, ENGINE)


def keys(cells: list[Cell]) -> set[str]:
    return {cell.key for cell in cells}


def test_every_block_has_one_run_of_each_model() -> None:
    cells = planned(*SUBJECTS, of=study(*SUBJECTS, runs=6))
    blocks = [cells[first : first + 4] for first in range(0, 24, 4)]
    for number, block in enumerate(blocks):
        assert {cell.subject.label for cell in block} == {found.label for found in SUBJECTS}
        assert {cell.replicate for cell in block} == {number}
    orders = {tuple(cell.subject.label for cell in block) for block in blocks}
    assert len(orders) > 1  # drawn anew for each block


def test_planned_twice_it_is_the_same() -> None:
    assert planned(*SUBJECTS) == planned(*SUBJECTS)


def test_every_cell_has_a_key_of_its_own() -> None:
    cells = planned(*SUBJECTS, subject("e", suites=("smoke",)))
    assert len(keys(cells)) == len(cells) == 2 * 5 + len(suite("smoke").tasks)


def test_costs_come_before_tasks() -> None:
    kinds = [cell.kind for cell in planned(subject("a", suites=("smoke",)), subject("b"))]
    assert kinds == [RunKind.BENCH] * 4 + [RunKind.EVAL] * len(suite("smoke").tasks)


def test_profiles_are_in_blocks_of_their_own_and_change_no_key_of_costs() -> None:
    plain = study(*SUBJECTS, runs=1)
    with_profiles = msgspec.structs.replace(plain, profile_runs=3)
    cells = planned(*SUBJECTS, of=with_profiles)
    assert keys(planned(*SUBJECTS, of=plain)) == keys(cells[:4])
    profiles = cells[4:]
    assert {cell.kind for cell in profiles} == {RunKind.PROFILE}
    assert [cell.replicate for cell in profiles] == [0] * 4 + [1] * 4 + [2] * 4
    orders = [[cell.subject.label for cell in profiles[first : first + 4]] for first in (0, 4, 8)]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert profiles[0].label.endswith("profile 1")


def test_a_profile_is_known_by_what_it_depends_on_alone() -> None:
    def key(**settings: Any) -> str:
        of = msgspec.structs.replace(study(bench=BenchSettings(**settings)), runs=0, profile_runs=1)
        return planned(subject("a"), of=of)[0].key

    assert key(evict=True, energy=True) == key()
    assert len({key(), key(n_prompt=5), key(depth=3), key(threads=1), key(repetitions=7)}) == 5


def test_a_server_is_not_profiled() -> None:
    engine = msgspec.structs.replace(ENGINE, name="endpoint")
    with pytest.raises(UserError, match="does not tell where the time goes"):
        plan(msgspec.structs.replace(study(subject("a")), profile_runs=1), [subject("a")], HOST, engine)


def test_no_runs_are_no_costs() -> None:
    found = subject("a", suites=("smoke",))
    assert {cell.kind for cell in planned(found, of=study(found, runs=0))} == {RunKind.EVAL}


@pytest.mark.parametrize(
    "changed",
    [
        plan(study(bench=BenchSettings(n_prompt=5)), [subject("a")], HOST, ENGINE),
        plan(study(bench=BenchSettings(threads=2)), [subject("a")], HOST, ENGINE),
        plan(study(), [subject("b")], HOST, ENGINE),
        plan(study(), [subject("a")], msgspec.structs.replace(HOST, id="another"), ENGINE),
        plan(study(), [subject("a")], HOST, msgspec.structs.replace(ENGINE, version="2")),
        plan(study(), [subject("a")], HOST, msgspec.structs.replace(ENGINE, build="other")),
    ],
    ids=["prompt", "threads", "file", "host", "engine version", "engine build"],
)
def test_keys_change_with_what_determines_the_result(changed: list[Cell]) -> None:
    assert not keys(changed) & keys(planned(subject("a")))


def test_keys_do_not_change_with_what_does_not() -> None:
    before = planned(subject("a"))
    renamed = msgspec.structs.replace(study(subject("a")), name="other", title="Other", description="Other")
    moved = subject("a")._replace(path=Path("elsewhere"))
    assert keys(planned(subject("a"), of=renamed)) == keys(before)
    assert keys(planned(moved)) == keys(before)
    assert keys(before) < keys(planned(subject("a"), of=study(subject("a"), runs=3)))  # more runs add, and change none


def test_keys_of_tasks_change_with_the_limit() -> None:
    found = subject("a", suites=("smoke",))
    some, others = (planned(found, of=study(found, runs=0, limit=limit)) for limit in (1, 2))
    assert not keys(some) & keys(others)


def test_a_file_named_twice_is_measured_once() -> None:
    twice = subject("a")._replace(path=Path("another/name"))
    cells = planned(subject("a"), twice, subject("b"))
    assert len(cells) == len(keys(cells)) == 2 * 2


def test_labels_tell_runs_and_tasks_apart() -> None:
    labels = [cell.label for cell in planned(subject("a", suites=("smoke",)))]
    assert labels[:2] == ["a F16: run 1", "a F16: run 2"]
    assert labels[2] == f"a F16: {suite('smoke').tasks[0].name}"


class TestPrepare:
    def test_a_file_is_identified_with_the_work_it_must_do(self, tiny_model: Path) -> None:
        found = prepare(StudyModel(model=str(tiny_model), suites=("smoke",)))
        assert found.path == tiny_model
        assert found.label == "Tiny Q4_K_M"
        assert found.model.suites == ("smoke",)
        assert found.work is not None
        assert found.artifact.params is not None
        weights = sum(found.artifact.tensor_bytes.values())
        assert found.work.decode_bytes == weights  # tied: the embedding is read as the head
        layers = found.artifact.params - 512 * 256 - 5 * 256  # less the embedding and the norms
        assert found.work.flops_per_token == 2 * (layers / 2)  # the last layer is run for the last token

    def test_a_file_cut_in_its_header_is_the_users_error(self, tiny_model: Path, tmp_path: Path) -> None:
        path = tmp_path / "cut.gguf"
        path.write_bytes(tiny_model.read_bytes()[:300])
        with pytest.raises(UserError, match="not a whole GGUF"):
            prepare(StudyModel(model=str(path)))

    def test_a_missing_file_is_the_users_error(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no file"):
            prepare(StudyModel(model=str(tmp_path / "no.gguf")))


class TestArms:
    def test_every_combination_of_what_is_varied_is_an_arm(self) -> None:
        varied = msgspec.structs.replace(study(*SUBJECTS[:2]), sweep={"threads": (1, 2), "kv_type": ("f16", "q8_0")})
        cells = planned(*SUBJECTS[:2], of=varied)
        assert len(cells) == len(keys(cells)) == 2 * 2 * 4
        block = {(cell.subject.label, cell.settings["threads"], cell.settings["kv_type"]) for cell in cells[:8]}
        assert len(block) == 8

    def test_nothing_varied_is_one_arm(self) -> None:
        assert study().arms() == (study().bench,)

    @pytest.mark.parametrize("sweep", [{"speed": (1,)}, {"threads": ("two",)}])
    def test_what_cannot_be_varied_is_the_users_error(
        self, sweep: dict[str, tuple[int | bool | str | None, ...]]
    ) -> None:
        with pytest.raises(UserError, match="The sweep of test"):
            msgspec.structs.replace(study(), sweep=sweep).arms()

    def test_the_first_arm_is_its_own_noise_floor(self) -> None:
        plain = study(*SUBJECTS, runs=3)
        cells = planned(*SUBJECTS, of=msgspec.structs.replace(plain, noise_floor=True))
        again = keys(cells) - keys(planned(*SUBJECTS, of=plain))
        assert len(again) == 3
        assert {cell.subject.label for cell in cells if cell.key in again} == {SUBJECTS[0].label}


def test_passes_of_their_own_are_other_runs_and_leave_the_rest_as_it_was() -> None:
    plain = planned(subject("a"))
    for extra in (BenchSettings(energy=True), BenchSettings(sustained_s=60.0)):
        longer = planned(subject("a"), of=study(subject("a"), bench=extra))
        assert not keys(plain) & keys(longer)
        assert all("energy" not in cell.settings and "sustained_s" not in cell.settings for cell in plain)
        assert all(len(cell.settings) == len(plain[0].settings) + 1 for cell in longer)
