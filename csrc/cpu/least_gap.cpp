// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/least_gap.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace spatialcore {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kSteps = 3;  // from nearest to nearest: mostly the least distance by then

struct Columns {
  const double* axis[3];
  int64_t count;
};

struct Points {
  std::vector<double> axis[3];

  Columns columns() const {
    return {{axis[0].data(), axis[1].data(), axis[2].data()}, static_cast<int64_t>(axis[0].size())};
  }
  void add(const Columns& from, int64_t k) {
    for (int a = 0; a < 3; ++a) axis[a].push_back(from.axis[a][k]);
  }
};

struct Bounds {
  double low[3], high[3];
};

Bounds bounds_of(const Columns& points) {
  Bounds found;
  for (int a = 0; a < 3; ++a) {
    const double* at = points.axis[a];
    double low = kInf, high = -kInf;
    for (int64_t k = 0; k < points.count; ++k) {
      low = std::min(low, at[k]), high = std::max(high, at[k]);
    }
    found.low[a] = low, found.high[a] = high;
  }
  return found;
}

double beyond(double at, double low, double high) {
  return std::max(std::max(low - at, at - high), 0.0);
}

double square_beyond(const Columns& points, int64_t k, const Bounds& bounds) {
  const double x = beyond(points.axis[0][k], bounds.low[0], bounds.high[0]);
  const double y = beyond(points.axis[1][k], bounds.low[1], bounds.high[1]);
  const double z = beyond(points.axis[2][k], bounds.low[2], bounds.high[2]);
  return (x * x + y * y) + z * z;
}

double square_between(const Columns& a, int64_t i, const Columns& b, int64_t j) {
  const double x = a.axis[0][i] - b.axis[0][j], y = a.axis[1][i] - b.axis[1][j];
  const double z = a.axis[2][i] - b.axis[2][j];
  return (x * x + y * y) + z * z;
}

// The least of squares and its place.
template <typename SquareOf>
std::pair<double, int64_t> least_of(int64_t count, const SquareOf& square_of) {
  double least = kInf;
  int64_t place = 0;
  for (int64_t k = 0; k < count; ++k) {
    const double square = square_of(k);
    if (square < least) least = square, place = k;
  }
  return {least, place};
}

// A short distance: from a point to the nearest of the other set, and back.
double descended(const Columns& a, const Columns& b, int64_t start) {
  double least = kInf;
  const Columns *here = &a, *there = &b;
  for (int step = 0; step < 2 * kSteps; ++step) {
    const auto [square, place] =
        least_of(there->count, [&](int64_t j) { return square_between(*here, start, *there, j); });
    if (!(square < least)) break;
    least = square, start = place;
    std::swap(here, there);
  }
  return least;
}

// The points that may be nearer than `square` to what lies within bounds.
Points within(const Columns& points, const Bounds& bounds, double square) {
  Points kept;
  for (int64_t k = 0; k < points.count; ++k) {
    if (!(square_beyond(points, k, bounds) > square)) kept.add(points, k);
  }
  return kept;
}

int longest_axis(const Bounds& bounds) {
  const auto side = [&](int a) { return bounds.high[a] - bounds.low[a]; };
  return side(2) > std::max(side(0), side(1)) ? 2 : side(1) > side(0) ? 1 : 0;
}

Points sorted_along(const Columns& points, int axis) {
  std::vector<int64_t> order(points.count);
  std::iota(order.begin(), order.end(), int64_t{0});
  const double* at = points.axis[axis];
  std::sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return at[i] < at[j]; });
  Points out;
  for (const int64_t k : order) out.add(points, k);
  return out;
}

// Both sets from one end of an axis to the other: a point meets those that are near along it.
double swept(const Columns& a, const Columns& b, int axis, double least) {
  const double *from = a.axis[axis], *to = b.axis[axis];
  const auto far = [&](double x, double y) { return (x - y) * (x - y) > least; };
  int64_t begin = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    while (begin < b.count && to[begin] < from[i] && far(from[i], to[begin])) ++begin;
    for (int64_t j = begin; j < b.count && !(to[j] > from[i] && far(from[i], to[j])); ++j) {
      least = std::min(least, square_between(a, i, b, j));
    }
  }
  return least;
}

}  // namespace

double least_square_gap_cpu(View<const double, 2> a, View<const double, 2> b) {
  const Columns all_a{{a.row(0), a.row(1), a.row(2)}, a.shape[1]};
  const Columns all_b{{b.row(0), b.row(1), b.row(2)}, b.shape[1]};
  const Bounds of_b = bounds_of(all_b);
  const auto [square, start] =
      least_of(all_a.count, [&](int64_t k) { return square_beyond(all_a, k, of_b); });
  const double least = descended(all_a, all_b, start);
  if (!(least > 0)) return least;
  // Twice: what is left of a set has narrower bounds.
  Points near_a = within(all_a, of_b, least);
  Points near_b = within(all_b, bounds_of(near_a.columns()), least);
  near_a = within(near_a.columns(), bounds_of(near_b.columns()), least);
  near_b = within(near_b.columns(), bounds_of(near_a.columns()), least);
  const int axis = longest_axis(bounds_of(near_a.columns()));
  near_a = sorted_along(near_a.columns(), axis), near_b = sorted_along(near_b.columns(), axis);
  return swept(near_a.columns(), near_b.columns(), axis, least);
}

}  // namespace spatialcore
