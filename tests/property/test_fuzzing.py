"""Input of wrong structure, for a minute under AddressSanitizer: no crash, no hang, no internal error.

`python -m rotomdb.testing fuzz` goes on as long as one likes.
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.testing.fuzz import fuzz, reader_target, restore_target
from rotomdb.testing.payloads import ENCODINGS, payload_of, sound_body_of
from rotomdb.testing.restores import HIGHEST_HELD_TYPE, MODULE_TYPE, PayloadUser
from rotomdb.testing.script_inputs import INPUTS
from tests.conftest import missing

SANITIZE = Path(__file__).parents[1] / "sanitize.sh"
HELD = [name for name, (type, _) in ENCODINGS.items() if type <= HIGHEST_HELD_TYPE and type != MODULE_TYPE]


@pytest.mark.parametrize("encoding", HELD)
def test_a_value_made_by_hand_with_nothing_wrong_is_restored_and_used(encoding: str) -> None:
    """Or the fuzzer would not get behind the first check."""
    user = PayloadUser()
    for number in range(40):
        user.use(seal(sound_body_of(encoding, random.Random(number)), 11), random.Random(number))
    assert user.accepted >= 10


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_payload_is_made_again_from_its_number(encoding: str) -> None:
    assert payload_of(encoding, random.Random("5")) == payload_of(encoding, random.Random("5"))


def test_what_restore_accepts_of_wrong_payloads_stands_all_commands(tmp_path: Path) -> None:
    report = fuzz(restore_target(tuple(ENCODINGS)), tmp_path, rounds=3000)
    assert report.problems == []
    assert report.rounds == 3000


@pytest.mark.parametrize("name", INPUTS)
def test_what_scripts_and_users_are_given_is_fuzzed_with_sound_and_unsound_inputs(name: str) -> None:
    read, make = INPUTS[name]
    inputs = {make(random.Random(number)) for number in range(200)}
    assert len(inputs) > 50
    for data in inputs:
        read(data)


@pytest.mark.parametrize("name", ["aof", "manifest", "acl"])
def test_a_reader_without_files_to_damage_gets_what_is_made_for_it(name: str, tmp_path: Path) -> None:
    report = fuzz(reader_target(name, tmp_path), tmp_path, rounds=200)
    assert (report.rounds, report.problems) == (200, [])


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(900)
def test_decoders_under_the_address_sanitizer_stand_a_minute_of_fuzzing() -> None:
    found = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not Path(found).is_file():
        missing("gcc's libasan")
    done = subprocess.run(["sh", str(SANITIZE), "fuzz", "0.7"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "0 problems" in done.stdout
