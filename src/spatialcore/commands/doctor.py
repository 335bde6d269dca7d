# SPDX-License-Identifier: Apache-2.0
"""Show what this machine can run, and test the kernels against the reference.

Example:
    spatialcore doctor
    spatialcore doctor --json
    spatialcore doctor --isa baseline
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

EXIT_FAILED = 1
EXTRAS = {
    "gpu": ("cupy-cuda13x",),
    "triton": ("torch", "triton"),
    "model": ("torch", "transformers", "accelerate", "safetensors", "tokenizers"),
    "lora": ("peft",),
    "dist": ("ray",),
    "video": ("av",),
    "viz": ("matplotlib", "rerun-sdk", "viser"),
}


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore doctor`.

    Attributes:
        isa: Instruction set to test, or "all" that the machine runs.
        json: Print one JSON object.
    """

    isa: str = "all"
    json: bool = False


@dataclass(frozen=True)
class Check:
    """One kernel on one instruction set against the float64 reference."""

    operation: str
    isa: str
    passed: bool


@dataclass(frozen=True)
class Report:
    """What the command prints."""

    spatialcore: str
    python: str
    numpy: str
    machine: str
    threads: int
    isas: list[str]
    isa: str
    cuda: dict[str, Any]
    triton: dict[str, Any]
    extras: dict[str, str]
    free_disk_gb: float
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every kernel agrees with the reference."""
        return all(check.passed for check in self.checks)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cuda_state() -> dict[str, Any]:
    """Whether the CUDA backend is built and can run, and the reason when not."""
    try:
        from spatialcore import _cuda_ext
    except ImportError:
        return {"built": False, "available": False, "reason": "built without CUDA"}
    reason = _cuda_ext.unavailable_reason()
    return {
        "built": True,
        "runtime": _cuda_ext.runtime_version(),
        "available": not reason,
        "reason": reason,
        "devices": _cuda_ext.devices(),
    }


def triton_state() -> dict[str, Any]:
    """Whether the Triton backend can run, and the reason when not."""
    missing = [name for name in EXTRAS["triton"] if _version(name) is None]
    if missing:
        return {"available": False, "reason": f"{' and '.join(missing)} not installed"}
    state: dict[str, Any] = {"version": _version("triton"), "torch": _version("torch")}
    device = cuda_state()
    state["available"] = device["available"]
    state["reason"] = "" if device["available"] else "no CUDA device; TRITON_INTERPRET=1 interprets"
    return state


def _inputs() -> dict[str, Any]:
    """A small scene with points on every kind of edge: sides, depth limits, behind the camera."""
    rng = np.random.default_rng(20)
    K = np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]])
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, :3, 3] = rng.uniform(-0.5, 0.5, (5, 3))
    points = rng.uniform([-3, -3, -1], [3, 3, 7], (5000, 3)).astype(np.float32)
    depth = rng.integers(0, 6000, (5, 240, 320)).astype(np.uint16)
    tracks = rng.normal(size=(12, 70, 3))
    tracks[rng.random((12, 70)) < 0.05] = np.nan
    return {"K": K, "poses": poses, "points": points, "depth": depth, "tracks": tracks}


def _operations() -> dict[str, Callable[[str], Any]]:
    """Name -> a call of the operation on a backend, returning arrays to compare in every bit."""
    from spatialcore import DepthRule
    from spatialcore.coverage import max_coverage
    from spatialcore.occlusion import visible_points
    from spatialcore.overlap import pairwise_overlap
    from spatialcore.projection import project_points
    from spatialcore.rigidity import accumulate_distance_change

    x = _inputs()

    def visible(backend: str, rule: DepthRule) -> Any:
        return visible_points(
            x["points"],
            x["K"],
            x["poses"],
            x["depth"],
            image_size=(320, 240),
            depth_scale=0.001,
            rule=rule,
            backend=backend,
        )

    seen = visible("reference", DepthRule.tolerance())
    return {
        "projection": lambda b: project_points(x["points"], x["K"], x["poses"], backend=b),
        "occlusion (tolerance)": lambda b: visible(b, DepthRule.tolerance()).words,
        "occlusion (strict)": lambda b: visible(b, DepthRule.strict()).words,
        "overlap": lambda b: pairwise_overlap(seen, backend=b).intersection,
        "rigidity": lambda b: accumulate_distance_change(x["tracks"], backend=b),
        "coverage": lambda b: max_coverage(seen, 3, backend=b),
    }


def run_checks(isas: list[str]) -> Iterator[Check]:
    """Compare every CPU kernel with the reference on every named instruction set."""
    from spatialcore import _cpu

    operations = _operations()
    expected = {name: call("reference") for name, call in operations.items()}
    try:
        for isa in isas:
            _cpu.set_isa(isa)
            for name, call in operations.items():
                got = call("cpu")
                pairs = (
                    zip(got, expected[name], strict=True)
                    if isinstance(got, tuple)
                    else [(got, expected[name])]
                )
                same = all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)
                yield Check(name, isa, same)
    finally:
        _cpu.set_isa("")


def build_report(options: Options) -> Report:
    """Collect everything; ValueError when `options.isa` does not run here."""
    from spatialcore import __version__, _cpu

    isas = _cpu.isas() if options.isa == "all" else [options.isa]
    if not set(isas) <= set(_cpu.isas()):
        raise ValueError(f"--isa {options.isa}: this machine runs {', '.join(_cpu.isas())}")
    extras = {
        name: ", ".join(f"{p} {_version(p) or 'missing'}" for p in packages)
        for name, packages in EXTRAS.items()
    }
    return Report(
        spatialcore=__version__,
        python=platform.python_version(),
        numpy=np.__version__,
        machine=f"{platform.system()} {platform.machine()}",
        threads=_cpu.available_threads(),
        isas=_cpu.isas(),
        isa=_cpu.isa(),
        cuda=cuda_state(),
        triton=triton_state(),
        extras=extras,
        free_disk_gb=round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        checks=list(run_checks(isas)),
    )


def _device_line(cuda: dict[str, Any]) -> str:
    if not cuda["built"]:
        return str(cuda["reason"])
    built = f"built with runtime {cuda['runtime'] // 1000}.{cuda['runtime'] % 1000 // 10}"
    if not cuda["available"]:
        return f"{built}; cannot run: {cuda['reason']}"
    names = ", ".join(
        f"{d['name']} (sm_{d['compute_capability'][0]}{d['compute_capability'][1]}, "
        f"{d['memory_bytes'] / 2**30:.0f} GiB)"
        for d in cuda["devices"]
    )
    return f"{built}; {names}"


def print_report(report: Report) -> None:
    """The report as two tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(
        title=f"spatialcore {report.spatialcore}", show_header=False, title_justify="left"
    )
    triton = report.triton
    rows = {
        "python": f"{report.python}, numpy {report.numpy}",
        "machine": f"{report.machine}, {report.threads} threads, {report.free_disk_gb} GB free",
        "instruction sets": " < ".join(report.isas) + f" (in use: {report.isa})",
        "CUDA": _device_line(report.cuda),
        "Triton": (f"{triton['version']}; " if "version" in triton else "")
        + (triton["reason"] or "ready"),
        **{f"extra [{name}]": text for name, text in report.extras.items()},
    }
    for name, text in rows.items():
        table.add_row(name.replace("[", r"\["), text)
    console.print(table)
    isas = list(dict.fromkeys(check.isa for check in report.checks))
    checks = Table("kernel equals the reference", *isas)
    for name in dict.fromkeys(check.operation for check in report.checks):
        by_isa = {c.isa: c.passed for c in report.checks if c.operation == name}
        checks.add_row(name, *("[green]every bit[/]" if by_isa[i] else "[red]NO[/]" for i in isas))
    console.print(checks)


def main(argv: list[str]) -> int:
    """Run the verb; 1 when a kernel disagrees with the reference."""
    from spatialcore.commands.parse import parse_options

    options = parse_options(Options, argv, "doctor", __doc__)
    try:
        report = build_report(options)
    except ValueError as error:
        print(f"spatialcore doctor: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(report) | {"passed": report.passed}, indent=2))
    else:
        print_report(report)
    return 0 if report.passed else EXIT_FAILED
