// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/draws.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

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

Array<uint64_t> fold_lists(const Array<uint64_t>& states, const Array<int64_t>& numbers,
                           const Array<int64_t>& ends) {
  const int64_t n = states.size(), *end = ends.data();
  SC_REQUIRE(states.ndim() == 1 && numbers.ndim() == 1 && ends.ndim() == 1 && ends.size() == n,
             "states and ends must have shape (n,), numbers (m,)");
  SC_REQUIRE(
      n == 0 || (end[0] >= 0 && end[n - 1] <= numbers.size() && std::is_sorted(end, end + n)),
      "ends must ascend within the numbers");
  Array<uint64_t> out(n);
  uint64_t* folded = out.mutable_data();
  for (int64_t row = 0, k = 0; row < n; ++row) {
    uint64_t state = states.data()[row];
    for (; k < end[row]; ++k) state = fold(state, static_cast<uint64_t>(numbers.data()[k]));
    folded[row] = state;
  }
  return out;
}

Array<int64_t> smallest_seen(const Array<uint64_t>& states, const py::object& mask,
                             const Array<int64_t>& rows, const Array<int64_t>& others,
                             const Array<uint32_t>& ids, int64_t count) {
  const Words words = words_of(mask);
  const MaskRows seen = view_words(words);
  const int64_t n = states.size();
  SC_REQUIRE(states.ndim() == 1 && rows.ndim() == 1 && others.ndim() == 1 && rows.size() == n &&
                 others.size() == n,
             "states, rows and others must have shape (n,)");
  SC_REQUIRE(ids.ndim() == 1 && (ids.shape(0) + 63) / 64 == seen.word_count,
             "ids must have shape (P,)");
  SC_REQUIRE(count >= 0, "count must not be negative");
  for (const auto* listed : {&rows, &others}) {
    const int64_t* first = listed->data();
    SC_REQUIRE(std::all_of(first, first + n,
                           [&](int64_t row) { return 0 <= row && row < seen.frame_count; }),
               "no such frame");
  }
  Array<int64_t> out({n, count});
  int64_t* target = out.mutable_data();
  const SeenQueries queries{n, states.data(), rows.data(), others.data()};
  py::gil_scoped_release release;
  smallest_seen_cpu(seen, queries, ids.data(), count, target);
  return out;
}

Array<int64_t> smallest_of_groups(const Array<uint64_t>& values, const Array<int64_t>& groups,
                                  const Array<int64_t>& most) {
  SC_REQUIRE(values.ndim() == 1 && groups.ndim() == 1 && groups.size() == values.size(),
             "values and groups must have shape (n,)");
  SC_REQUIRE(most.ndim() == 1, "most must have shape (G,)");
  const int64_t group_count = most.size();
  SC_REQUIRE(std::all_of(groups.data(), groups.data() + groups.size(),
                         [&](int64_t group) { return 0 <= group && group < group_count; }),
             "no such group");
  SC_REQUIRE(std::all_of(most.data(), most.data() + group_count, [](int64_t n) { return n >= 0; }),
             "most must not be negative");
  std::vector<int64_t> rows;
  {
    py::gil_scoped_release release;
    rows = smallest_of_groups_cpu({values.data(), {values.size()}}, groups.data(),
                                  {most.data(), {group_count}});
  }
  return Array<int64_t>(static_cast<py::ssize_t>(rows.size()), rows.data());
}

}  // namespace

void bind_draws(py::module_& m) {
  m.def("fold_all", &fold_all, py::arg("state"), py::arg("ints"),
        "The state with every integer folded in.");
  m.def("fold_lists", &fold_lists, py::arg("states"), py::arg("numbers"), py::arg("ends"),
        "Each state with the numbers of its list folded in; list k ends before ends[k].");
  m.def("smallest_seen", &smallest_seen, py::arg("states"), py::arg("mask"), py::arg("rows"),
        py::arg("others"), py::arg("ids"), py::arg("count"),
        "Points with the smallest draws among those that both rows of each query see.");
  m.def("smallest_of_groups", &smallest_of_groups, py::arg("values"), py::arg("groups"),
        py::arg("most"), "Rows of the smallest values of each group, by group, then value.");
}

}  // namespace spatialcore
