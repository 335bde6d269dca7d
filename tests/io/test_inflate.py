# SPDX-License-Identifier: Apache-2.0
"""The inflater of depth payloads against zlib, on good and on damaged streams."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from spatialcore import _cpu
from tests.io import deflate_streams

STRATEGIES = (
    zlib.Z_DEFAULT_STRATEGY,
    zlib.Z_FILTERED,
    zlib.Z_HUFFMAN_ONLY,
    zlib.Z_RLE,
    zlib.Z_FIXED,
)


# Two bodies are compiled: the baseline's, and one with the shifts that come with AVX2.
@pytest.fixture(params=sorted({_cpu.isas()[0], _cpu.isas()[-1]}))
def isa(request: pytest.FixtureRequest) -> Iterator[None]:
    _cpu.set_isa(request.param)
    yield
    _cpu.set_isa("")


def residuals(seed: int, size: int) -> bytes:
    """16-bit differences as filtered depth has them: codes of 1 to 15 bits, runs between them."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.3, 4.0, 60.0, 2000.0], size // 256 + 1)
    values = np.rint(rng.laplace(0, np.repeat(spread, 256)[: size // 2])).astype(">i2")
    for start in rng.integers(0, max(1, len(values)), 40):
        values[start : start + rng.integers(1, 400)] = values[start : start + 1]
    return values.tobytes()


def compress(payload: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    maker = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
    return maker.compress(payload) + maker.flush()


def by_zlib(stream: bytes) -> bytes | None:
    """The bytes of a whole stream, or None where zlib refuses it."""
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(stream)
    except zlib.error:
        return None
    return out if inflater.eof else None


def by_us(stream: bytes, size: int) -> bytes | None:
    try:
        return _cpu.inflate(stream, size).tobytes()
    except ValueError:
        return None


def disagreements(streams: Iterable[tuple[bytes, int]]) -> tuple[list[str], int, int]:
    """Streams that one decodes otherwise than the other; how many both took and both refused."""
    wrong, taken, refused = [], 0, 0
    for stream, size in streams:
        expected = by_zlib(stream)
        got = by_us(stream, size if expected is None else len(expected))
        if got != expected:
            wrong.append(stream.hex())
        taken += expected is not None
        refused += expected is None
    return wrong, taken, refused


@pytest.mark.usefixtures("isa")
def test_same_bytes_or_both_refuse() -> None:
    payloads = [residuals(seed, size) for seed, size in ((1, 200), (2, 900), (3, 4000))]
    corpus = itertools.chain(
        deflate_streams.by_the_grammar(1, 2500), deflate_streams.damaged(2, 1200, payloads)
    )
    wrong, taken, refused = disagreements(corpus)
    assert not wrong
    assert min(taken, refused) > 800


def fixed_block(*codes: tuple[int, int]) -> bytes:
    """A stream of one block in the fixed code; its checksum is that of b"a"."""
    bits = "110" + "".join(f"{code:0{size}b}" for code, size in ((0x30 + ord("a"), 8), *codes))
    bits += "0" * (-len(bits) % 8)
    block = bytes(int(bits[k : k + 8][::-1], 2) for k in range(0, len(bits), 8))
    return b"\x78\x9c" + block + zlib.adler32(b"a").to_bytes(4, "big")


@pytest.mark.usefixtures("isa")
def test_reserved_symbols_are_refused() -> None:
    end, shortest = (0, 7), (1, 7)
    assert by_us(fixed_block(end), 1) == by_zlib(fixed_block(end)) == b"a"
    for symbol in (286, 287):  # once taken for the end of the block
        with pytest.raises(ValueError, match="symbol outside the code"):
            _cpu.inflate(fixed_block((0xC0 + symbol - 280, 8)), 1)
        with pytest.raises(ValueError, match="symbol outside the code"):
            _cpu.inflate(fixed_block((0xC0 + symbol - 280, 8)) + bytes(600), 1000)
    for distance in (30, 31):
        with pytest.raises(ValueError, match="distance outside the code"):
            _cpu.inflate(fixed_block(shortest, (distance, 5), end), 4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equals_zlib(strategy: int) -> None:
    for level in (0, 1, 6, 9):
        for size, alphabet in itertools.product((0, 1, 2, 63, 257, 70_000), (1, 3, 256)):
            rng = np.random.default_rng(size + alphabet)
            payload = rng.integers(0, alphabet, size).astype(np.uint8).tobytes()
            assert by_us(compress(payload, level, strategy), size) == payload
        payload = residuals(level, 200_000)  # codes beyond the primary lookup, several blocks
        assert by_us(compress(payload, level, strategy), len(payload)) == payload


@pytest.mark.usefixtures("isa")
def test_overlapping_matches() -> None:
    for period in range(1, 40):
        payload = bytes(range(period)) * (3000 // period)
        assert by_us(zlib.compress(payload), len(payload)) == payload


@pytest.mark.parametrize("distance", [*range(1, 41), 63, 64, 65, 300])
def test_matches_of_every_length_near_and_far(distance: int) -> None:
    """A copy repeats what lies `distance` bytes back, also where it reads its own bytes."""
    rng = np.random.default_rng(distance)
    for length in (*range(3, 70), 100, 257, 258):
        head = rng.integers(0, 256, distance, dtype=np.uint8).tobytes()
        run = (head * (length // distance + 1))[:length]
        tail = rng.integers(0, 256, int(rng.integers(0, 330)), dtype=np.uint8).tobytes()
        plain = head + run + tail
        assert by_us(compress(plain, 9), len(plain)) == plain, length


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


def test_no_stream() -> None:
    for stream in (b"", b"x", b"\x78\x9c", b"\x78\x9c\x00\x00\x00\x00\x00", b"\x00" * 9):
        with pytest.raises(ValueError):  # noqa: PT011 - each form of damage has its own wording
            _cpu.inflate(stream, 10)


def test_checksum_is_verified() -> None:
    stream = bytearray(zlib.compress(b"depth" * 100))
    stream[-1] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        _cpu.inflate(bytes(stream), 500)


@pytest.mark.usefixtures("isa")
def test_damage_far_from_the_ends() -> None:
    for seed in range(40):
        payload = residuals(seed, 60_000)
        stream = bytearray(compress(payload, 1 + seed % 9, STRATEGIES[seed % 4]))
        rng = np.random.default_rng(seed)
        stream[rng.integers(2, len(stream))] ^= 1 << int(rng.integers(8))
        if seed % 5 == 0:
            stream = stream[: rng.integers(1, len(stream))]
        # A flipped bit or a missing end is always seen: by a code, a limit or the checksum.
        assert by_us(bytes(stream), len(payload)) is None
