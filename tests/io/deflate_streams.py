# SPDX-License-Identifier: Apache-2.0
"""Deflate streams at random, sound and unsound: by the grammar of RFC 1951, and real ones damaged.

A stream of the grammar has two to four blocks. About half of the streams carry one fault or more:
a reserved block type, a stored length without its complement, too many codes, codes over-subscribed
or incomplete, a repeat before the first length or beyond the last, no end of block, a symbol that
is reserved (lengths 286 and 287, distances 30 and 31), a distance before the start.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence

_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_REPEATS = {16: (3, 2), 17: (3, 3), 18: (11, 7)}  # symbol: least repeat, extra bits
_END = 256


class _Bits:
    """Bits, the low one first."""

    def __init__(self) -> None:
        self.value = self.count = 0

    def put(self, value: int, count: int) -> None:
        self.value |= (value & ((1 << count) - 1)) << self.count
        self.count += count

    def put_code(self, code: tuple[int, int]) -> None:
        value, count = code
        self.put(int(f"{value:0{count}b}"[::-1], 2), count)

    def align(self) -> None:
        self.count += -self.count % 8

    def bytes(self) -> bytes:
        return self.value.to_bytes((self.count + 7) // 8, "little")


def _lengths(rng: random.Random, symbols: Sequence[int], size: int, most: int, odds: float):
    """Code lengths of `size` symbols: a complete code of `symbols`, at times spoilt."""
    leaves = [0]
    while len(leaves) < len(symbols):
        at = rng.randrange(len(leaves)) if rng.random() < 0.7 else leaves.index(min(leaves))
        if leaves[at] == most:
            at = leaves.index(min(leaves))
        leaves[at] += 1
        leaves.append(leaves[at])
    if leaves == [0]:
        leaves = [1]  # one code of one bit: incomplete, and allowed to lengths and distances
    lengths = [0] * size
    for symbol, length in zip(rng.sample(list(symbols), len(symbols)), leaves, strict=True):
        lengths[symbol] = length
    if rng.random() < odds:
        at = rng.randrange(size)
        lengths[at] = rng.choice([0, 1, 2, most, max(0, lengths[at] - 1)])
    return lengths


def _codes(lengths: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Canonical code and its length of every symbol that has one."""
    codes, code = {}, 0
    for bits in range(1, 16):
        code <<= 1
        for symbol, length in enumerate(lengths):
            if length == bits:
                codes[symbol] = (code & ((1 << bits) - 1), bits)
                code += 1
    return codes


def _run_lengths(rng: random.Random, lengths: Sequence[int], odds: float) -> list[tuple[int, int]]:
    """Symbols of the code lengths' code with their extra bits."""
    out: list[tuple[int, int]] = []
    at = 0
    if rng.random() < odds / 2:
        out.append((16, rng.randrange(4)))
    while at < len(lengths):
        run = 1
        while at + run < len(lengths) and lengths[at + run] == lengths[at]:
            run += 1
        kinds = [k for k in ((17, 18) if lengths[at] == 0 else (16,)) if run >= _REPEATS[k][0]]
        if kinds and (lengths[at] == 0 or (at and lengths[at - 1] == lengths[at])):
            kind = rng.choice(kinds)
            least, extra = _REPEATS[kind]
            repeat = min(run, least + (1 << extra) - 1)
            if rng.random() < odds / 8:
                repeat = least + (1 << extra) - 1  # may run beyond the last
            out.append((kind, repeat - least))
            at += repeat
        else:
            out.append((lengths[at], 0))
            at += 1
    return out


def _put_dynamic_header(bits: _Bits, rng: random.Random, odds: float):
    """A header of random codes; the codes as their writer means them."""
    sizes = [rng.randint(257, 286), rng.randint(1, 30)]
    if rng.random() < odds / 2:
        sizes[rng.randrange(2)] = rng.choice([287, 288]) if rng.random() < 0.5 else 31
        sizes = [max(257, sizes[0]), min(32, sizes[1])]
    literals = rng.sample(range(256), rng.choice([0, 1, 2, 9, 60]))
    matches = rng.sample(range(257, sizes[0]), min(sizes[0] - 257, rng.randrange(8)))
    far = rng.sample(range(sizes[1]), rng.randint(0, min(sizes[1], 6)))
    symbols = [*literals, *matches, *([] if rng.random() < odds / 4 else [_END])] or [0]
    lengths = _lengths(rng, symbols, sizes[0], 15, odds / 3)
    distances = _lengths(rng, far, sizes[1], 15, odds / 3) if far else [0] * sizes[1]
    runs = _run_lengths(rng, lengths + distances, odds)
    used = sorted({symbol for symbol, _ in runs})
    precode = _lengths(rng, used, 19, 7, odds / 3)
    if len(used) == 1 and rng.random() < 0.5:  # a second code makes it complete
        precode[(used[0] + 1) % 19] = 1
    count = max(k for k in range(19) if precode[_ORDER[k]] or k < 4) + 1
    bits.put(sizes[0] - 257, 5)
    bits.put(sizes[1] - 1, 5)
    bits.put(max(4, count) - 4, 4)
    for k in range(max(4, count)):
        bits.put(precode[_ORDER[k]], 3)
    codes = _codes(precode)
    for symbol, extra in runs:
        bits.put_code(codes.get(symbol, (0, 1)))
        if symbol in _REPEATS:
            bits.put(extra, _REPEATS[symbol][1])
    return _codes(lengths), _codes(distances)


