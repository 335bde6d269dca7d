// SPDX-License-Identifier: Apache-2.0
// What records need of the rows they are about, (frames, items) each: the numbers that their draws
// are keyed by, and their ids. Here, beside the bindings, because it reads Python objects.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "bindings/bind.h"
#include "bindings/text_column.h"
#include "spatialcore/blake2b.h"

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

void append_joined(const int64_t* begin, const int64_t* end, std::string* out) {
  char text[24];
  for (const int64_t* number = begin; number != end; ++number) {
    if (number != begin) out->push_back(',');
    out->append(text, std::to_chars(text, text + sizeof text, *number).ptr);
  }
}

void append_hex(uint64_t digest, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (int byte = 0; byte < 8; ++byte) {
    out->push_back(kHex[digest >> (8 * byte + 4) & 15]);
    out->push_back(kHex[digest >> 8 * byte & 15]);
  }
}

py::tuple record_ids(const std::string& start, const std::string& label, const py::list& rows) {
  TextColumn out;
  Numbers key;
  std::string text;
  for (const py::handle row : rows) {
    key.clear();
    const size_t frame_count = append_row(row, &key);
    int64_t *first = key.data(), *items = first + frame_count, *last = first + key.size();
    std::sort(first, items);
    text = start;
    append_joined(first, items, &text);
    text.push_back('|');
    append_joined(items, last, &text);
    out.text.append(label);
    append_hex(blake2b_8(text), &out.text);
    out.end_text();
  }
  return out.buffers();
}

}  // namespace

void bind_rows(py::module_& m) {
  m.def("row_columns", &row_columns, py::arg("rows"),
        "Frames as shown and where those of each row end; and the same of its key: frames "
        "ascending, then items.");
  m.def("record_ids", &record_ids, py::arg("start"), py::arg("label"), py::arg("rows"),
        "The label and the BLAKE2b-8 hex of `start` and `f1,f2|i1,i2` of each row: offsets and "
        "bytes of a column.");
}

}  // namespace spatialcore
