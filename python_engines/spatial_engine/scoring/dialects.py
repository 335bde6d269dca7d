# SPDX-License-Identifier: Apache-2.0
"""Public benchmarks and whose rules they are scored by: names, what they do, and their flaws.

A score is the field's only under the rules that the field used, so each evaluator's are a dialect
with a name. Where a dialect takes an answer that says nothing for right, ours does not, and says
so. The rules are those of the public evaluators as of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from spatialcore.commands.text import wrapped
from spatialcore.errors import UsageError
from spatialcore.settings_words import nearest

Benchmark = Literal[
    "vsibench", "vsibench-debiased", "revsi", "sqa3d", "scanqa", "mmsi", "mindcube", "viewspatial",
    "sparbench",
]  # fmt: skip
BENCHMARKS: tuple[Benchmark, ...] = get_args(Benchmark)
_EMPTY = "an empty answer counts as right there; here it is wrong"


@dataclass(frozen=True, slots=True)
class Dialect:
    """A set of rules.

    Attributes:
        benchmark: What it scores.
        name: Its name; the first one of a benchmark is taken where none is asked for.
        rule: What it does.
        flaw: What it gets wrong, "" where nothing is known.
    """

    benchmark: Benchmark
    name: str
    rule: str
    flaw: str = ""


_FIRST = "first word, case aside; numbers by mean relative accuracy with <= in float64"
_VSI = (
    ("official", _FIRST, "`2 meters` is read, `There are two` is not"),
    ("lmms-eval-2026", "letters as official; the first numeral or number in words anywhere",
     "`of the 3 chairs I see 2` is 3"),
    ("spatial-mllm", "the whole of the last answer block; < in float32",
     "`A. chair` and `2 meters` are wrong"),
    ("lenient", "the one answer that a text marks or names; numbers as official", ""),
)  # fmt: skip
DIALECTS: tuple[Dialect, ...] = (
    *(Dialect("vsibench", name, rule, flaw) for name, rule, flaw in _VSI),
    *(Dialect("vsibench-debiased", name, f"rows that are not `pruned`: {rule}", flaw)
      for name, rule, flaw in _VSI),
    Dialect("revsi", "lmms-eval", f"{_FIRST}; overall is the mean of seven tasks"),
    Dialect("sqa3d", "published", "em1: equal letter by letter but for a period at the end; em_r1: "
            "one within the other, case, articles and punctuation off",
            "`Left` is not `left` in em1"),
    Dialect("sqa3d", "leo", "em1 and em_r1 after LEO's cleaning (lmms-eval takes it over): lower "
            "case, misspellings mended, digits as words; em_r1 without spaces", _EMPTY),
    Dialect("scanqa", "published", "BLEU, CIDEr, ROUGE-L, METEOR and em over words as they stand",
            "`Left` is not `left`"),
    Dialect("scanqa", "leo", "the same after LEO's cleaning, and em_r1", _EMPTY),
    Dialect("mmsi", "lmms-eval", "a backticked span, then braces, then the first letter A to F "
            "that no word follows", "`A chair, so B` is B, `I would say a` is A"),
    Dialect("mindcube", "lmms-eval", "the last `X.`, else what the answer block or `answer is X` "
            "says, else the lowest line's first letter A to E",
            "of `B. left or C. right` the last one counts"),
    Dialect("viewspatial", "lmms-eval", "first letter A to D by itself in the last line, case "
            "aside", "`a chair` is A"),
    Dialect("sparbench", "lmms-eval", "choices: equal, within the truth, or its first letter; "
            "numbers: the first one (several views: the last), mean relative accuracy; camera "
            "moves: mean over five axes",
            f"`Bed` is B; {_EMPTY}; lmms-eval 0.7.3 itself gives every number 0"),
)  # fmt: skip


def dialect_of(benchmark: Benchmark, name: str | None) -> Dialect:
    """A dialect by its name; the benchmark's first one for None.

    Raises:
        UsageError: The benchmark has no such dialect; the nearest is named.
    """
    known = [one for one in DIALECTS if one.benchmark == benchmark]
    if name is None:
        return known[0]
    for one in known:
        if one.name == name:
            return one
    names = [one.name for one in known]
    near = nearest(name, names)
    hint = f"; did you mean {near}?" if near else ""
    raise UsageError(f"--dialect {name}: {benchmark} is scored by {', '.join(names)}{hint}")


def listed() -> list[str]:
    """Every dialect: benchmark, name, rule, flaw, each on lines of its own."""
    lines = []
    for one in DIALECTS:
        lines += [f"{one.benchmark}  {one.name}", wrapped(f"    {one.rule}")]
        lines += [wrapped(f"    flaw: {one.flaw}")] if one.flaw else []
    return lines
