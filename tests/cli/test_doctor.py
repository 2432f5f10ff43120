"""`slm doctor`: each check on a machine that is well and on one that is not, and the whole command."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from click.testing import CliRunner, Result

from slm_atlas.bench import Calibration, keep_calibration
from slm_atlas.bench.host import describe_host, host_state
from slm_atlas.cli import doctor
from slm_atlas.cli.doctor import Check, Status
from slm_atlas.cli.main import cli
from slm_atlas.engines import EngineInfo
from slm_atlas.errors import EngineCrashed, EngineTimeout
from slm_atlas.evals.sandbox import LAYERS, Layers
from slm_atlas.studies.lock import measured_by, measuring
from slm_atlas.units import GIB

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
INFO = EngineInfo(name="llamacpp", version="1", build="CPU : AVX2 = 1 | FMA = 1 | AVX512 = 0 | BMI2 = 1 | ")


def worst(checks: list[Check]) -> Status:
    return max((check.status for check in checks), key=list(Status).index)


def run(monkeypatch: pytest.MonkeyPatch, engine: EngineInfo | str, *args: str) -> Result:
    monkeypatch.setattr(doctor, "probe_engine", lambda: engine)
    return CliRunner().invoke(cli, ["doctor", *args], catch_exceptions=False)


class TestProbe:
    def test_a_death_is_its_cause_and_the_last_line_of_the_log(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def die(**_: object) -> NoReturn:
            raise EngineCrashed("the engine died of SIGILL", "first\nlast")

        monkeypatch.setattr(doctor, "Worker", die)
        assert doctor.probe_engine() == "the engine died of SIGILL: last"

    def test_a_death_without_a_log_is_its_cause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def hang(**_: object) -> NoReturn:
            raise EngineTimeout("no answer within 60 s")

        monkeypatch.setattr(doctor, "Worker", hang)
        assert doctor.probe_engine() == "no answer within 60 s"

    @pytest.mark.engine
    def test_the_real_engine_answers(self) -> None:
        engine = doctor.probe_engine()
        assert isinstance(engine, EngineInfo)
        assert engine.name == "llamacpp"


class TestSandbox:
    def test_a_machine_that_isolates_is_well(self) -> None:
        check = doctor.check_sandbox(Layers(in_force=tuple(LAYERS), lacking={}))
        assert (check.status, check.fix) == (Status.OK, None)
        assert "network" in check.found

    def test_one_that_does_not_says_why_and_what_would(self) -> None:
        check = doctor.check_sandbox(Layers(in_force=("limits",), lacking={"files": "Operation not permitted"}))
        assert check.status is Status.OK  # optional: nothing else needs it
        assert "files (Operation not permitted)" in check.found
        assert check.fix is not None
        assert "namespaces" in check.fix


class TestEngine:
    def test_a_build_for_this_processor_is_well(self) -> None:
        assert worst(doctor.check_engine(INFO, ["avx2", "fma"])) is Status.OK

    @pytest.mark.parametrize("flags", [["avx2", "avx512f"], ["avx2", "avx512_vnni"]])
    def test_instruction_sets_off_or_absent_are_a_warning_with_the_rebuild(self, flags: list[str]) -> None:
        check = doctor.check_engine(INFO, flags)[-1]
        assert check.status is Status.WARNING
        assert flags[1] in check.found
        assert "avx2" not in check.found.split()
        assert check.fix == doctor.INSTALL_ENGINE

    def test_what_llamacpp_does_not_report_is_not_missed(self) -> None:
        assert doctor.unused_flags(["amx_tile", "sve2", "avx512_fp16"], INFO.build) == []

    def test_a_processor_that_is_unknown_proves_nothing(self) -> None:
        assert worst(doctor.check_engine(INFO, ["unknown"])) is Status.OK

    def test_an_engine_that_does_not_load_is_a_problem(self) -> None:
        (check,) = doctor.check_engine("loading it ends the process (SIGILL)", ["avx2"])
        assert check.status is Status.PROBLEM
        assert "SIGILL" in check.found
        assert doctor.ENGINE in str(check.fix)

    def test_the_release_is_the_one_of_pyproject(self) -> None:
        assert doctor.ENGINE in PROJECT["dependencies"]


class TestOtherEngines:
    @pytest.mark.parametrize("spec", [None, object()])
    def test_they_are_listed_and_not_missed(self, monkeypatch: pytest.MonkeyPatch, spec: object) -> None:
        monkeypatch.setattr(doctor, "find_spec", lambda _: spec)
        checks = doctor.check_other_engines()
        assert [check.name for check in checks] == ["transformers", "endpoint"]
        assert worst(checks) is Status.OK
        assert checks[0].fix == (None if spec else "pip install 'slm-atlas[transformers]'")
        assert checks[1].fix is None


class TestMachine:
    def test_little_memory_is_a_warning(self) -> None:
        state = msgspec.structs.replace(host_state(), available_bytes=GIB, governor=None, steal_ticks=0)
        host = describe_host()
        assert worst(doctor.check_machine(host, state)) is Status.WARNING
        assert worst(doctor.check_machine(host, msgspec.structs.replace(state, available_bytes=4 * GIB))) is Status.OK

    @pytest.mark.parametrize(("governor", "status"), [("powersave", Status.WARNING), ("performance", Status.OK)])
    def test_the_governor(self, governor: str, status: Status) -> None:
        state = msgspec.structs.replace(host_state(), available_bytes=4 * GIB, governor=governor)
        (check,) = [check for check in doctor.check_machine(describe_host(), state) if check.name == "clock governor"]
        assert (check.found, check.status) == (governor, status)

    @pytest.mark.parametrize(
        ("change", "name", "status", "words"),
        [
            ({"turbo": True}, "turbo", Status.OK, "on"),
            ({"smt": True}, "SMT", Status.OK, "two threads share a core"),
            ({"quota_cores": 1.5, "logical_cores": 8}, "CPU quota", Status.WARNING, "1.5 cores"),
            ({"quota_cores": 8.0, "logical_cores": 8}, "CPU quota", Status.OK, "8 cores"),
            ({"steal_ticks": 50, "total_ticks": 1000}, "stolen time", Status.WARNING, "5.0%"),
            ({"steal_ticks": 5, "total_ticks": 1000}, "stolen time", Status.OK, "0.5%"),
            ({"swap_used_bytes": GIB}, "swap", Status.WARNING, "1.00 GiB used"),
            ({"swap_used_bytes": 0}, "swap", Status.OK, "0 B used"),
        ],
    )
    def test_what_will_disturb_a_run(self, change: dict[str, object], name: str, status: Status, words: str) -> None:
        state = msgspec.structs.replace(host_state(), **change)
        (check,) = [check for check in doctor.check_machine(describe_host(), state) if check.name == name]
        assert check.status is status
        assert words in check.found
        assert status is Status.OK or check.fix

    def test_what_the_system_does_not_say_is_not_listed(self) -> None:
        silent = {"turbo": None, "smt": None, "quota_cores": None, "steal_ticks": None, "governor": None}
        state = msgspec.structs.replace(host_state(), **silent)
        names = {check.name for check in doctor.check_machine(describe_host(), state)}
        assert not names & {"turbo", "SMT", "CPU quota", "stolen time", "clock governor"}

    def test_another_measurement_is_told(self) -> None:
        assert [check.status for check in doctor.check_others(measured_by())] == [Status.OK]
        with measuring():
            (check,) = doctor.check_others(measured_by())
        assert check.status is Status.WARNING
        assert f"process {os.getpid()}" in check.found

    def test_noise_is_a_warning_a_sentence(self) -> None:
        calm = msgspec.structs.replace(
            host_state(), load_1min=0.0, cpu_pressure=0.0, memory_pressure=0.0, temperature_c=None, on_battery=None
        )
        noisy = msgspec.structs.replace(calm, load_1min=1000.0, cpu_pressure=99.0)
        assert [check.status for check in doctor.check_noise(calm, calm)] == [Status.OK]
        assert [check.status for check in doctor.check_noise(calm, noisy)] == [Status.WARNING, Status.WARNING]


class TestCalibration:
    def test_where_there_is_none_the_command_is_said(self) -> None:
        check = doctor.check_calibration(describe_host(), INFO)
        assert (check.status, check.fix) == (Status.OK, "slm calibrate")

    @pytest.mark.parametrize(("calm", "fix"), [(True, None), (False, "slm calibrate --again")])
    def test_what_there_is_is_said(self, calm: bool, fix: str | None) -> None:
        host = describe_host()
        kept = Calibration(
            host=host.id, engine=INFO.text, measured_at="2026-01-01", elapsed_s=1.0, quick=True, caches=(), calm=calm,
            noise=(), refused=(), figures=(),
        )  # fmt: skip
        keep_calibration(kept)
        check = doctor.check_calibration(host, INFO)
        assert check.found.startswith("quick, 2026-01-01, 0 figures")
        assert (check.status, check.fix) == (Status.OK, fix)


class TestExtras:
    def test_the_extras_are_those_of_pyproject(self) -> None:
        assert set(doctor.EXTRAS) == set(PROJECT["optional-dependencies"]) - {"demo"}

    def test_what_is_missing_has_its_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "find_spec", lambda _: None)
        checks = {check.name: check for check in doctor.check_extras()}
        assert checks["eval"].status is Status.WARNING
        assert checks["ray"].status is Status.OK
        assert checks["ray"].fix == "pip install 'slm-atlas[ray]'"

    def test_what_is_there_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "find_spec", lambda _: object())
        assert [check.fix for check in doctor.check_extras()] == [None] * len(doctor.EXTRAS)


class TestHome:
    def test_a_folder_to_be_made_is_well_and_is_not_made(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        checks = doctor.check_home(folder)
        assert checks[0].status is Status.OK
        assert not (tmp_path / "a").exists()

    def test_a_folder_inside_a_file_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (check,) = doctor.check_home(tmp_path / "file" / "atlas")
        assert check.status is Status.PROBLEM
        assert "SLM_ATLAS_HOME" in str(check.fix)

    def test_a_full_disk_is_a_warning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "MIN_DISK_BYTES", 2**80)
        assert doctor.check_home(tmp_path)[-1].status is Status.WARNING


class TestCommand:
    def test_json_is_one_document(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = run(monkeypatch, INFO, "--json")
        found = json.loads(result.stdout)
        assert {check["section"] for check in found["checks"]} == {"machine", "engine", "extras", "home", "noise"}
        assert found["host"]["id"] == describe_host().id

    def test_a_problem_is_exit_code_1_with_the_command_that_mends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = run(monkeypatch, "it is not there")
        assert result.exit_code == 1
        assert "it is not there" in result.stdout
        assert f"problem: engine llama.cpp: {doctor.INSTALL_ENGINE}" in result.stderr
        assert json.loads(run(monkeypatch, "it is not there", "--json").stdout)["status"] == "problem"

    def test_a_warning_is_exit_code_0(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SLM_ATLAS_HOME", str(tmp_path))
        monkeypatch.setattr(doctor, "find_spec", lambda _: None)
        monkeypatch.setattr(doctor, "try_engine", lambda: None)
        result = run(monkeypatch, INFO)
        assert result.exit_code == 0
        assert "warning: extras eval: pip install 'slm-atlas[eval]'" in result.stderr
