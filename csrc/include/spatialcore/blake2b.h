// SPDX-License-Identifier: Apache-2.0
// BLAKE2b without a key, digest of 8 bytes: what ids are made of.
//
//   text    size bytes   in
//   return  the digest's bytes, the first one lowest
//
// One call hashes one text; ids are short, one block of 128 bytes or two. Source: RFC 7693,
// sections 3.1 to 3.3; equal to hashlib.blake2b(text, digest_size=8). Test:
// tests/engines/test_compose.py.
#pragma once

#include <cstdint>
#include <string_view>

namespace spatialcore {

uint64_t blake2b_8(std::string_view text);

}  // namespace spatialcore
