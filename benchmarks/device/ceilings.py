# SPDX-License-Identifier: Apache-2.0
"""What this GPU reaches at best: copies, matrix products, and the instructions our kernels lean on.

The instruction rates come from Triton kernels that keep everything in registers; where Triton is
not installed they are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.device.clock import Clock


def measure(device: str, clock: Clock, scale: int = 1) -> dict[str, float]:
    """Bytes/s of a copy (read + written), operations/s of matrix products and instructions.

    Args:
        device: torch device.
        clock: How to time.
        scale: Divides every size, for machines without a GPU.
    """
    import torch

    rates: dict[str, float] = {}
    count = (1 << 30) // scale
    source, target = (torch.empty(count, dtype=torch.uint8, device=device) for _ in range(2))
    rates["copy_bytes"] = 2 * count / clock.seconds(lambda: target.copy_(source))
    side = max(64, 8192 // scale)
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.ones((side, side), dtype=dtype, device=device)
        rates[f"matrix_{name}"] = 2 * side**3 / clock.seconds(lambda a=a: a @ a)
    a = torch.ones((side, side), dtype=torch.int8, device=device)
    rates["matrix_int8"] = 2 * side**3 / clock.seconds(lambda: torch._int_mm(a, a))
    if find_spec("triton") and device != "cpu":
        rates |= _instructions(clock)
    for name, rate in rates.items():
        print(f"  {name:<24}{rate / 1e12:>10.3f} T/s", flush=True)
    return rates


def _instructions(clock: Clock) -> dict[str, float]:
    import torch

    from benchmarks.device.instructions import BLOCK, ROUNDS, popcount_rounds, root_rounds

    programs = 132 * 64
    work = programs * BLOCK * ROUNDS

    def rate(kernel: Any, dtype: Any) -> float:
        out = torch.zeros(programs * BLOCK, dtype=dtype, device="cuda")
        run: Callable[[], Any] = lambda: kernel[(programs,)](  # noqa: E731 - measured as it is
            out, ROUNDS=ROUNDS, BLOCK=BLOCK, num_warps=4, enable_fp_fusion=False
        )
        return work / clock.seconds(run)

    return {
        "root_float32": rate(root_rounds, torch.float32),
        "root_float64": rate(root_rounds, torch.float64),
        "popcount_32_bits": rate(popcount_rounds, torch.int32),
    }
