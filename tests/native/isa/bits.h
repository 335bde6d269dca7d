// SPDX-License-Identifier: Apache-2.0
// Random inputs and hashes of outputs, the same on every machine.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace spatialcore {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {  // SplitMix64
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t limit) { return bits() % limit; }
  double uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(bits() >> 11) * 0x1p-53);
  }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

// FNV-1a of bytes. NaN has one pattern: its sign and payload differ between processors.
class Hash {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    for (const T& value : values) add(value);
  }
  template <class T>
  void add(T value) {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    if (value != value) std::memset(bytes, 0x7F, sizeof(T));
    for (const unsigned char byte : bytes) state_ = (state_ ^ byte) * 0x100000001B3;
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0xCBF29CE484222325;
};

// A line "<set> <name> <hash>".
inline void report(const std::string& set, const std::string& name, const Hash& hash) {
  std::printf("%s %s %016llx\n", set.c_str(), name.c_str(),
              static_cast<unsigned long long>(hash.value()));
}

// The operations with a loop for each set, and the others.
void report_occlusion(const std::string& set);
void report_sets(const std::string& set);
void report_portable();

}  // namespace spatialcore
