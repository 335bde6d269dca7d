// SPDX-License-Identifier: Apache-2.0
#include "cpu/morton.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace spatialcore {
namespace {

constexpr int kDigitBits = 11;  // 2,048 counters stay in the first-level cache
constexpr int kDigits = 1 << kDigitBits;
constexpr uint64_t kLast = ~uint64_t{0};  // key of a point that is not finite

struct Keyed {
  uint64_t key;
  uint32_t row;
};

// Spreads the low 21 bits of x to every third bit.
uint64_t spread(uint64_t x) {
  x &= 0x1fffff;
  x = (x | x << 32) & 0x001f00000000ffff;
  x = (x | x << 16) & 0x001f0000ff0000ff;
  x = (x | x << 8) & 0x100f00f00f00f00f;
  x = (x | x << 4) & 0x10c30c30c30c30c3;
  return (x | x << 2) & 0x1249249249249249;
}

template <class T>
bool finite_point(const T* p) {
  return std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]);
}

template <class T>
void make_keys(const T* points, int64_t count, int axis_bits, Keyed* keyed) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  double low[3] = {kInf, kInf, kInf}, high[3] = {-kInf, -kInf, -kInf};
  for (int64_t p = 0; p < count; ++p) {
    if (!finite_point(points + 3 * p)) continue;
    for (int a = 0; a < 3; ++a) {
      low[a] = std::min<double>(low[a], points[3 * p + a]);
      high[a] = std::max<double>(high[a], points[3 * p + a]);
    }
  }
  const double extent = std::max({high[0] - low[0], high[1] - low[1], high[2] - low[2]});
  const double cell_count = static_cast<double>(int64_t{1} << axis_bits);
  const double cell = extent / cell_count;
  for (int64_t p = 0; p < count; ++p) {
    uint64_t key = kLast;
    if (finite_point(points + 3 * p)) {
      key = 0;
      for (int a = 0; a < 3; ++a) {
        const double steps = cell > 0 ? (points[3 * p + a] - low[a]) / cell : 0.0;
        key |= spread(static_cast<uint64_t>(std::min(steps, cell_count - 1))) << a;
      }
    }
    keyed[p] = {key, static_cast<uint32_t>(p)};
  }
}

// One stable counting pass; false, and nothing moved, when all keys share the digit.
bool sort_by_digit(const Keyed* from, Keyed* to, int64_t count, int shift) {
  std::vector<int64_t> start(kDigits + 1, 0);
  const auto digit = [shift](const Keyed& k) { return k.key >> shift & (kDigits - 1); };
  for (int64_t i = 0; i < count; ++i) ++start[digit(from[i]) + 1];
  if (start[digit(from[0]) + 1] == count) return false;
  for (int d = 0; d < kDigits; ++d) start[d + 1] += start[d];
  for (int64_t i = 0; i < count; ++i) to[start[digit(from[i])]++] = from[i];
  return true;
}

}  // namespace

template <class T>
void morton_order(const T* points, int64_t count, int axis_bits, uint32_t* order) {
  if (count == 0) return;
  std::vector<Keyed> keyed(count), swapped(count);
  make_keys(points, count, axis_bits, keyed.data());
  // One bit more than the key holds, so that non-finite points, all ones, stay last.
  for (int shift = 0; shift < 3 * axis_bits + 1; shift += kDigitBits) {
    if (sort_by_digit(keyed.data(), swapped.data(), count, shift)) keyed.swap(swapped);
  }
  for (int64_t i = 0; i < count; ++i) order[i] = keyed[i].row;
}

template void morton_order(const float*, int64_t, int, uint32_t*);
template void morton_order(const double*, int64_t, int, uint32_t*);

}  // namespace spatialcore
