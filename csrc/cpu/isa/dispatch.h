// SPDX-License-Identifier: Apache-2.0
// Instruction sets of the hot loops. Every loop is compiled once per set, in its own translation
// unit; the best set that this machine runs is chosen once, and tests may choose another.
//
// An operation declares one function per set and picks at each call:
//
//   static constexpr IsaTable<OverlapFn> kTable{overlap_baseline, overlap_avx2};
//   kTable.active()(arguments);
//
// All sets give the same bits; the choice changes time alone.
#pragma once

#include <string>
#include <vector>

namespace spatialcore {

enum class Isa { kBaseline = 0, kAvx2 = 1 };
constexpr int kIsaCount = 2;

const char* isa_name(Isa isa);    // "baseline" (x86-64-v2 on x86), "avx2"
bool isa_runs_here(Isa isa);      // compiled in, and the machine has it
Isa active_isa();                 // the best that runs here, unless set_isa chose
std::vector<std::string> isas();  // names that run here, slowest first

// Chooses by name for the whole process; "" returns to the best one.
// Throws std::invalid_argument when the name is unknown or does not run here.
void set_isa(const std::string& name);

template <class Fn>
struct IsaTable {
  Fn baseline;
  Fn avx2;  // nullptr where it is not compiled

  Fn active() const { return active_isa() == Isa::kAvx2 && avx2 != nullptr ? avx2 : baseline; }
};

}  // namespace spatialcore
