// SPDX-License-Identifier: Apache-2.0
// The two ways to hold the distances of a linkage: a square copy whose rows are read in place, and
// the condensed array itself, for half the memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/large_pages.h"
#include "spatialcore/rigidity.h"

namespace spatialcore {

constexpr double kInf = std::numeric_limits<double>::infinity();

// Row-major square copy; rows are read in place. A union writes its row and not its column: a cache
// line for each cluster. Another row fetches what has changed when it is next read, and half of the
// rows are gone before that.
class Square {
 public:
  Square(const double* condensed, int64_t n)
      : n_(n), values_(large_array<double>(n * n)), seen_(n, 0), written_(n, kNever) {
    constexpr int64_t kTile = 64;  // both halves of a tile stay in the first-level cache
    for (int64_t top = 0; top < n; top += kTile) {
      for (int64_t left = top; left < n; left += kTile) {
        for (int64_t i = top; i < std::min(n, top + kTile); ++i) {
          const double* from = condensed + condensed_row(i, n);
          for (int64_t j = std::max(left, i + 1); j < std::min(n, left + kTile); ++j) {
            values_[i * n + j] = values_[j * n + i] = from[j];
          }
        }
      }
    }
    for (int64_t i = 0; i < n; ++i) values_[i * n + i] = kInf;
  }
  int64_t size() const { return n_; }
  double* row(int64_t i) {
    double* out = values_.get() + i * n_;
    for (int64_t u = seen_[i]; u < union_count(); ++u) {
      const int64_t y = unions_[u];
      if (written_[y] == u) out[y] = values_[y * n_ + i];
    }
    seen_[i] = union_count();
    return out;
  }
  // Row y was rewritten; slot x is gone.
  void store(int64_t y, int64_t x, const double* /*gone*/) {
    written_[x] = kNever;
    written_[y] = union_count();
    unions_.push_back(y);
    seen_[y] = union_count();
  }
  // Keeps the listed slots (ascending); writes never pass reads.
  void keep(const std::vector<int64_t>& slots) {
    const int64_t m = static_cast<int64_t>(slots.size());
    for (const int64_t slot : slots) row(slot);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < m; ++j) values_[i * m + j] = values_[slots[i] * n_ + slots[j]];
    }
    n_ = m;
    unions_.clear();
    std::fill(seen_.begin(), seen_.end(), 0);
    std::fill(written_.begin(), written_.end(), kNever);
  }

 private:
  static constexpr int64_t kNever = -1;

  int64_t union_count() const { return static_cast<int64_t>(unions_.size()); }

  int64_t n_;
  LargeArray<double> values_;
  std::vector<int64_t> unions_;   // the slots that were rewritten, in order
  std::vector<int64_t> seen_;     // of each slot: how many unions its row holds
  std::vector<int64_t> written_;  // of each slot: its last place in unions_
};

// The condensed array itself; a row is gathered into one of two buffers.
class Condensed {
 public:
  Condensed(double* condensed, int64_t n) : n_(n), values_(condensed), buffer_{} {
    for (auto& buffer : buffer_) buffer.resize(n);
  }
  int64_t size() const { return n_; }
  double* row(int64_t i) {
    std::vector<double>& out = buffer_[turn_ ^= 1];
    for (int64_t j = 0; j < i; ++j) out[j] = values_[condensed_row(j, n_) + i];
    out[i] = kInf;
    std::copy_n(values_ + (condensed_row(i, n_) + i + 1), n_ - i - 1, out.begin() + i + 1);
    last_ = out.data();
    return last_;
  }
  void store(int64_t y, int64_t /*x*/, const double* gone) {
    for (int64_t j = 0; j < n_; ++j) {
      if (gone[j] != 0.0 || j == y) continue;
      values_[condensed_row(std::min(j, y), n_) + std::max(j, y)] = last_[j];
    }
  }
  void keep(const std::vector<int64_t>& slots) {
    const int64_t m = static_cast<int64_t>(slots.size());
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = i + 1; j < m; ++j) {
        values_[condensed_row(i, m) + j] = values_[condensed_row(slots[i], n_) + slots[j]];
      }
    }
    n_ = m;
  }

 private:
  int64_t n_;
  double* values_;
  std::vector<double> buffer_[2];
  double* last_ = nullptr;
  int turn_ = 0;
};

}  // namespace spatialcore
