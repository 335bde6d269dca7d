// SPDX-License-Identifier: Apache-2.0
// Instruction sets of the hot loops. Every loop is compiled once per set, in its own translation
// unit; the best set that this machine runs is chosen once, and tests may choose another.
//
// An operation declares one function per set and picks at each call:
//
//   constexpr IsaTable<OverlapFn> kTable{overlap_baseline, SC_AVX2(overlap_avx2),
//                                        SC_AVX512(overlap_avx512), SC_NEON(overlap_neon)};
//   kTable.active()(arguments);
//
// All sets give the same bits; the choice changes time alone.
#pragma once

#include <string>
#include <vector>

// A function of a set where the build compiles that set (csrc/cpu/CMakeLists.txt), nullptr
// elsewhere.
#if defined(SPATIALCORE_AVX2)
#define SC_AVX2(...) __VA_ARGS__
#else
#define SC_AVX2(...) nullptr
#endif
#if defined(SPATIALCORE_AVX512)
#define SC_AVX512(...) __VA_ARGS__
#else
#define SC_AVX512(...) nullptr
#endif
#if defined(SPATIALCORE_NEON)
#define SC_NEON(...) __VA_ARGS__
#else
#define SC_NEON(...) nullptr
#endif

namespace spatialcore {

enum class Isa { kBaseline = 0, kAvx2 = 1, kAvx512 = 2, kNeon = 3 };
constexpr int kIsaCount = 4;

const char* isa_name(Isa isa);    // "baseline" (x86-64-v2 on x86), "avx2", "avx512", "neon"
bool machine_has(Isa isa);        // compiled in, and this machine runs it (detect.cpp)
Isa active_isa();                 // the best that runs here, unless set_isa chose
std::vector<std::string> isas();  // names that run here, slowest first

// Chooses by name for the whole process; "" returns to the best one.
// Throws std::invalid_argument when the name is unknown or does not run here.
void set_isa(const std::string& name);

// nullptr: not compiled, or no faster than the set before it.
template <class Fn>
struct IsaTable {
  Fn baseline, avx2, avx512, neon;

  Fn active() const {
    const Isa isa = active_isa();
    if (isa == Isa::kNeon && neon != nullptr) return neon;
    if (isa == Isa::kAvx512 && avx512 != nullptr) return avx512;
    if ((isa == Isa::kAvx512 || isa == Isa::kAvx2) && avx2 != nullptr) return avx2;
    return baseline;
  }
};

}  // namespace spatialcore
