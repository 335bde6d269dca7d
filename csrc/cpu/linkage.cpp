// SPDX-License-Identifier: Apache-2.0
// Average and Ward linkage by the nearest-neighbour chain (Murtagh 1983; Muellner 2011): O(n^2).
// Both are reducible: merging other clusters never brings a cluster nearer than its nearest
// neighbour was. So two clusters that are each other's nearest may merge at once, and a cluster
// whose nearest lies above the cut is finished.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cpu/linkage_loops.h"
#include "cpu/linkage_matrix.h"
#include "spatialcore/rigidity.h"

namespace spatialcore {
namespace {

constexpr int64_t kSmall = 64;  // a matrix of this size is not worth compacting

template <class Matrix>
class Chain {
 public:
  Chain(Matrix matrix, Linkage method, double cut)
      : matrix_(std::move(matrix)), method_(method), cut_(cut) {
    const int64_t n = matrix_.size();
    gone_.assign(n, 0.0);
    size_.assign(n, 1.0);
    id_.resize(n);
    std::iota(id_.begin(), id_.end(), int64_t{0});
    left_ = n;
  }

  std::vector<Merge> run() {
    std::vector<Merge> merges;
    int64_t start = 0;
    while (left_ > 1) {
      if (chain_.empty()) {
        if (2 * left_ <= matrix_.size() && matrix_.size() > kSmall) compact(), start = 0;
        while (gone_[start] != 0.0) ++start;
        chain_.push_back(start);
      }
      const int64_t x = chain_.back();
      const double* row = matrix_.row(x);
      int64_t y = linkage::nearest(row, gone_.data(), matrix_.size());
      if (chain_.size() > 1) {
        const int64_t previous = chain_[chain_.size() - 2];
        if (row[previous] <= row[y]) y = previous;
        if (y == previous) {
          merges.push_back({id_[x], id_[y], row[y]});
          merge(std::min(x, y), std::max(x, y), row[y]);
          chain_.resize(chain_.size() - 2);
          continue;
        }
      } else if (!(row[y] <= cut_)) {
        gone_[x] = kInf;
        --left_;
        chain_.clear();
        continue;
      }
      chain_.push_back(y);
    }
    return merges;
  }

 private:
  void merge(int64_t x, int64_t y, double apart) {
    const double* row_x = matrix_.row(x);
    double* row_y = matrix_.row(y);
    linkage::unite(row_x, row_y, size_.data(), size_[x], size_[y], apart, method_, matrix_.size());
    row_y[y] = kInf;
    size_[y] += size_[x];
    gone_[x] = kInf;
    --left_;
    matrix_.store(y, x, gone_.data());
  }

  void compact() {
    std::vector<int64_t> slots;
    for (int64_t j = 0; j < matrix_.size(); ++j) {
      if (gone_[j] == 0.0) slots.push_back(j);
    }
    matrix_.keep(slots);
    for (size_t k = 0; k < slots.size(); ++k) {
      id_[k] = id_[slots[k]];
      size_[k] = size_[slots[k]];
    }
    std::fill(gone_.begin(), gone_.begin() + static_cast<int64_t>(slots.size()), 0.0);
  }

  Matrix matrix_;
  Linkage method_;
  double cut_;
  std::vector<double> gone_, size_;  // gone: 0, or infinity for merged and finished slots
  std::vector<int64_t> id_;          // a member of the cluster in each slot
  std::vector<int64_t> chain_;
  int64_t left_;
};

}  // namespace

std::vector<Merge> linkage_cpu(double* condensed, int64_t n, Linkage method, double cut) {
  if (n < 2) return {};
  if (n <= kSquareLimit) return Chain<Square>(Square(condensed, n), method, cut).run();
  return Chain<Condensed>(Condensed(condensed, n), method, cut).run();
}

void label_clusters(const std::vector<Merge>& merges, int64_t n, int64_t min_size,
                    int32_t* labels) {
  std::vector<int64_t> parent(n), size(n, 1);
  std::iota(parent.begin(), parent.end(), int64_t{0});
  const auto root = [&](int64_t a) {
    while (parent[a] != a) a = parent[a] = parent[parent[a]];
    return a;
  };
  for (const Merge& merge : merges) {
    int64_t a = root(merge.a), b = root(merge.b);
    if (a > b) std::swap(a, b);
    parent[b] = a;  // the root is the first member
    size[a] += size[b];
  }
  int32_t next = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t first = root(i);
    labels[i] = first == i ? (size[i] >= min_size ? next++ : -1) : labels[first];
  }
}

}  // namespace spatialcore
