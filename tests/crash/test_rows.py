"""Which tests show what must happen at each fault that concerns what is kept.

The list is the project's; a test's docstring names the fault by its number. What a part makes of a fault by
itself is beside the part's other tests (tests/core/test_journal_faults.py, test_ledger_faults.py, ...).

| fault | what must happen |
|---|---|
| 1 | kill -9 at every write, fsync and rename: a prefix with everything acknowledged, bit for bit |
| 2 | a torn tail at every byte: cut, kept aside, said; zeros are a clean end |
| 3 | a flipped bit in the journal: refused; file, offset and command are named |
| 4 | the newest snapshot damaged: the one before it and a longer journal, loudly; all damaged: refused |
| 5 | a snapshot of a newer format: refused, with the version; of an older one: read |
| 6 | the disk is full: rewards wait, choices go on, a metric; it mends itself; no half record |
| 7 | an fsync or append fails otherwise: no reply, no second try, an end with a reason |
| 8 | short writes and EINTR are finished; a directory that is missing or read-only is said |
| 9 | a second process on a directory is refused |
| 10 | a crash between a snapshot and the trim of the journal applies nothing twice |
| 11 | SIGTERM under load: nothing acknowledged is lost, a last snapshot, exit code 0 |
| 12 | clocks that jump, running or between runs: ramp and decay hold, no identity twice, a warning |
| 14 | an event that comes a thousand times, at once or after a restart, counts once |
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = {
    1: [
        "crash/test_kill.py::test_killed_at_random_times",
        "crash/test_failpoints.py::test_killed_at_each_call",
        "crash/test_failpoints.py::test_killed_again_while_it_recovers",
        "crash/test_damage.py::test_a_recovery_may_be_killed_anywhere",
        "crash/test_power_cut.py::test_power_cut_at_each_call",
        "crash/test_power_cut.py::test_power_cut_after_a_kill",
    ],
    2: ["crash/test_damage.py::test_a_torn_tail_at_every_byte_is_cut"],
    3: [
        "crash/test_damage.py::test_a_flipped_bit_in_the_journal_is_refused",
        "server/test_durability.py::test_a_journal_that_is_damaged_stops_the_start",
    ],
    4: [
        "crash/test_damage.py::test_a_damaged_snapshot_is_no_end",
        "crash/test_failpoints.py::test_killed_and_the_newest_snapshot_is_damaged",
    ],
    5: ["crash/test_damage.py::test_a_newer_format_is_refused"],
    6: [
        "crash/test_full_disk.py::test_rewards_wait_for_space_and_choices_do_not",
        "crash/test_failing_calls.py::test_each_call_fails",
        "server/test_durability.py::test_a_full_disk_refuses_rewards_and_nothing_else",
    ],
    7: [
        "crash/test_failing_calls.py::test_each_call_fails",
        "crash/test_failed_disk.py::test_an_append_that_fails_is_never_acknowledged",
        "crash/test_failed_disk.py::test_an_fsync_that_fails_is_the_end",
    ],
    8: [
        "crash/test_failpoints.py::test_short_and_interrupted_writes_are_finished",
        "crash/test_failed_disk.py::test_a_data_directory_that_cannot_be_made_or_written_is_said",
    ],
    9: ["crash/test_served_faults.py::test_a_second_process_is_refused"],
    10: ["crash/test_failpoints.py::test_killed_between_a_snapshot_and_the_trim"],
    11: ["crash/test_served_faults.py::test_a_stop_under_load_loses_nothing"],
    12: ["crash/test_served_faults.py::test_clocks_that_jump_move_nothing"],
    14: ["crash/test_served_faults.py::test_an_event_that_comes_a_thousand_times_counts_once"],
}


@pytest.mark.parametrize("fault", TESTS)
def test_a_fault_has_its_tests(fault: int) -> None:
    """Each exists, and says which fault it is about."""
    assert re.search(rf"^\| {fault} \|", __doc__ or "", re.MULTILINE)
    for place in TESTS[fault]:
        path, _, name = place.partition("::")
        tree = ast.parse((ROOT / "tests" / path).read_text())
        (test,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert re.match(rf"Faults? (\d+ and )?{fault}\b", ast.get_docstring(test) or ""), place
