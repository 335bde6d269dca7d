# SPDX-License-Identifier: Apache-2.0
"""Chains over two visits of a room: what lies elsewhere, how far, nearer to what, and where."""

from __future__ import annotations

from dataclasses import replace

from spatial_engine.engines.chains.of_objects import boxed
from spatial_engine.records.chains import Chain, Telling, line, metres


def revisit(told: Telling, quantity: str) -> Chain:
    """One of the tasks about two visits."""
    facts = told.facts
    moved, *stayed = (float(value) for value in facts["moved_m"])
    if quantity == "which_moved":
        lines = (
            line("Between the visits the {} moved {} m.", told.chosen, metres(moved)),
            line("The other things lie {} m from where they were.",
                 [metres(one) for one in stayed]),
        )  # fmt: skip
        return Chain(lines, told.letter(told.chosen) if moved > max(stayed) else "")
    what = f"the {told.slots['object']}" if "object" in told.slots else "it"  # which is asked
    said = line("Between the visits {} moved {} m.", what, metres(moved))
    if quantity == "distance":
        return Chain((said,), (moved,))
    if quantity == "gap_change":
        before, after = (float(value) for value in facts["gaps_m"])
        gaps = line(
            "From the {} it was {} m away between nearest points, and is {} m away now.",
            told.slots["landmark"], metres(before), metres(after),
        )  # fmt: skip
        return Chain((said, gaps), "nearer" if after < before else "farther")
    framed = boxed(told)
    return replace(framed, lines=(said, *framed.lines))
