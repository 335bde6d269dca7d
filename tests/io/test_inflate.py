# SPDX-License-Identifier: Apache-2.0
"""The inflater of depth payloads against zlib, on good and on damaged streams."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore import _cpu

STRATEGIES = (
    zlib.Z_DEFAULT_STRATEGY,
    zlib.Z_FILTERED,
    zlib.Z_HUFFMAN_ONLY,
    zlib.Z_RLE,
    zlib.Z_FIXED,
)


@pytest.fixture(scope="module", params=_cpu.isas(), autouse=True)
def each_instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    _cpu.set_isa(request.param)
    yield
    _cpu.set_isa("")


def residuals(seed: int, size: int) -> bytes:
    """16-bit differences as filtered depth has them: codes of 1 to 15 bits, runs between them."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.3, 4.0, 60.0, 2000.0], size // 256 + 1)
    values = np.rint(rng.laplace(0, np.repeat(spread, 256)[: size // 2])).astype(">i2")
    for start in rng.integers(0, len(values), 40):
        values[start : start + rng.integers(1, 400)] = values[start]
    return values.tobytes()


def compress(payload: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    maker = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
    return maker.compress(payload) + maker.flush()


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("size", [0, 1, 2, 63, 257, 70_000, 300_000])
@pytest.mark.parametrize("alphabet", [1, 3, 256])
def test_equals_zlib(level: int, strategy: int, size: int, alphabet: int) -> None:
    rng = np.random.default_rng(size + alphabet)
    payload = rng.integers(0, alphabet, size).astype(np.uint8).tobytes()
    assert _cpu.inflate(compress(payload, level, strategy), size).tobytes() == payload


@given(st.binary(max_size=2000), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_round_trip(payload: bytes, level: int) -> None:
    assert (
        _cpu.inflate(zlib.compress(payload * 3, level), 3 * len(payload)).tobytes() == payload * 3
    )


@pytest.mark.parametrize("pattern", [b"ab", b"abc", b"abcdefg", b"abcdefgh", b"x"])
def test_overlapping_matches(pattern: bytes) -> None:
    payload = pattern * 1000
    assert _cpu.inflate(zlib.compress(payload), len(payload)).tobytes() == payload


def test_size_must_be_exact() -> None:
    stream = zlib.compress(b"0123456789" * 10)
    with pytest.raises(ValueError, match="less data"):
        _cpu.inflate(stream, 101)
    with pytest.raises(ValueError, match="more data"):
        _cpu.inflate(stream, 99)


def test_bomb_is_stopped_at_the_promised_size() -> None:
    with pytest.raises(ValueError, match="more data"):
        _cpu.inflate(zlib.compress(bytes(50_000_000)), 1000)


def test_impossible_promise_allocates_nothing() -> None:
    with pytest.raises(ValueError, match="can not hold"):
        _cpu.inflate(zlib.compress(b"x"), 1 << 40)


@pytest.mark.parametrize(
    "stream", [b"", b"x", b"\x78\x9c", b"\x78\x9c\x00\x00\x00\x00\x00", b"\x00" * 9]
)
def test_no_stream(stream: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each form of damage has its own wording
        _cpu.inflate(stream, 10)


def test_checksum_is_verified() -> None:
    stream = bytearray(zlib.compress(b"depth" * 100))
    stream[-1] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        _cpu.inflate(bytes(stream), 500)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("level", [1, 6, 9])
def test_long_codes(level: int, strategy: int) -> None:
    for seed in range(4):
        payload = residuals(seed, 200_000)
        stream = compress(payload, level, strategy)
        assert _cpu.inflate(stream, len(payload)).tobytes() == payload


def test_damage_far_from_the_ends() -> None:
    for seed in range(100):
        payload = residuals(seed, 60_000)
        stream = bytearray(compress(payload, 1 + seed % 9, STRATEGIES[seed % 4]))
        rng = np.random.default_rng(seed)
        stream[rng.integers(2, len(stream))] ^= 1 << int(rng.integers(8))
        if seed % 5 == 0:
            stream = stream[: rng.integers(1, len(stream))]
        # A flipped bit or a missing end is always seen: by a code, a limit or the checksum.
        with pytest.raises(ValueError):  # noqa: PT011 - each form of damage has its own wording
            _cpu.inflate(bytes(stream), len(payload))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_damage_is_an_error_or_harmless(seed: int) -> None:
    rng = np.random.default_rng(seed)
    payload = rng.integers(0, 1 + seed % 200, 3000).astype(np.uint8).tobytes()
    stream = bytearray(zlib.compress(payload, 1 + seed % 9))
    for _ in range(1 + seed % 3):
        stream[rng.integers(2, len(stream))] = rng.integers(0, 256)
    stream = stream[: rng.integers(1, len(stream) + 1)] if seed % 2 else stream
    try:
        result = _cpu.inflate(bytes(stream), len(payload)).tobytes()
    except ValueError:
        return
    assert result == zlib.decompress(bytes(stream))
