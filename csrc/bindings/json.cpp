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
#include "bindings/text_column.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

constexpr int kMostFixed = 16;   // Python's repr writes 1e16 with an exponent, 1e15 without
constexpr int kLeastFixed = -4;  // and 0.0001 without, 0.00001 with
constexpr char kHex[] = "0123456789abcdef";

// The shortest digits that read back as the value, placed as Python's repr places them.
void append_float(double value, std::string* out) {
  if (!std::isfinite(value)) {
    throw py::value_error("Out of range float values are not JSON compliant");
  }
  char text[40];  // [-]d.ddde[+-]dd
  const char* const end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  char* digits = text + (text[0] == '-');
  const char* const mark = std::find<const char*>(digits, end, 'e');
  int exponent = 0;
  std::from_chars(mark + 1 + (mark[1] == '+'), end, exponent);
  if (text[0] == '-') out->push_back('-');
  const int length = mark - digits > 1 ? static_cast<int>(mark - digits) - 1 : 1;
  if (exponent < kLeastFixed || exponent >= kMostFixed) {
    out->append(digits, end - digits);  // scientific, as it is
    return;
  }
  if (length > 1) digits[1] = digits[0], ++digits;  // over the point: the digits alone
  if (exponent < 0) {
    out->append("0.").append(-exponent - 1, '0').append(digits, length);
  } else if (length <= exponent + 1) {
    out->append(digits, length).append(exponent + 1 - length, '0').append(".0");
  } else {
    out->append(digits, exponent + 1).push_back('.');
    out->append(digits + exponent + 1, length - exponent - 1);
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

bool is_plain(unsigned char c) { return c >= 32 && c < 127 && c != '"' && c != '\\'; }

void append_string(PyObject* text, std::string* out) {
  const int kind = PyUnicode_KIND(text);
  const void* characters = PyUnicode_DATA(text);
  const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
  out->push_back('"');
  const auto* bytes = static_cast<const unsigned char*>(characters);
  if (kind == PyUnicode_1BYTE_KIND && std::all_of(bytes, bytes + length, is_plain)) {
    out->append(static_cast<const char*>(characters), length);
  } else {
    for (Py_ssize_t i = 0; i < length; ++i) {
      append_character(PyUnicode_READ(kind, characters, i), out);
    }
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

using Item = std::pair<PyObject*, PyObject*>;  // key and value

void append_items(std::vector<Item>* items, std::string* out) {
  std::sort(items->begin(), items->end(),
            [](const Item& a, const Item& b) { return PyUnicode_Compare(a.first, b.first) < 0; });
  char before = '{';
  for (const auto& [key, value] : *items) {
    out->push_back(before);
    append_string(key, out);
    out->push_back(':');
    append_value(value, out);
    before = ',';
  }
  if (items->empty()) out->push_back('{');
  out->push_back('}');
}

std::vector<Item> items_of(PyObject* dict) {
  std::vector<Item> items;
  items.reserve(static_cast<size_t>(PyDict_GET_SIZE(dict)) + 1);
  PyObject *key, *value;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
    if (!PyUnicode_Check(key)) throw py::type_error("keys must be str");
    items.emplace_back(key, value);
  }
  return items;
}

void append_dict(PyObject* dict, std::string* out) {
  std::vector<Item> items = items_of(dict);
  append_items(&items, out);
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

py::tuple evidence_json(const py::list& evidence, const py::list& items) {
  if (items.size() != evidence.size()) throw py::value_error("evidence and items must be as many");
  const py::str name("items");
  TextColumn out;
  for (size_t row = 0; row < evidence.size(); ++row) {
    const py::dict numbers = evidence[row];
    std::vector<Item> fields = items_of(numbers.ptr());
    fields.emplace_back(name.ptr(), py::handle(items[row]).ptr());
    append_items(&fields, &out.text);
    out.end_text();
  }
  return out.buffers();
}

}  // namespace

void bind_json(py::module_& m) {
  m.def("canonical_json", &canonical_json, py::arg("value"),
        "JSON with sorted keys, no spaces, shortest round-trip floats and ASCII alone.");
  m.def("evidence_json", &evidence_json, py::arg("evidence"), py::arg("items"),
        "The canonical JSON of each dictionary with a list of items as \"items\": offsets and "
        "bytes of a column.");
}

}  // namespace spatialcore
