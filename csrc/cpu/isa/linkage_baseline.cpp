// SPDX-License-Identifier: Apache-2.0
// Linkage loops of the baseline: SSE registers with x86-64-v2, NEON registers on AArch64.
namespace spatialcore {
namespace {
constexpr int kRegisterBytes = 16;
}
}  // namespace spatialcore

#include "cpu/isa/linkage_body.inc"

namespace spatialcore {

LinkageLoopsTable linkage_loops_baseline() { return {nearest, unite}; }

}  // namespace spatialcore
