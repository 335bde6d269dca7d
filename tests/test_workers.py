# SPDX-License-Identifier: Apache-2.0
"""Pieces of work in real processes: results, errors, deaths, and no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from spatialcore.errors import PlanError, WorkerError
from spatialcore.workers import Lost, Workers, processes, run_pieces
from tests.processes import alive, command, descendants, kill_on_the_first_tries, until

ROOT = Path(__file__).resolve().parents[1]


def square(number: int) -> int:
    return number * number


def whoami(number: int) -> int:
    return os.getpid()


def dies(number: int, *, folder: Path, tries: int, which: tuple[int, ...]) -> int:
    if number in which:
        kill_on_the_first_tries(folder / str(number), tries)
    return square(number)


def fails(number: int) -> int:
    if number == 1:
        raise PlanError("no plan")
    return {}[number]  # type: ignore[no-any-return]


def unsendable(number: int) -> object:
    return lambda: number


def left_early(number: int) -> int:
    if number:
        threading.Event().wait()
    return os.getpid()


def counted(seen: list[int]) -> Iterator[int]:
    for number in range(1000):
        seen.append(number)
        yield number


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_every_piece_has_its_result(workers: int) -> None:
    assert dict(run_pieces(square, range(5), workers)) == {k: k * k for k in range(5)}
    assert dict(run_pieces(square, [], workers)) == {}


def test_workers_that_were_asked_for_protect_the_run_from_a_single_piece(tmp_path: Path) -> None:
    function = partial(dies, folder=tmp_path, tries=9, which=(7,))
    ((_, lost),) = run_pieces(function, [7], 2)
    assert isinstance(lost, Lost)
    assert next(run_pieces(whoami, [0], 1))[1] == os.getpid()


def test_a_death_costs_a_try_of_its_piece_alone(tmp_path: Path) -> None:
    once = partial(dies, folder=tmp_path, tries=1, which=(0, 3, 11))
    assert dict(run_pieces(once, range(12), 2)) == {k: k * k for k in range(12)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "11", "3"]


def test_a_piece_that_kills_twice_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    twice = partial(dies, folder=tmp_path, tries=2, which=(2, 4))
    found = dict(run_pieces(twice, range(6), 3, "piece {}".format))
    lost = {k: result for k, result in found.items() if isinstance(result, Lost)}
    assert {k: v for k, v in found.items() if k not in lost} == {k: k * k for k in (0, 1, 3, 5)}
    assert sorted(lost) == [2, 4]
    assert str(lost[2]).startswith("piece 2: worker_died: its worker died twice (SIGKILL)")
    assert (tmp_path / "2").read_bytes() == b"xx"


@pytest.mark.parametrize("workers", [1, 2])
def test_expected_errors_come_as_themselves_and_others_name_their_piece(workers: int) -> None:
    with pytest.raises(PlanError, match="no plan"):
        list(run_pieces(fails, [1], workers))
    with pytest.raises(WorkerError, match="shard 5: KeyError: 5") as caught:
        list(run_pieces(fails, [5], workers, "shard {}".format))
    assert "in fails" in caught.value.__notes__[0]


def test_a_result_that_cannot_travel_is_told() -> None:
    with pytest.raises(WorkerError, match="2: its result stays behind"):
        list(run_pieces(unsendable, [2], 2))


def test_workers_end_when_the_results_are_left_early() -> None:
    with closing(run_pieces(left_early, range(9), 3)) as results:
        _, worker = next(results)
        assert alive(worker)  # type: ignore[arg-type]
        pids = [pid for pid in descendants(os.getpid()) if "spawn_main" in command(pid)]
        assert len(pids) >= 3
    assert not any(alive(pid) for pid in pids)


def test_a_stream_of_items_is_taken_as_workers_become_free() -> None:
    seen: list[int] = []
    with closing(run_pieces(square, counted(seen), 2)) as results:
        next(results)
        assert len(seen) <= 6


def test_a_pool_may_live_in_another_thread() -> None:
    """The thread that starts a worker may end before the worker has."""
    results = run_pieces(square, range(6), 2)
    found: list[tuple[int, object]] = []
    thread = threading.Thread(target=lambda: found.append(next(results)))
    thread.start()
    thread.join()
    with closing(results):
        found += results
    assert dict(found) == {k: k * k for k in range(6)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"workers": -2}, "workers must be at least 1, got -2"),
        ({"address": "10.0.0.1:6379"}, "ask for the executor ray"),
    ],
)
def test_wrong_workers_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workers(**wrong)  # type: ignore[arg-type]


def test_a_script_without_a_main_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from spatialcore.workers import run_pieces\nlist(run_pieces(abs, [1, 2], 2))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert "WorkerError: 3 workers ended while they started" in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr


def killed_as_it_starts(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_are_killed_as_they_start_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_serve", killed_as_it_starts)
    with pytest.raises(WorkerError, match=r"3 workers ended .* \(SIGKILL\); .* fewer --workers"):
        list(run_pieces(abs, [1, 2], 2))


def test_workers_end_when_their_parent_is_killed() -> None:
    program = (
        "from tests.test_workers import left_early\n"
        "from spatialcore.workers import run_pieces\n"
        "for found in run_pieces(left_early, range(3), 3):\n"
        "    print(found, flush=True)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        below = descendants(parent.pid)
        assert len(below) >= 3
        parent.kill()
    assert until(lambda: not any(alive(pid) for pid in below))
