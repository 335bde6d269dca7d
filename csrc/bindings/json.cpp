// SPDX-License-Identifier: Apache-2.0
// Canonical JSON: the bytes of Python's json.dumps(value, sort_keys=True, separators=(",", ":"),
// allow_nan=False), written in one walk. It is here, beside the bindings, because it reads Python
// objects. A record's evidence is a dozen floats; their shortest digits are most of the work.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "bindings/bind.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

constexpr int kMostFixed = 16;   // Python's repr writes 1e16 with an exponent, 1e15 without
constexpr int kLeastFixed = -4;  // and 0.0001 without, 0.00001 with
constexpr char kHex[] = "0123456789abcdef";

void append_float(double value, std::string* out) {
  if (!std::isfinite(value)) {
    throw py::value_error("Out of range float values are not JSON compliant");
  }
  char text[40];
  const char* end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  const char* mark = std::find(const_cast<const char*>(text), end, 'e');
  const char* first = text + (text[0] == '-');
  std::string digits(1, first[0]);
  if (mark - first > 2) digits.append(first + 2, mark);
  int exponent = 0;
  std::from_chars(mark + 1 + (mark[1] == '+'), end, exponent);
  if (text[0] == '-') out->push_back('-');
  const int length = static_cast<int>(digits.size());
  if (exponent < kLeastFixed || exponent >= kMostFixed) {
    out->push_back(digits[0]);
    if (length > 1) out->append(".").append(digits, 1);
    out->append(mark, end);
  } else if (exponent < 0) {
    out->append("0.").append(-exponent - 1, '0').append(digits);
  } else if (length <= exponent + 1) {
    out->append(digits).append(exponent + 1 - length, '0').append(".0");
  } else {
    out->append(digits, 0, exponent + 1).append(".").append(digits, exponent + 1);
  }
}

void append_escape(unsigned unit, std::string* out) {
  out->append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) out->push_back(kHex[unit >> shift & 15]);
}

void append_character(Py_UCS4 c, std::string* out) {
  static constexpr char kNamed[] = "\"\\\n\r\t\f\b";
  static constexpr char kNames[] = "\"\\nrtfb";
  const char* named = c ? std::char_traits<char>::find(kNamed, 7, static_cast<char>(c)) : nullptr;
  if (c < 128 && named) {
    out->push_back('\\');
    out->push_back(kNames[named - kNamed]);
  } else if (c >= 32 && c < 127) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x10000) {
    append_escape(c, out);
  } else {
    append_escape(0xD800 + ((c - 0x10000) >> 10), out);
    append_escape(0xDC00 + ((c - 0x10000) & 0x3FF), out);
  }
}

void append_string(PyObject* text, std::string* out) {
  const int kind = PyUnicode_KIND(text);
  const void* characters = PyUnicode_DATA(text);
  const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
  out->push_back('"');
  for (Py_ssize_t i = 0; i < length; ++i) {
    append_character(PyUnicode_READ(kind, characters, i), out);
  }
  out->push_back('"');
}

void append_integer(PyObject* value, std::string* out) {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow) {
    out->append(py::str(py::reinterpret_steal<py::object>(PyLong_Type.tp_repr(value))));
    return;
  }
  char text[24];
  out->append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

void append_value(PyObject* value, std::string* out);

void append_dict(PyObject* dict, std::string* out) {
  std::vector<std::pair<PyObject*, PyObject*>> items;
  PyObject *key, *value;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
    if (!PyUnicode_Check(key)) throw py::type_error("keys must be str");
    items.emplace_back(key, value);
  }
  std::sort(items.begin(), items.end(),
            [](auto a, auto b) { return PyUnicode_Compare(a.first, b.first) < 0; });
  out->push_back('{');
  for (size_t k = 0; k < items.size(); ++k) {
    if (k) out->push_back(',');
    append_string(items[k].first, out);
    out->push_back(':');
    append_value(items[k].second, out);
  }
  out->push_back('}');
}

void append_list(PyObject* list, std::string* out) {
  const Py_ssize_t length = PySequence_Fast_GET_SIZE(list);
  PyObject** items = PySequence_Fast_ITEMS(list);
  out->push_back('[');
  for (Py_ssize_t k = 0; k < length; ++k) {
    if (k) out->push_back(',');
    append_value(items[k], out);
  }
  out->push_back(']');
}

struct RecursionGuard {
  RecursionGuard() {
    if (Py_EnterRecursiveCall(" while encoding JSON")) throw py::error_already_set();
  }
  ~RecursionGuard() { Py_LeaveRecursiveCall(); }
};

void append_nested(PyObject* value, std::string* out) {
  const RecursionGuard guard;
  if (PyDict_Check(value)) {
    append_dict(value, out);
  } else {
    append_list(value, out);
  }
}

void append_value(PyObject* value, std::string* out) {
  if (PyFloat_Check(value)) {
    append_float(PyFloat_AS_DOUBLE(value), out);
  } else if (PyUnicode_Check(value)) {
    append_string(value, out);
  } else if (value == Py_None) {
    out->append("null");
  } else if (PyBool_Check(value)) {
    out->append(value == Py_True ? "true" : "false");
  } else if (PyLong_Check(value)) {
    append_integer(value, out);
  } else if (PyDict_Check(value) || PyList_Check(value) || PyTuple_Check(value)) {
    append_nested(value, out);
  } else {
    throw py::type_error("no JSON value: " + std::string(Py_TYPE(value)->tp_name));
  }
}

std::string canonical_json(const py::dict& value) {
  std::string out;
  append_value(value.ptr(), &out);
  return out;
}

}  // namespace

void bind_json(py::module_& m) {
  m.def("canonical_json", &canonical_json, py::arg("value"),
        "JSON with sorted keys, no spaces, shortest round-trip floats and ASCII alone.");
}

}  // namespace spatialcore
