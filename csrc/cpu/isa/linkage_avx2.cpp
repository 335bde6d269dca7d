// SPDX-License-Identifier: Apache-2.0
// Linkage loops in AVX2 registers.
namespace spatialcore {
namespace {
constexpr int kRegisterBytes = 32;
}
}  // namespace spatialcore

#include "cpu/isa/linkage_body.inc"

namespace spatialcore {

LinkageLoopsTable linkage_loops_avx2() { return {nearest, unite}; }

}  // namespace spatialcore
