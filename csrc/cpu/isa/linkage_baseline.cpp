// SPDX-License-Identifier: Apache-2.0
// Linkage loops of the baseline.
#include "cpu/isa/linkage_body.inc"

namespace spatialcore {

LinkageLoopsTable linkage_loops_baseline() { return {nearest, unite}; }

}  // namespace spatialcore
