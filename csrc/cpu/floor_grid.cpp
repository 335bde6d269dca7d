// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/floor_grid.h.
#include "spatialcore/floor_grid.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <queue>
#include <tuple>

namespace spatialcore {
namespace {

const double kSqrt2 = std::sqrt(2.0);
// Reaches every cell that a line crosses or grazes, in cells.
const double kHalfDiagonal = std::sqrt(0.5) + 1e-9;
constexpr int kMoves[8][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 1}, {1, -1}, {1, 0}, {1, 1}};

using Queued = std::tuple<double, double, int64_t>;  // f, h, cell

struct Reached {
  double cost = std::numeric_limits<double>::infinity();
  int64_t straight = 0, diagonal = 0, parent = -1;
  bool closed = false;
};

// A border of blocked cells saves every bounds check.
std::vector<uint8_t> padded(View<const uint8_t, 2> free) {
  const int64_t stride = free.shape[1] + 2;
  std::vector<uint8_t> cells((free.shape[0] + 2) * stride, 0);
  for (int64_t row = 0; row < free.shape[0]; ++row) {
    const uint8_t* from = free.pointer + row * free.shape[1];
    std::copy(from, from + free.shape[1], cells.begin() + (row + 1) * stride + 1);
  }
  return cells;
}

FloorPath traced(const std::vector<Reached>& reached, int64_t target, int64_t stride, double cost) {
  FloorPath path;
  for (int64_t cell = target; cell >= 0; cell = reached[cell].parent) {
    path.cells.push_back({cell / stride - 1, cell % stride - 1});
  }
  std::reverse(path.cells.begin(), path.cells.end());
  path.cost = cost;
  return path;
}

// Calls visit(row, column) for each cell along the line until it returns false.
template <class Visit>
void along(const GridLine& line, Visit visit) {
  const auto low = [](double a, double b) {
    return static_cast<int64_t>(std::floor(std::min(a, b) - 1));
  };
  const auto high = [](double a, double b) {
    return static_cast<int64_t>(std::ceil(std::max(a, b) + 1));
  };
  const double dx = line.bx - line.ax, dy = line.by - line.ay;
  const double square = dx * dx + dy * dy;
  // A cell this far from the endless line is not looked at closely; one per mille covers rounding.
  const double reach = 1.001 * kHalfDiagonal * std::sqrt(square);
  for (int64_t row = low(line.ay, line.by); row <= high(line.ay, line.by); ++row) {
    const double py = static_cast<double>(row) - line.ay;
    for (int64_t column = low(line.ax, line.bx); column <= high(line.ax, line.bx); ++column) {
      const double px = static_cast<double>(column) - line.ax;
      if (std::abs(px * dy - py * dx) > reach) continue;
      const double share = square > 0 ? std::clamp((px * dx + py * dy) / square, 0.0, 1.0) : 0.0;
      const double off_x = px - share * dx, off_y = py - share * dy;
      if (off_x * off_x + off_y * off_y > kHalfDiagonal * kHalfDiagonal) continue;
      if (!visit(row, column)) return;
    }
  }
}

}  // namespace

FloorPath find_path_cpu(View<const uint8_t, 2> free, Cell start, Cell goal) {
  const int64_t stride = free.shape[1] + 2;
  const std::vector<uint8_t> open = padded(free);
  const auto index = [&](const Cell& c) { return (c.row + 1) * stride + c.column + 1; };
  const int64_t origin = index(start), target = index(goal);
  if (!open[origin] || !open[target]) return {};
  std::vector<Reached> reached(open.size());
  reached[origin].cost = 0.0;
  std::priority_queue<Queued, std::vector<Queued>, std::greater<>> queue;
  queue.emplace(0.0, 0.0, origin);
  while (!queue.empty()) {
    const auto [f, h, here] = queue.top();
    queue.pop();
    if (reached[here].closed) continue;
    if (here == target) return traced(reached, target, stride, f);
    reached[here].closed = true;
    for (const auto& [dr, dc] : kMoves) {
      const int64_t there = here + dr * stride + dc;
      Reached& next = reached[there];
      if (!open[there] || next.closed) continue;
      const bool is_diagonal = dr != 0 && dc != 0;
      if (is_diagonal && !(open[here + dr * stride] && open[here + dc])) continue;
      const int64_t s = reached[here].straight + !is_diagonal;
      const int64_t d = reached[here].diagonal + is_diagonal;
      const double cost = static_cast<double>(s) + static_cast<double>(d) * kSqrt2;
      if (cost >= next.cost) continue;
      next.cost = cost, next.straight = s, next.diagonal = d, next.parent = here;
      const int64_t rows = std::abs(there / stride - target / stride);
      const int64_t columns = std::abs(there % stride - target % stride);
      const int64_t hs = std::abs(rows - columns), hd = std::min(rows, columns);
      queue.emplace(static_cast<double>(s + hs) + static_cast<double>(d + hd) * kSqrt2,
                    static_cast<double>(hs) + static_cast<double>(hd) * kSqrt2, there);
    }
  }
  return {};
}

std::vector<Cell> cells_along_cpu(const GridLine& line) {
  std::vector<Cell> cells;
  along(line, [&](int64_t row, int64_t column) {
    cells.push_back({row, column});
    return true;
  });
  return cells;
}

bool line_clear_cpu(View<const uint8_t, 2> mask, const GridLine& line) {
  bool clear = true;
  along(line, [&](int64_t row, int64_t column) {
    clear = 0 <= row && row < mask.shape[0] && 0 <= column && column < mask.shape[1] &&
            mask.pointer[row * mask.shape[1] + column] != 0;
    return clear;
  });
  return clear;
}

}  // namespace spatialcore
