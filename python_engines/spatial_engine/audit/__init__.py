# SPDX-License-Identifier: Apache-2.0
"""Answers of public sets, derived again from their public metadata by our own functions."""

from __future__ import annotations

from spatial_engine.audit.audit import Audit, AuditRow, AuditSet, Finding, Verdict, run_audit
from spatial_engine.audit.vsibench import VsiBench

AUDITS: dict[str, type[AuditSet]] = {"vsi-bench": VsiBench}
"""Public sets by name; docs/vsi-bench.md says how one is added."""

__all__ = [
    "AUDITS",
    "Audit",
    "AuditRow",
    "AuditSet",
    "Finding",
    "Verdict",
    "run_audit",
]
