# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed at random moments: what then lies on disk, and what is made of it.

A moment is one run of a verb in which the parent or one of its workers gets SIGKILL. When it was
a worker, the run ends by itself, well; when it was the parent, its workers end with it, all that
lies under a final name is whole, and the same command gives the bytes of a run that nobody
disturbed. Neither leaves a temporary file behind.

    python -m tests.chaos --moments 100 --seed 0
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spatialcore.files import is_temporary
from spatialcore.locks import is_lock
from tests.processes import alive, command, descendants, until

# Shards of a few records each, so that a kill falls between and into them.
_RUN = """
import sys
from spatial_engine.plan import shards
from spatialcore import cli
shards.SHARD_ROWS = 12
if __name__ == "__main__":
    sys.exit(cli.main())
"""
TWO = "--workers 2"
_PATIENCE_S = 1800  # of a run that hangs; a busy machine takes minutes for what takes seconds
TASKS = "camera_movement.*,depth_perception.comparison.marked,object_perception.*"
# Verb -> arguments; {in} is the folder of what was made before, {out} the output.
VERBS = {
    "index": f"index {{in}}/scans -o {{out}} {TWO}",
    "plan": f"plan {{in}}/index -o {{out}} --tasks {TASKS} --limit 240 {TWO}",
    "generate": f"generate {{in}}/plan -o {{out}} {TWO}",
    "from scans": f"generate {{in}}/scans -o {{out}} --tasks {TASKS} --limit 120 {TWO}",
    "export": f"export {{in}}/generate -o {{out}} --to llava trl webdataset --images copy {TWO}",
    "merge": "merge {in}/generate {in}/other -o {out}",
}
# Files that tell of a run: how long it took, which processes, where.
_TELLING = ("index.json", "manifest.json", "summary.json", "scene.json", ".spatialcore.json")


class Moment(NamedTuple):
    """What was killed when, and what came of it."""

    verb: str
    victim: str
    after_s: float
    in_time: bool


class Arena:
    """Inputs and undisturbed outputs of every verb, and what one run takes."""

    def __init__(self, root: Path, scans: Path) -> None:
        self.root, self.seconds = root, dict[str, float]()
        self.whole, self.out = root / "whole", root / "out"
        self.script, self.temporary = root / "run.py", root / "tmp"
        self.temporary.mkdir()
        self.whole.mkdir()
        self.script.write_text(_RUN)
        (self.whole / "scans").symlink_to(scans)
        for verb in VERBS:
            if verb == "merge":
                argv = VERBS["plan"].replace(TASKS, "spatial_relation.*").split()
                self.finish([a.format(**{"in": self.whole, "out": root / "few"}) for a in argv])
                self.finish(["generate", str(root / "few"), "-o", str(self.whole / "other")])
            started = time.monotonic()
            self.finish(self.argv(verb))
            self.seconds[verb] = time.monotonic() - started
            self.out.rename(self.whole / verb)

    def argv(self, verb: str) -> list[str]:
        return [part.format(**{"in": self.whole, "out": self.out}) for part in VERBS[verb].split()]

    def start(self, argv: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.script), *argv], text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )  # fmt: skip

    def finish(self, argv: list[str]) -> None:
        with self.start(argv) as run:
            told = run.communicate(timeout=_PATIENCE_S)
        assert run.returncode == 0, f"{argv}: {run.returncode}: {told}"

    def moment(self, verb: str, chance: random.Random) -> Moment:
        """Kill something at a random moment of a run of the verb, and check what comes of it."""
        out = self.out
        shutil.rmtree(out, ignore_errors=True)
        worker = verb != "merge" and chance.random() < 0.5
        after = chance.random() * self.seconds[verb]
        with self.start(self.argv(verb)) as run:
            time.sleep(after)
            below = descendants(run.pid)
            hit = [run.pid] if not worker else [p for p in below if "spawn_main" in command(p)]
            in_time = run.poll() is None and bool(hit)
            if in_time:
                os.kill(chance.choice(hit), signal.SIGKILL)
            told = run.communicate(timeout=_PATIENCE_S)
        if not worker and in_time and run.returncode == -signal.SIGKILL:
            assert until(lambda: not any(alive(pid) for pid in below), 10), f"orphans: {verb}"
            self.visible_is_whole(verb, out)
            if contents(out).keys() != contents(self.whole / verb).keys():  # it was not all done
                self.finish(self.argv(verb))
        else:
            assert run.returncode == 0, f"{verb}: {run.returncode}: {told}"
        made, whole = contents(out), contents(self.whole / verb)
        assert made.keys() == whole.keys(), f"{verb}: {sorted(made.keys() ^ whole.keys())[:5]}"
        differ = [name for name in whole if made[name] != whole[name] and decides(name)]
        assert not differ, f"{verb}: {differ[:5]}"
        left = [p for p in out.rglob("*") if is_temporary(p.name)] + [*self.temporary.iterdir()]
        left += [p for p in self.root.iterdir() if is_temporary(p.name)]
        assert not left, f"{verb}: left behind: {left[:5]}"
        return Moment(verb, "worker" if worker else "parent", round(after, 2), in_time)

    def visible_is_whole(self, verb: str, out: Path) -> None:
        """Whatever has its final name after a kill is what an undisturbed run gives it."""
        whole = contents(self.whole / verb)
        for name, content in contents(out).items():
            assert name in whole, f"{verb}: {name} is in no whole run"
            assert content == whole[name] or not decides(name), f"{verb}: {name} is not whole"


def contents(out: Path) -> dict[str, bytes]:
    """The files of an output by relative path, but for locks, logs and temporary ones."""
    found = {}
    for path in sorted(out.rglob("*")):
        parts = path.relative_to(out).parts
        hidden = any(is_temporary(part) for part in parts) or is_lock(path.name)
        if (path.is_file() and not hidden and path.suffix != ".jsonl") or path.name == "x.jsonl":
            found[str(path.relative_to(out))] = path.read_bytes()
    return found


def decides(name: str) -> bool:
    """Whether a file's bytes are promised: not where it tells of times and places."""
    path = Path(name)
    return path.name not in _TELLING and path.parent.name != "shards"


def moments(arena: Arena, count: int, seed: int) -> Iterator[Moment]:
    """So many moments, the verbs in turn."""
    chance = random.Random(seed)
    verbs = chance.sample(list(VERBS), len(VERBS))
    for k in range(count):
        yield arena.moment(verbs[k % len(VERBS)], chance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        root = Path(folder)
        sample = [sys.executable, "-m", "spatialcore", "sample", str(root / "rooms")]
        few = ["--rooms", "3", "--clips", "0", "--frames", "40", "--layouts", "posed_images"]
        subprocess.run([*sample, *few], check=True, stdout=subprocess.DEVNULL)
        arena = Arena(root, root / "rooms/posed_images")
        counts: Counter[tuple[str, str, bool]] = Counter()
        for number, moment in enumerate(moments(arena, asked.moments, asked.seed), 1):
            print(number, *moment, flush=True)
            counts[moment.verb, moment.victim, moment.in_time] += 1
    for (verb, victim, in_time), count in sorted(counts.items()):
        print(f"{verb:<20} {victim:<7} {'killed' if in_time else 'was over':<9} {count}")


if __name__ == "__main__":
    main()
