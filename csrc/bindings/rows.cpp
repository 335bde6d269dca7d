// SPDX-License-Identifier: Apache-2.0
// What records need of the rows they are about, (frames, items) each: the numbers that their draws
// are keyed by. Here, beside the bindings, because it reads Python objects.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <vector>

#include "bindings/bind.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Numbers = std::vector<int64_t>;

void append_numbers(const py::handle& numbers, Numbers* out) {
  const py::object listed =
      py::reinterpret_steal<py::object>(PySequence_Fast(numbers.ptr(), "not integers"));
  if (!listed) throw py::error_already_set();
  PyObject** item = PySequence_Fast_ITEMS(listed.ptr());
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(listed.ptr());
  for (Py_ssize_t k = 0; k < size; ++k) {
    const long long number = PyLong_AsLongLong(item[k]);
    if (number == -1 && PyErr_Occurred()) throw py::error_already_set();
    out->push_back(number);
  }
}

// Appends the frames of a row as they are shown, then its items; returns how many frames there are.
size_t append_row(const py::handle& row, Numbers* out) {
  const py::tuple both = py::reinterpret_borrow<py::tuple>(row);
  if (both.size() != 2) throw py::value_error("a row is (frames, items)");
  const size_t begin = out->size();
  append_numbers(both[0], out);
  const size_t frame_count = out->size() - begin;
  append_numbers(both[1], out);
  return frame_count;
}

py::array_t<int64_t> array_of(const Numbers& numbers) {
  return py::array_t<int64_t>(static_cast<py::ssize_t>(numbers.size()), numbers.data());
}

py::tuple row_columns(const py::list& rows) {
  Numbers frames, frame_ends, keys, key_ends;
  for (const py::handle row : rows) {
    const size_t begin = keys.size(), frame_count = append_row(row, &keys);
    const auto first = keys.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = first + static_cast<std::ptrdiff_t>(frame_count);
    frames.insert(frames.end(), first, last);
    std::sort(first, last);
    frame_ends.push_back(static_cast<int64_t>(frames.size()));
    key_ends.push_back(static_cast<int64_t>(keys.size()));
  }
  return py::make_tuple(array_of(frames), array_of(frame_ends), array_of(keys), array_of(key_ends));
}

}  // namespace

void bind_rows(py::module_& m) {
  m.def("row_columns", &row_columns, py::arg("rows"),
        "Frames as shown and where those of each row end; and the same of its key: frames "
        "ascending, then items.");
}

}  // namespace spatialcore
