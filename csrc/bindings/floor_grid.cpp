// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/floor_grid.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <utility>
#include <vector>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Mask = py::array_t<bool, py::array::c_style>;
using Place = std::pair<double, double>;
using RowColumn = std::pair<int64_t, int64_t>;

View<const uint8_t, 2> view_of(const Mask& mask) {
  SC_REQUIRE(mask.ndim() == 2, "the grid must have shape (H, W)");
  return {reinterpret_cast<const uint8_t*>(mask.data()), {mask.shape(0), mask.shape(1)}};
}

GridLine line_of(const Place& a, const Place& b) {
  for (const double x : {a.first, a.second, b.first, b.second}) {
    SC_REQUIRE(std::abs(x) < 1e6, "a line must lie within a million cells of the grid's origin");
  }
  return {a.first, a.second, b.first, b.second};
}

py::array_t<int64_t> array_of(const std::vector<Cell>& cells) {
  py::array_t<int64_t> out({static_cast<py::ssize_t>(cells.size()), py::ssize_t{2}});
  auto rows = out.mutable_unchecked<2>();
  for (size_t k = 0; k < cells.size(); ++k) {
    rows(k, 0) = cells[k].row, rows(k, 1) = cells[k].column;
  }
  return out;
}

py::object find_path(const Mask& free, const RowColumn& start, const RowColumn& goal) {
  const View<const uint8_t, 2> grid = view_of(free);
  for (const auto& [row, column] : {start, goal}) {
    SC_REQUIRE(0 <= row && row < grid.shape[0] && 0 <= column && column < grid.shape[1],
               "start and goal must lie on the grid");
  }
  const FloorPath path =
      find_path_cpu(grid, {start.first, start.second}, {goal.first, goal.second});
  if (path.cells.empty()) return py::none();
  return py::make_tuple(array_of(path.cells), path.cost);
}

py::array_t<int64_t> cells_along(const Place& start, const Place& end) {
  return array_of(cells_along_cpu(line_of(start, end)));
}

bool line_clear(const Mask& mask, const Place& start, const Place& end) {
  return line_clear_cpu(view_of(mask), line_of(start, end));
}

}  // namespace

void bind_floor_grid(py::module_& m) {
  m.def("find_path", &find_path, py::arg("free"), py::arg("start"), py::arg("goal"),
        "Cells (N, 2) of the shortest walk and its cost, or None.");
  m.def("cells_along", &cells_along, py::arg("start"), py::arg("end"),
        "Rows and columns (N, 2) of the cells that a line in cells crosses or grazes.");
  m.def("line_clear", &line_clear, py::arg("mask"), py::arg("start"), py::arg("end"),
        "Whether every cell along a line in cells lies on the grid and is set.");
}

}  // namespace spatialcore
