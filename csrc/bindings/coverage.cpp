// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/coverage.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>

#include "bindings/bind.h"
#include "bindings/mask.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Values = py::array_t<double, py::array::c_style>;
using Rows = py::array_t<int64_t, py::array::c_style>;

template <class T>
py::array_t<T> to_array(const std::vector<T>& values) {
  py::array_t<T> out(static_cast<int64_t>(values.size()));
  std::copy(values.begin(), values.end(), out.mutable_data());
  return out;
}

py::array_t<int32_t> to_rows(const std::vector<int32_t>& values, int64_t width) {
  py::array_t<int32_t> out({static_cast<int64_t>(values.size()) / width, width});
  std::copy(values.begin(), values.end(), out.mutable_data());
  return out;
}

py::tuple axis_extents(const Values& points, const py::object& visible, const py::list& object_rows,
                       const Values& axes, int threads) {
  const Words words = words_of(visible);
  const MaskRows mask = view_words(words);
  const int64_t object_count = static_cast<int64_t>(object_rows.size());
  SC_REQUIRE(points.ndim() == 2 && points.shape(1) == 3, "points must have shape (P, 3)");
  SC_REQUIRE(axes.size() == object_count * 9, "axes must have shape (O, 3, 3)");
  py::array_t<double> lo({object_count, mask.frame_count, int64_t{3}});
  py::array_t<double> hi({object_count, mask.frame_count, int64_t{3}});
  for (int64_t o = 0; o < object_count; ++o) {
    const Rows rows = object_rows[o].cast<Rows>();
    double* lo_out = lo.mutable_data() + o * mask.frame_count * 3;
    double* hi_out = hi.mutable_data() + o * mask.frame_count * 3;
    py::gil_scoped_release release;
    axis_extents_cpu(points.data(), mask, rows.data(), rows.size(), axes.data() + 9 * o, lo_out,
                     hi_out, threads);
  }
  return py::make_tuple(lo, hi);
}

py::tuple minimal_view_sets(const Values& lo, const Values& hi, double target, double tolerance) {
  SC_REQUIRE(lo.size() == hi.size(), "lo and hi must have the same length");
  std::vector<int32_t> singles, pairs;
  {
    py::gil_scoped_release release;
    minimal_view_sets_cpu(lo.data(), hi.data(), lo.size(), target, tolerance, &singles, &pairs);
  }
  return py::make_tuple(to_array(singles), to_rows(pairs, 2));
}

py::tuple max_coverage(const py::object& sets, int64_t k) {
  const Words words = words_of(sets);
  std::vector<int32_t> order;
  std::vector<int64_t> gain;
  {
    py::gil_scoped_release release;
    max_coverage_cpu(view_words(words), k, &order, &gain);
  }
  return py::make_tuple(to_array(order), to_array(gain));
}

py::tuple minimal_covers(const py::array_t<uint64_t, py::array::c_style>& bins, uint64_t required,
                         int most) {
  SC_REQUIRE(1 <= most && most <= 4, "most must lie in [1, 4]");
  std::vector<std::vector<int32_t>> covers;
  {
    py::gil_scoped_release release;
    minimal_covers_cpu(bins.data(), bins.size(), required, most, &covers);
  }
  py::tuple out(most);
  for (int n = 0; n < most; ++n) out[n] = to_rows(covers[n], n + 1);
  return out;
}

}  // namespace

void bind_coverage(py::module_& m) {
  m.def("axis_extents", &axis_extents, py::arg("points"), py::arg("visible"),
        py::arg("object_rows"), py::arg("axes"), py::arg("threads") = 0,
        "(O, F, 3) least and greatest coordinate of each object's visible points.");
  m.def("minimal_view_sets", &minimal_view_sets, py::arg("lo"), py::arg("hi"), py::arg("target"),
        py::arg("tolerance"), "Frames and pairs of frames whose extent matches the target.");
  m.def("max_coverage", &max_coverage, py::arg("sets"), py::arg("k"),
        "Greedy order of the rows of a BitMask, and the points that each one adds.");
  m.def("minimal_covers", &minimal_covers, py::arg("bins"), py::arg("required"), py::arg("most"),
        "Minimal sets of 1..most frames whose bits contain `required`.");
}

}  // namespace spatialcore
