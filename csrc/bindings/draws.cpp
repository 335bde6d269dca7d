// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/draws.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bindings/bind.h"
#include "bindings/mask.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

uint64_t fold_all(uint64_t state, const py::tuple& ints) {
  for (const py::handle number : ints) {
    state = fold(state, static_cast<uint64_t>(number.cast<int64_t>()));
  }
  return state;
}

std::vector<int64_t> smallest_draws(uint64_t state, const Array<int64_t>& ids, int64_t count) {
  SC_REQUIRE(ids.ndim() == 1, "ids must have shape (n,)");
  return smallest_draws_cpu(state, {ids.data(), {ids.shape(0)}}, count);
}

int64_t smallest_common(uint64_t state, const py::object& mask, int64_t a, int64_t b,
                        const Array<uint32_t>& ids) {
  const Words words = words_of(mask);
  const MaskRows rows = view_words(words);
  SC_REQUIRE(0 <= std::min(a, b) && std::max(a, b) < rows.frame_count, "no such frame");
  SC_REQUIRE(ids.ndim() == 1 && (ids.shape(0) + 63) / 64 == words.shape(1),
             "ids must have shape (P,)");
  return smallest_common_cpu(state, rows.words + a * rows.stride, rows.words + b * rows.stride,
                             words.shape(1), ids.data());
}

}  // namespace

void bind_draws(py::module_& m) {
  m.def("fold_all", &fold_all, py::arg("state"), py::arg("ints"),
        "The state with every integer folded in.");
  m.def("smallest_draws", &smallest_draws, py::arg("state"), py::arg("ids"), py::arg("count"),
        "Rows with the smallest draws, ascending.");
  m.def("smallest_common", &smallest_common, py::arg("state"), py::arg("mask"), py::arg("a"),
        py::arg("b"), py::arg("ids"),
        "Id with the smallest draw of the points that two frames share, or -1.");
}

}  // namespace spatialcore
