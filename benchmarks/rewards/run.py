# SPDX-License-Identifier: Apache-2.0
"""The steps of the measurement, each of which is left out where its result lies already.

A start and a learning rate are chosen by short runs on rooms of their own; then each arm goes on
from that start, and the held-out rooms are asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.rewards.data import RewardsError, Sink, Size, ask, make_data, mean
from benchmarks.rewards.models import cold_started, logged, make_starts, start_of, trained
from spatialcore.files import write_json


def run(
    folder: Path, results: Path, arms: Sequence[str], size: Size, minutes: float | None, sink: Sink
) -> bool:
    """Do what is not done yet; returns whether everything is through.

    Raises:
        RewardsError: A step failed, or the results are those of another size.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    folder.mkdir(parents=True, exist_ok=True)
    found = _results(results, size)
    make_data(folder, size, sink)
    if not make_starts(folder, size, deadline, sink):
        return False
    if not _choose(folder, results, found, size, deadline, sink):
        return False
    start, rate = found["chosen"]["start"], found["chosen"]["rate"]
    if "start" not in found:
        found["start"] = ask(folder, "held", start_of(folder, start), size.questions)
        write_json(results, found)
    sink(f"{start} supervised steps, then a rate of {rate}: the start earns "
         f"{mean(found['start']['reward']):.3f} of held-out questions")  # fmt: skip
    return all(_arm(folder, results, found, arm, size, deadline, sink) for arm in arms)


def _results(path: Path, size: Size) -> dict[str, Any]:
    made_with = json.loads(json.dumps(asdict(size)))
    if not path.is_file():
        return {"made_with": made_with, "probes": {}, "arms": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if found["made_with"] != made_with:
        raise RewardsError(f"{path} was made with {found['made_with']}; name another --results")
    return found


def _choose(
    folder: Path, results: Path, found: dict[str, Any], size: Size, deadline: float | None,
    sink: Sink,
) -> bool:  # fmt: skip
    """Short runs of each start and rate, judged on the rooms of validation."""
    if "chosen" in found:
        return True
    probes = found["probes"]
    for start in size.starts:
        for rate in (0.0, *size.rates):
            name = f"probe-{start}-{rate:g}"
            if name in probes:
                continue
            model: Path | None = start_of(folder, start)
            if rate:
                steps = (size.probe_steps, size.probe_steps)
                model = trained(folder, name, start, rate, steps, size, deadline, sink)
            if model is None:
                return False
            made = ask(folder, "val", model, size.questions)
            probes[name] = {"start": start, "rate": rate, "earned": made["earned"],
                            "mean": round(mean(made["reward"]), 4)}  # fmt: skip
            write_json(results, found)
            sink(f"{name}: questions of validation earn {probes[name]['mean']:.3f}")
    found["chosen"] = best(list(probes.values()))
    write_json(results, found)
    return True


def best(probes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The start and rate of the short run that gained most on its own start; a tie: the first."""
    before = {one["start"]: one["mean"] for one in probes if not one["rate"]}
    runs = [one for one in probes if one["rate"]]
    one = max(runs, key=lambda one: one["mean"] - before[one["start"]])
    gain = round(one["mean"] - before[one["start"]], 4)
    return {"start": one["start"], "rate": one["rate"], "gain": gain}


def _arm(
    folder: Path, results: Path, found: dict[str, Any], arm: str, size: Size,
    deadline: float | None, sink: Sink,
) -> bool:  # fmt: skip
    """One arm, asked after every so many steps; a cold start once."""
    start, rate = found["chosen"]["start"], found["chosen"]["rate"]
    curve: dict[str, Any] = found["arms"].setdefault(arm, {})
    looks = range(size.every, size.steps + 1, size.every)
    for step in looks if arm != "cold-start" else [size.steps // 3]:
        if str(step) in curve:
            continue
        if deadline is not None and time.monotonic() >= deadline:
            return False
        if arm == "cold-start":
            model = cold_started(folder, start, rate, size, deadline, sink)
        else:
            steps = (step, size.steps)
            model = trained(folder, arm, start, rate, steps, size, deadline, sink)
        if model is None:
            return False
        curve[str(step)] = ask(folder, "held", model, size.questions)
        if arm != "cold-start":
            found.setdefault("logged", {})[arm] = logged(folder / arm, step)
        write_json(results, found)
        earned = mean(curve[str(step)]["reward"])
        sink(f"{arm}, step {step}: held-out questions earn {earned:.3f}")
    return True


def verdicts(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """A sentence for each arm's last look, and whether it is as it should be."""
    from spatial_engine.scoring.report import paired_interval

    judged = []
    for arm, curve in found.get("arms", {}).items():
        if not curve:
            continue
        step = max(curve, key=int)
        after, before = curve[step]["reward"], found["start"]["reward"]
        low, high = paired_interval(after, before)
        gain = mean(after) - mean(before)
        told = f"{arm}, {step} steps: {gain:+.3f} ({low:+.3f} to {high:+.3f}) of a greedy reward"
        judged.append((told, low <= 0 if arm == "shuffled" else low > 0))
    return judged
