// SPDX-License-Identifier: Apache-2.0
// One function for each file of bindings; cpu.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace spatialcore {

void bind_decode(py::module_& m);

}  // namespace spatialcore
