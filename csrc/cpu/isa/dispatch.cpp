// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa/dispatch.h"

#include <atomic>

#include "spatialcore/check.h"

namespace spatialcore {
namespace {

constexpr int kUnset = -1;
std::atomic<int> chosen{kUnset};

Isa best_isa() {
  static const Isa best = isa_runs_here(Isa::kAvx2) ? Isa::kAvx2 : Isa::kBaseline;
  return best;
}

}  // namespace

const char* isa_name(Isa isa) { return isa == Isa::kAvx2 ? "avx2" : "baseline"; }

bool isa_runs_here(Isa isa) {
  if (isa == Isa::kBaseline) return true;
#if defined(__x86_64__)
  // Haswell and later, Zen and later: the AVX2 loops also use FMA and BMI2.
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

Isa active_isa() {
  const int isa = chosen.load(std::memory_order_relaxed);
  return isa == kUnset ? best_isa() : static_cast<Isa>(isa);
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (int i = 0; i < kIsaCount; ++i) {
    if (isa_runs_here(static_cast<Isa>(i))) names.emplace_back(isa_name(static_cast<Isa>(i)));
  }
  return names;
}

void set_isa(const std::string& name) {
  if (name.empty()) {
    chosen.store(kUnset);
    return;
  }
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (name != isa_name(isa)) continue;
    SC_REQUIRE(isa_runs_here(isa), "this machine does not run the instruction set " + name);
    chosen.store(i);
    return;
  }
  throw std::invalid_argument("unknown instruction set '" + name + "'");
}

}  // namespace spatialcore
