# SPDX-License-Identifier: Apache-2.0
"""The verbs that are installed: entry points of the group `spatialcore.commands`."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "spatialcore.commands"
# The order of a first session; verbs that are not listed follow in alphabetical order.
ORDER = ("doctor", "sample", "check", "index", "plan", "generate", "status", "verify", "stats",
         "report", "show",
         "view", "export", "merge", "frames", "train", "eval", "ask", "score",
         "new-reader")  # fmt: skip


def installed_verbs() -> dict[str, EntryPoint]:
    """The verbs by name, in the order of a first session."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    rank = {name: i for i, name in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))
