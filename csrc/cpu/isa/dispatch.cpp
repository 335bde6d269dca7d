// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa/dispatch.h"

#include <atomic>

#include "spatialcore/check.h"

namespace spatialcore {
namespace {

constexpr int kUnset = -1;
std::atomic<int> chosen{kUnset};

Isa best_isa() {
  static const Isa best = [] {
    Isa last = Isa::kBaseline;
    for (int i = 0; i < kIsaCount; ++i) {
      if (machine_has(static_cast<Isa>(i))) last = static_cast<Isa>(i);
    }
    return last;
  }();
  return best;
}

}  // namespace

const char* isa_name(Isa isa) {
  static constexpr const char* kNames[kIsaCount] = {"baseline", "avx2", "avx512", "neon"};
  return kNames[static_cast<int>(isa)];
}

Isa active_isa() {
  const int isa = chosen.load(std::memory_order_relaxed);
  return isa == kUnset ? best_isa() : static_cast<Isa>(isa);
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (int i = 0; i < kIsaCount; ++i) {
    if (machine_has(static_cast<Isa>(i))) names.emplace_back(isa_name(static_cast<Isa>(i)));
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
    SC_REQUIRE(machine_has(isa), "this machine does not run the instruction set " + name);
    chosen.store(i);
    return;
  }
  throw std::invalid_argument("unknown instruction set '" + name + "'");
}

}  // namespace spatialcore
