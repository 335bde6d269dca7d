// SPDX-License-Identifier: Apache-2.0
// spatialcore._cpu: one function of bind.h for each file of bindings, which alone know Python.
// Arrays are viewed where they can be; the GIL is released around every kernel.
#include <pybind11/pybind11.h>

#include "bindings/bind.h"
#include "cpu/thread_pool.h"

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "CPU kernels of spatialcore.";
  m.attr("__version__") = SPATIALCORE_VERSION;
  m.def("available_threads", &spatialcore::available_threads,
        "Threads that the process may use: the size of its affinity mask.");
  spatialcore::bind_decode(m);
  spatialcore::bind_cloud(m);
  spatialcore::bind_askable(m);
  spatialcore::bind_isa(m);
  spatialcore::bind_projection(m);
  spatialcore::bind_occlusion(m);
  spatialcore::bind_overlap(m);
  spatialcore::bind_rigidity(m);
  spatialcore::bind_coverage(m);
  spatialcore::bind_draws(m);
  spatialcore::bind_floor_grid(m);
  spatialcore::bind_least_gap(m);
  spatialcore::bind_rows(m);
  spatialcore::bind_texts(m);
}
