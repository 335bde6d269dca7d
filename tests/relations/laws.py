# SPDX-License-Identifier: Apache-2.0
"""What may not stand in one graph of relations."""

from __future__ import annotations

from itertools import pairwise

from spatialcore.relations.graph import INVERSE, SYMMETRIC, RelationGraph

_EXCLUSIVE = (
    frozenset({"contains", "intersects", "adjacent", "disjoint"}),
    frozenset({"near", "far"}),
    frozenset({"larger", "similar"}),
)


def broken_laws(graph: RelationGraph) -> list[str]:
    """Relations that contradict each other; empty for every graph built here.

    Checked: symmetric edges have a < b, no stored relation holds both ways, no pair has two
    topological or two size words, no edge is doubled or joins an object to itself.
    """
    faults = [f"{e.type}({e.a}, {e.a})" for e in graph.edges if e.a == e.b]
    keys = [(e.type, e.a, e.b, e.frame) for e in graph.edges]
    faults += [f"{k} twice" for k, n in pairwise(keys) if k == n]
    known = set(keys)
    for kind, a, b, frame in keys:
        if kind in SYMMETRIC and a > b:
            faults.append(f"{kind}({a}, {b}) is not in stored form")
        if kind in INVERSE or (kind not in SYMMETRIC and (kind, b, a, frame) in known):
            faults.append(f"{kind}({a}, {b}) contradicts its inverse")
    for family in _EXCLUSIVE:
        pairs = [(min(a, b), max(a, b)) for kind, a, b, _ in keys if kind in family]
        faults += [f"{sorted(family)} of {p}" for p in set(pairs) if pairs.count(p) > 1]
    return faults
