"""
CPU kernels of spatialcore.
"""
from __future__ import annotations
__all__: list[str] = ['available_threads']
def available_threads() -> int:
    """
    Threads that the process may use: the size of its affinity mask.
    """
__version__: str = '0.1.0'
