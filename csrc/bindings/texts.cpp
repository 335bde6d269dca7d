// SPDX-License-Identifier: Apache-2.0
// Templates with their slots filled, a column at a time. Here, beside the bindings, because it
// reads Python strings and dictionaries.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <vector>

#include "bindings/bind.h"
#include "bindings/text_column.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

std::string_view utf8(PyObject* text) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(text, &size);
  if (!bytes) throw py::error_already_set();
  return {bytes, static_cast<size_t>(size)};
}

// A template as a tuple of text, slot, text, slot, ..., text.
using Pieces = std::vector<PyObject*>;

Pieces pieces_of(const py::handle& listed) {
  const py::tuple both = py::reinterpret_borrow<py::tuple>(listed);
  Pieces pieces;
  for (const py::handle piece : both) pieces.push_back(piece.ptr());
  return pieces;
}

void append_filled(const Pieces& pieces, const py::dict& slots, std::string* out) {
  for (size_t k = 0; k < pieces.size(); ++k) {
    PyObject* text = pieces[k];
    if (k % 2) {
      text = PyDict_GetItemWithError(slots.ptr(), pieces[k]);
      if (!text) throw py::key_error(std::string(utf8(pieces[k])));
    }
    out->append(utf8(text));
  }
}

py::tuple fill_texts(const py::list& templates, const py::array_t<int64_t>& which,
                     const py::list& slots) {
  std::vector<Pieces> every;
  for (const py::handle one : templates) every.push_back(pieces_of(one));
  if (which.ndim() != 1 || static_cast<size_t>(which.size()) != slots.size()) {
    throw py::value_error("which and slots must be as many");
  }
  TextColumn out;
  const auto number = which.unchecked<1>();
  for (size_t row = 0; row < slots.size(); ++row) {
    const int64_t k = number(static_cast<py::ssize_t>(row));
    if (k < 0 || k >= static_cast<int64_t>(every.size())) throw py::index_error("no such template");
    append_filled(every[static_cast<size_t>(k)], slots[row], &out.text);
    out.end_text();
  }
  return out.buffers();
}

}  // namespace

void bind_texts(py::module_& m) {
  m.def("fill_texts", &fill_texts, py::arg("templates"), py::arg("which"), py::arg("slots"),
        "The template that each row takes with its slots filled: offsets and bytes of a column.");
}

}  // namespace spatialcore