def _put_symbols(bits: _Bits, rng: random.Random, codes, distances, odds: float) -> None:
    """Some symbols of the codes, then the end of the block or what stands in its place."""
    known = [s for s in codes if s != _END and s < 286]
    for _ in range(rng.randrange(40) if known else 0):
        symbol = rng.choice(known)
        if symbol > _END and not (distances and (odds or min(distances) < 8)):
            continue
        bits.put_code(codes[symbol])
        if symbol < _END:
            continue
        bits.put(
            rng.getrandbits(5), 0 if symbol in (*range(257, 265), 285) else (symbol - 261) // 4
        )
        near = [d for d in distances if d < 8]  # within the bytes that a stream begins with
        distance = rng.choice(list(distances) if rng.random() < odds / 4 or not near else near)
        bits.put_code(distances[distance])
        bits.put(rng.getrandbits(13) if rng.random() < odds else 0, max(0, distance // 2 - 1))
    ends = [s for s in codes if s > 285] if rng.random() < odds else []
    bits.put_code(codes.get(rng.choice(ends) if ends else _END, (0, 1)))


_FIXED = _codes([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), {d: (d, 5) for d in range(32)}


def _put_stored(bits: _Bits, payload: bytes, last: bool = False, wrong: int = 0) -> None:
    bits.put(last, 3)  # and kind 0
    bits.align()
    bits.put(len(payload), 16)
    bits.put(~len(payload) ^ wrong, 16)
    bits.put(int.from_bytes(payload, "little"), 8 * len(payload))


def _put_block(bits: _Bits, rng: random.Random, last: bool, odds: float) -> None:
    kind = 3 if rng.random() < odds / 8 else rng.choice([0, 1, 1, 2, 2, 2, 2])
    if kind == 0:
        wrong = 1 << rng.randrange(16) if rng.random() < odds / 2 else 0
        _put_stored(bits, rng.randbytes(rng.choice([0, 1, 9, 90])), last, wrong)
        return
    bits.put(last, 1)
    bits.put(kind, 2)
    if kind == 1:
        _put_symbols(bits, rng, *_FIXED, odds)
    elif kind == 2:
        _put_symbols(bits, rng, *_put_dynamic_header(bits, rng, odds), odds)


def _written(raw: bytes) -> bytes:
    """What zlib has written when it ends or refuses; byte by byte, since an error takes it all."""
    inflater, out = zlib.decompressobj(-15), b""
    try:
        for at in range(len(raw)):
            out += inflater.decompress(raw[at : at + 1])
    except zlib.error:
        pass
    return out


def by_the_grammar(seed: int, count: int) -> Iterator[tuple[bytes, int]]:
    """`count` zlib streams, each with the size that a reader has to expect of it."""
    rng = random.Random(seed)
    for _ in range(count):
        bits, odds = _Bits(), rng.choice([0.0, 0.0, 0.3])
        blocks = rng.randint(1, 3)
        _put_stored(bits, rng.randbytes(rng.choice([0, 16, 16, 16])))
        for block in range(blocks):
            _put_block(bits, rng, block == blocks - 1, odds)
        out = _written(bits.bytes())
        # A reader that takes the fault for the end finds the right checksum behind it.
        yield b"\x78\x9c" + bits.bytes() + zlib.adler32(out).to_bytes(4, "big"), len(out)


def damaged(seed: int, count: int, payloads: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """`count` streams of zlib with flipped bits, changed, lost and doubled bytes, or whole."""
    rng = random.Random(seed)
    strategies = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)
    for k in range(count):
        payload = payloads[k % len(payloads)]
        maker = zlib.compressobj(rng.randrange(10), zlib.DEFLATED, 15, 9, rng.choice(strategies))
        stream = bytearray(maker.compress(payload) + maker.flush())
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(stream))
            match rng.randrange(5):
                case 0:
                    stream[at] ^= 1 << rng.randrange(8)
                case 1:
                    stream[at] = rng.randrange(256)
                case 2:
                    del stream[at : at + rng.randint(1, 4)]
                case 3:
                    stream[at:at] = stream[max(0, at - 3) : at]
                case 4:
                    stream = stream[: at + 1]
            if not stream:
                break
        yield bytes(stream), len(payload)
