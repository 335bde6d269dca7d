// SPDX-License-Identifier: Apache-2.0
// In place of csrc/cpu/isa/detect.cpp where AVX-512 is emulated by the compiler's headers.
#include "cpu/isa/dispatch.h"

namespace spatialcore {

bool machine_has(Isa isa) {
  return isa == Isa::kBaseline || isa == Isa::kAvx512 ||
         (isa == Isa::kAvx2 && __builtin_cpu_supports("avx2"));
}

}  // namespace spatialcore
