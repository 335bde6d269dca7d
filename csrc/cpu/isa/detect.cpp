// SPDX-License-Identifier: Apache-2.0
// Which compiled sets this machine runs: each asks for just the instructions that its files are
// compiled with (csrc/cpu/CMakeLists.txt), and for the system's leave to use their registers.
#include "cpu/isa/dispatch.h"

namespace spatialcore {

bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::kBaseline:
      return true;
#if defined(SPATIALCORE_AVX2)
    case Isa::kAvx2:  // Haswell and Zen on
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#endif
#if defined(SPATIALCORE_AVX512)
    case Isa::kAvx512:  // Ice Lake and Zen 4 on; Skylake has no popcount of vectors and uses AVX2
      return machine_has(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vpopcntdq");
#endif
#if defined(SPATIALCORE_NEON)
    case Isa::kNeon:  // part of every AArch64
      return true;
#endif
    default:
      return false;
  }
}

}  // namespace spatialcore
