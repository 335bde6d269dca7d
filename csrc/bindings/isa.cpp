// SPDX-License-Identifier: Apache-2.0
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/bind.h"
#include "cpu/isa/dispatch.h"

namespace py = pybind11;

namespace spatialcore {

void bind_isa(py::module_& m) {
  m.def("isas", &isas, "Instruction sets that this machine runs, slowest first.");
  m.def(
      "isa", [] { return std::string(isa_name(active_isa())); },
      "The instruction set in use: the best one unless `set_isa` chose.");
  m.def("set_isa", &set_isa, py::arg("name"),
        "Choose the instruction set by name for this process; an empty name means the best one.");
}

}  // namespace spatialcore
