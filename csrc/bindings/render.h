// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

namespace spatialcore {

void bind_render(pybind11::module_& m);

}  // namespace spatialcore
