// SPDX-License-Identifier: Apache-2.0
// One function per file of bindings; cpu.cpp calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace spatialcore {

void bind_decode(pybind11::module_& m);
void bind_isa(pybind11::module_& m);
void bind_projection(pybind11::module_& m);
void bind_occlusion(pybind11::module_& m);
void bind_cloud(pybind11::module_& m);
void bind_askable(pybind11::module_& m);
void bind_overlap(pybind11::module_& m);
void bind_rigidity(pybind11::module_& m);
void bind_coverage(pybind11::module_& m);
void bind_draws(pybind11::module_& m);
void bind_floor_grid(pybind11::module_& m);
void bind_least_gap(pybind11::module_& m);
void bind_rows(pybind11::module_& m);
void bind_texts(pybind11::module_& m);

}  // namespace spatialcore
