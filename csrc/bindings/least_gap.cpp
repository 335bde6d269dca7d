// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/least_gap.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Columns = py::array_t<double, py::array::c_style>;

View<const double, 2> view_of(const Columns& columns) {
  SC_REQUIRE(columns.ndim() == 2 && columns.shape(0) == 3 && columns.shape(1) >= 1,
             "points must be columns of shape (3, N) with N >= 1");
  return {columns.data(), {columns.shape(0), columns.shape(1)}};
}

double least_square_gap(const Columns& a, const Columns& b) {
  const View<const double, 2> left = view_of(a), right = view_of(b);
  py::gil_scoped_release release;
  return least_square_gap_cpu(left, right);
}

}  // namespace

void bind_least_gap(py::module_& m) {
  m.def("least_square_gap", &least_square_gap, py::arg("a"), py::arg("b"),
        "Square of the least distance of points (3, N) and points (3, M).");
}

}  // namespace spatialcore
