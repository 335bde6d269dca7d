# SPDX-License-Identifier: Apache-2.0
"""Runs every malformed input: `python -m tests.robustness.hostile [--only TEXT] [--page FILE]`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.robustness.hostile.bases import Written
from tests.robustness.hostile.cases import Case, all_cases
from tests.robustness.hostile.kept import Kept
from tests.robustness.hostile.measure import Verdict, judge, plain, run_apart, scenes_of
from tests.robustness.hostile.page import write_page


def warm() -> None:
    """Import what verbs import, so that forks begin with it."""
    import pyarrow.parquet  # noqa: F401
    import scipy.spatial  # noqa: F401
    from PIL import Image

    from spatialcore import _cpu  # noqa: F401
    from spatialcore.commands import check, index  # noqa: F401
    from spatialcore.commands.parse import parse_options  # noqa: F401
    from spatialcore.index.index import build_index  # noqa: F401
    from spatialcore.io import open, survey  # noqa: F401

    Image.init()
    for name in ("av", "h5py", "OpenEXR", "lz4.block", "liblzfse"):
        try:
            __import__(name)
        except ImportError:
            continue


def run(cases: Sequence[Case], written: Written, scratch: Path) -> Iterator[Verdict]:
    """The verdict of each case; what a case wrote is removed behind it."""
    sound = {}
    for case in cases:
        if case.base and case.base not in sound:
            verb = ["check", str(written.named(case.base)), "--json", "--count", "0"]
            said = run_apart(verb, scratch)
            sound[case.base] = plain(scenes_of(said.out))
        place = scratch / "input"
        named = case.make(place)
        yield judge(case.name, case.reader, named, place, scratch, sound.get(case.base))
        _remove(place, scratch / "index")


def _remove(*folders: Path) -> None:
    """Remove folders that may lie in each other deeper than Python's own removal gets."""
    subprocess.run(["rm", "-rf", "--", *map(str, folders)], check=True)


def _start(
    cases: Sequence[Case], written: Written, scratch: Path, kept: Kept, everything: bool
) -> tuple[int, Path]:
    """Run cases in a process of their own; its number, and where the verdicts will be."""
    scratch.mkdir()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            with (scratch / "verdicts").open("w") as stream:
                for verdict in run(cases, written, scratch):
                    print(json.dumps(asdict(verdict)), file=stream)
                    kept.add(verdict)
                    _tell(verdict, everything)
            code = 0
        except BaseException:
            traceback.print_exc()  # the parent knows the number alone
        finally:
            os._exit(code)
    return pid, scratch / "verdicts"


def _tell(verdict: Verdict, everything: bool) -> None:
    if everything or verdict.faults:
        head = f"{verdict.result:7} {verdict.seconds:5.1f} s {verdict.mebibytes:5.0f} MiB"
        print(f"{head}  {verdict.name}: {verdict.said[:200]}", flush=True)
    for fault in verdict.faults:
        print(f"    FAULT {fault}", flush=True)


def _finish(pid: int, verdicts: Path) -> list[Verdict]:
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"a run of malformed inputs ended with {status}")
    return [Verdict(**json.loads(line)) for line in verdicts.read_text().splitlines()]


def main() -> int:
    """Returns the exit code: 1 where an input was not refused as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.hostile", description=__doc__)
    parser.add_argument("--only", default="", help="run the cases whose name holds this")
    parser.add_argument("--reader", action="append", help="run this reader's cases; again for more")
    parser.add_argument("--every", type=int, default=1, help="run one case of so many")
    parser.add_argument("--page", type=Path, help="write the table of docs/hostile.md")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--list", action="store_true", help="print what was said of each")
    parser.add_argument("--made", action="store_true", help="only files made to harm")
    parser.add_argument("--kept", type=Path, help="a file that keeps verdicts and is continued")
    options = parser.parse_args()
    kept = Kept(options.kept)
    warm()
    root = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        written = Written(root / "sound")
        written.all()
        known = all_cases(written)
        cases = all_cases(written, damaged=False) if options.made else known
        cases = [c for c in cases if options.only in c.name][:: options.every]
        cases = [c for c in cases if not options.reader or c.reader in options.reader]
        old, cases = kept.of(cases)
        shards = [
            _start(cases[k :: options.workers], written, root / str(k), kept, options.list)
            for k in range(options.workers)
        ]
        verdicts = old + [verdict for shard in shards for verdict in _finish(*shard)]
    finally:
        _remove(root)
    wrong = sum(bool(v.faults) for v in verdicts)
    print(f"{len(verdicts)} inputs, {len(old)} of them kept from earlier, {wrong} with faults")
    if options.page is not None:
        write_page(options.page, verdicts, len(known), kept.before(old))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
