# SPDX-License-Identifier: Apache-2.0
"""The table of docs/hostile.md: how every malformed input ended, by reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.robustness.hostile.measure import MEBIBYTES, SECONDS, Verdict

_MARK = "<!-- table -->"
_PAGE = f"""# Malformed inputs

`make hostile` damages a sound scene of every layout (each kind of file in it: emptied, cut, noise,
flipped bits, a pipe, a folder, links to nothing and to itself, eight sparse gigabytes; texts also
NaN, infinities, endless digits, no UTF-8, NUL, a line of 8 MB, a million lines; JSON nested without
end, of other types, of millions of lists), and adds files made to harm: bombs, lying counts, code,
crowds. `check` and `index` are run on each in a process of their own.

What is asked of each: a typed error that names file and reason, or a report that says what is
masked; no traceback, no number of the system; at most {SECONDS:.0f} s of processor time for a verb;
at most {MEBIBYTES:.0f} MiB beside twice the file. A pipe is never waited for.

*refused*: the verb ends with 1, 2 or 3. *said*: the rest of the scene is taken, and what is not is
counted by reason. *harmless*: nothing depends on it (a file that no reader opens, trailing bytes,
pixels that are decoded only when an image is shown).

{_MARK}
"""


def write_page(path: Path, verdicts: Sequence[Verdict], total: int, before: int = 0) -> None:
    """Write the page with its table, of so many of all inputs, some of them run on older code."""
    head = "| reader | inputs | refused | said | harmless | faults | worst s | worst MiB |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---:|"]
    readers = sorted({v.reader for v in verdicts})
    for reader in (*readers, "all"):
        mine = [v for v in verdicts if reader in (v.reader, "all")]
        counts = [sum(v.result == r for v in mine) for r in ("refused", "said", "silent")]
        faults = sum(bool(v.faults) for v in mine)
        seconds, mebibytes = max(v.seconds for v in mine), max(v.mebibytes for v in mine)
        row = (reader, len(mine), *counts, faults, f"{seconds:.1f}", f"{mebibytes:.0f}")
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", f"{len(verdicts):,} of {total:,} inputs; seconds and MiB of the slower verb."]
    if before:
        lines[-1] += f" {before:,} of them were run before the readers were last changed."
    path.write_text(_PAGE.replace(_MARK, "\n".join(lines)), encoding="utf-8")
