# SPDX-License-Identifier: Apache-2.0
import sys
from types import ModuleType

import numpy as np
import pytest

from spatialcore import BackendUnavailable, _check, _dispatch, _libraries


class Tensor:
    """Stands for a torch tensor: an array type of a module named torch, on any device."""

    __module__ = "torch"

    def __init__(self, device: str) -> None:
        self.device = device
        self.dtype = "torch.float32"
        self.shape = (2,)


HOST = np.zeros(2)


def test_none_chooses_by_place():
    assert _dispatch.choose(None, [HOST, HOST]) == "cpu"
    assert _dispatch.choose(None, [Tensor("cuda:0")]) == "cuda"
    with pytest.raises(TypeError, match="numpy"):
        _dispatch.choose(None, [Tensor("cpu")])
    with pytest.raises(ValueError, match="one place, got cpu, cuda:0"):
        _dispatch.choose(None, [HOST, Tensor("cuda:0")])


def test_a_name_is_that_backend_or_a_reason():
    assert _dispatch.choose("reference", [HOST]) == "reference"
    assert _dispatch.choose("triton", [Tensor("cuda:1")]) == "triton"
    with pytest.raises(ValueError, match="backend must be 'reference'"):
        _dispatch.choose("gpu", [HOST])
    with pytest.raises(BackendUnavailable, match="GPU, these are numpy arrays on cpu"):
        _dispatch.choose("cuda", [HOST])
    with pytest.raises(BackendUnavailable, match="numpy arrays, these are torch arrays on cuda:0"):
        _dispatch.choose("cpu", [Tensor("cuda:0")])
    with pytest.raises(BackendUnavailable, match="torch tensors, these are numpy"):
        _dispatch.choose("triton", [HOST])


def test_load_names_what_is_missing(monkeypatch):
    module = ModuleType("spatialcore._reference.sample_op")
    module.run = lambda: 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert _dispatch.kernel("sample_op", "run", "reference", [HOST])() == 7
    assert _dispatch.unavailable_reason("sample_op", "run", "reference") == ""
    for op, function in [("sample_op", "walk"), ("absent", "run")]:
        reason = _dispatch.unavailable_reason(op, function, "reference")
        assert reason == f"{function} has no kernel there"
    monkeypatch.setitem(sys.modules, "spatialcore._cpu", None)
    with pytest.raises(BackendUnavailable, match="C\\+\\+ compiler"):
        _dispatch.load("overlap", "pairwise_overlap", "cpu")


@pytest.mark.parametrize(("built", "triton_lacks", "expected"), [
    (True, "", "cuda"), (False, "", "triton"), (False, "no kernel", "cuda"),
])  # fmt: skip
def test_torch_on_a_gpu_goes_to_triton_where_cuda_is_not_built(
    monkeypatch, built, triton_lacks, expected
):
    monkeypatch.setattr(_dispatch, "cuda_is_built", lambda: built)
    monkeypatch.setattr(_dispatch, "unavailable_reason", lambda *_: triton_lacks)
    monkeypatch.setattr(_dispatch, "load", lambda op, function, backend: (function, backend))
    on_gpu = [Tensor("cuda:0")]
    assert _dispatch.kernel("overlap", "run", None, on_gpu) == ("run", expected)
    assert _dispatch.kernel("overlap", "run", "cuda", on_gpu) == ("run", "cuda")
    batch = ("run_batch", "cuda") if expected == "cuda" else None
    assert _dispatch.batch_kernel("overlap", "run", None, on_gpu * 2) == batch
    assert _dispatch.batch_kernel("overlap", "run", None, [HOST]) is None


def test_pointers_come_through_the_cuda_array_interface():
    class Array:
        def __init__(self, strides):
            self.__cuda_array_interface__ = {
                "data": (4096, False), "strides": strides, "version": 3,
            }  # fmt: skip

    assert _libraries.interface_address(Array(None)) == 4096
    with pytest.raises(ValueError, match="must be contiguous"):
        _libraries.interface_address(Array((8, 4)))


def test_torch_gives_the_address_of_unsigned_words_as_signed_ones(monkeypatch):
    torch = pytest.importorskip("torch")
    seen = []
    monkeypatch.setattr(_libraries, "interface_address", lambda a: seen.append(a) or 7)
    lib = _libraries.Torch("cpu")
    for dtype in (torch.uint16, torch.uint64, torch.uint8, torch.float64):
        tensor = torch.zeros((2, 3), dtype=dtype)
        assert lib.address(tensor) == 7
        assert seen[-1].data_ptr() == tensor.data_ptr()
    assert lib.address(torch.zeros(2, requires_grad=True)) == 7
    assert not seen[-1].requires_grad
    wanted = [torch.int16, torch.int64, torch.uint8, torch.float64, torch.float32]
    assert [a.dtype for a in seen] == wanted


def test_shapes_have_one_wording():
    sizes = _check.check_shape("K", np.zeros((4, 3, 3)), (3, 3), ("F", 3, 3))
    assert sizes == {"F": 4}
    with pytest.raises(ValueError, match=r"K must have shape \(3, 3\) or \(F, 3, 3\), got"):
        _check.check_shape("K", np.zeros((4, 4)), (3, 3), ("F", 3, 3))
    with pytest.raises(ValueError, match=r"\(F, 4, 4\) with F = 4, got \(5, 4, 4\)"):
        _check.check_shape("cam_from_world", np.zeros((5, 4, 4)), ("F", 4, 4), sizes=sizes)
    with pytest.raises(ValueError, match=r"a must have shape \(N, N\), got \(2, 3\)"):
        _check.check_shape("a", np.zeros((2, 3)), ("N", "N"))
    with pytest.raises(ValueError, match=r"a must have shape \(N,\), got \(\)"):
        _check.check_shape("a", np.zeros(()), ("N",))


def test_values_have_one_wording():
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        _check.check_dtype("a", np.zeros(1, np.int64), "float32", "float64")
    with pytest.raises(TypeError, match="k must be an integer, got float"):
        _check.check_count("k", 1.0)
    with pytest.raises(TypeError, match="k must be an integer, got bool"):
        _check.check_count("k", True)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        _check.check_count("k", 0, least=1)
    with pytest.raises(ValueError, match=r"cut must lie in \[0, inf\], got nan"):
        _check.check_number("cut", float("nan"), least=0)
    with pytest.raises(TypeError, match="cut must be a number, got str"):
        _check.check_number("cut", "1")
    assert _check.check_threads(None) == 0
    assert _check.check_threads(np.int32(3)) == 3
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        _check.check_threads(0)
    assert _check.device_of(HOST) == "cpu"
    assert _check.library_of([1]) == ""
