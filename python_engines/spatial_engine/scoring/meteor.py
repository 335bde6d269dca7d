# SPDX-License-Identifier: Apache-2.0
"""METEOR 1.5 through pycocoevalcap (extra `meteor`), which runs the Java program of its authors."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from subprocess import Popen


def meteor_missing() -> str:
    """Why METEOR cannot be computed here, or ""."""
    if find_spec("pycocoevalcap") is None:
        return "pycocoevalcap is not installed: pip install 'spatialcore-mllm[meteor]'"
    if shutil.which("java") is None:
        return "it runs a Java program, and there is no `java` here"
    return ""


def meteor(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """METEOR of a corpus, 0 to 1, over words as they stand.

    Args:
        predictions: Texts.
        references: Accepted texts of each.

    Raises:
        ModuleNotFoundError, OSError: See `meteor_missing`.
    """
    from pycocoevalcap.meteor.meteor import Meteor

    said = {k: [_line(text)] for k, text in enumerate(predictions)}
    truths = {k: [_line(text) for text in several] for k, several in enumerate(references)}
    scorer = Meteor()
    try:
        value, _ = scorer.compute_score(truths, said)
    finally:
        _end(scorer.meteor_p)
    return float(value)


def _end(process: Popen[bytes]) -> None:
    """End the program, which the package leaves running, and close its pipes."""
    process.kill()
    process.communicate()


def _line(text: str) -> str:
    """A text that the program's protocol can carry: one line, without its separator."""
    return " ".join(text.replace("|||", " ").split())
