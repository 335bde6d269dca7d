# SPDX-License-Identifier: Apache-2.0
"""Show what this machine can run, and test the kernels.

Example:
    spatialcore doctor
    spatialcore doctor --json
    spatialcore doctor --isa baseline
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from spatialcore._dispatch import cuda_is_built
from spatialcore.commands import exit_codes
from spatialcore.commands.doctor_checks import Check, run_checks, run_device_checks
from spatialcore.commands.guard import run_verb

EXTRAS = {
    "gpu": ("cupy-cuda13x",),
    "triton": ("torch", "triton"),
    "model": ("torch", "transformers", "accelerate", "safetensors", "tokenizers", "pyyaml"),
    "lora": ("peft",),
    "rl": ("trl", "datasets"),
    "gguf": ("gguf",),
    "meteor": ("pycocoevalcap",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "dist": ("ray",),
    "hub": ("huggingface_hub",),
    "video": ("av",),
    "captures": ("OpenEXR", "h5py", "lz4", "pyliblzfse"),
    "plot": ("matplotlib",),
    "viz": ("rerun-sdk",),
    "stress": ("scikit-learn",),
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
    if not cuda_is_built():
        return {"built": False, "available": False, "reason": "built without CUDA"}
    try:
        from spatialcore import _cuda_ext
    except ImportError as error:
        reason = f"the extension cannot be loaded: {error}"
        return {"built": True, "runtime": 0, "available": False, "reason": reason, "devices": []}
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
    if cuda_is_built():
        state["available"] = cuda_state()["available"]
    else:
        from torch.cuda import is_available

        state["available"] = is_available()
    state["reason"] = "" if state["available"] else "no CUDA device; TRITON_INTERPRET=1 interprets"
    return state


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
        checks=[*run_checks(isas), *run_device_checks()],
    )


def _device_line(cuda: dict[str, Any]) -> str:
    if not cuda["built"]:
        return str(cuda["reason"])
    built = "built"
    if cuda["runtime"]:
        built += f" with runtime {cuda['runtime'] // 1000}.{cuda['runtime'] % 1000 // 10}"
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
    places = list(dict.fromkeys(check.place for check in report.checks))
    checks = Table("kernel equals the reference", *places)
    words = {True: "[green]every bit[/]", False: "[red]NO[/]", None: "no kernel"}
    for name in dict.fromkeys(check.operation for check in report.checks):
        passed = {c.place: c.passed for c in report.checks if c.operation == name}
        checks.add_row(name, *(words[passed.get(place)] for place in places))
    console.print(checks)


def main(argv: list[str]) -> int:
    """Run the verb; 1 when a kernel disagrees with the reference."""
    return run_verb("doctor", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    report = build_report(options)
    if options.json:
        print(json.dumps(asdict(report) | {"passed": report.passed}, indent=2))
    else:
        print_report(report)
    return exit_codes.OK if report.passed else exit_codes.FAILED
