// SPDX-License-Identifier: Apache-2.0
// Linkage loops in AVX-512 registers.
namespace spatialcore {
namespace {
constexpr int kRegisterBytes = 64;
}
}  // namespace spatialcore

#include "cpu/isa/linkage_body.inc"

namespace spatialcore {

LinkageLoopsTable linkage_loops_avx512() { return {nearest, unite}; }

}  // namespace spatialcore
