// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/rigidity.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Values = py::array_t<double, py::array::c_style>;

ChangeMode mode_of(const std::string& name) {
  if (name == "float64") return ChangeMode::kSum;
  if (name == "exact") return ChangeMode::kExact;
  if (name == "float32") return ChangeMode::kFast;
  SC_REQUIRE(name == "rms", "unknown precision '" + name + "'");
  return ChangeMode::kRms;
}

py::tuple distance_change(const Values& tracks, double noise_floor, const std::string& precision,
                          int threads) {
  SC_REQUIRE(tracks.ndim() == 3 && tracks.shape(2) == 3, "tracks must have shape (T, N, 3)");
  const ChangeMode mode = mode_of(precision);
  const int64_t n = tracks.shape(1);
  py::array_t<double> condensed(n * std::max<int64_t>(n - 1, 0) / 2);
  double* out = condensed.mutable_data();
  int64_t redone = 0;
  {
    py::gil_scoped_release release;
    distance_change_cpu(tracks.data(), tracks.shape(0), n, noise_floor, mode, out, &redone,
                        threads);
  }
  return py::make_tuple(condensed, redone);
}

}  // namespace

void bind_rigidity(py::module_& m) {
  m.def(
      "accumulate_distance_change",
      [](const Values& tracks, double noise_floor, const std::string& precision, int threads)
          -> py::object { return distance_change(tracks, noise_floor, precision, threads)[0]; },
      py::arg("tracks"), py::arg("noise_floor"), py::arg("precision"), py::arg("threads") = 0,
      "Condensed sums of distance changes of (T, N, 3) tracks.");
  m.def("distance_change_redone", &distance_change, py::arg("tracks"), py::arg("noise_floor"),
        py::arg("precision"), py::arg("threads") = 0,
        "The sums, and how many pairs the exact mode summed again in float64.");
  m.def("float32_margin", &float32_margin, py::arg("largest_coordinate"), py::arg("noise_floor"),
        py::arg("largest_distance"), "Bound on the float32 error of one change, metres.");
}

}  // namespace spatialcore
