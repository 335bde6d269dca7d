// SPDX-License-Identifier: Apache-2.0
// Linkage loops that the compiler maps to AVX2 registers.
#include "cpu/isa/linkage_body.inc"

namespace spatialcore {

LinkageLoopsTable linkage_loops_avx2() { return {nearest, unite}; }

}  // namespace spatialcore
