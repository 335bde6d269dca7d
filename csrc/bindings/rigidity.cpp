// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/rigidity.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Values = py::array_t<double, py::array::c_style>;

ChangeMode mode_of(const std::string& name) {
  if (name == "float64") return ChangeMode::kSum;
  if (name == "exact") return ChangeMode::kExact;
  if (name == "float32") return ChangeMode::kFast;
  SC_REQUIRE(name == "rms", "unknown precision '" + name + "'");
  return ChangeMode::kRms;
}

Linkage linkage_of(const std::string& name) {
  SC_REQUIRE(name == "average" || name == "ward", "unknown linkage '" + name + "'");
  return name == "ward" ? Linkage::kWard : Linkage::kAverage;
}

py::tuple distance_change(const Values& tracks, double noise_floor, const std::string& precision,
                          int threads) {
  SC_REQUIRE(tracks.ndim() == 3 && tracks.shape(2) == 3, "tracks must have shape (T, N, 3)");
  const ChangeMode mode = mode_of(precision);
  const int64_t n = tracks.shape(1);
  py::array_t<double> condensed(n * std::max<int64_t>(n - 1, 0) / 2);
  double* out = condensed.mutable_data();
  int64_t redone = 0;
  {
    py::gil_scoped_release release;
    distance_change_cpu(tracks.data(), tracks.shape(0), n, noise_floor, mode, out, &redone,
                        threads);
  }
  return py::make_tuple(condensed, redone);
}

int64_t track_count_of(int64_t pair_count) {
  int64_t n = 1;
  while (n * (n - 1) / 2 < pair_count) ++n;
  SC_REQUIRE(n * (n - 1) / 2 == pair_count, "condensed must have N (N - 1) / 2 values");
  return n;
}

// Merges as scipy's rows (cluster, cluster, height, size), sorted by height.
void write_tree(std::vector<Merge> merges, int64_t n, double* row) {
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) { return a.height < b.height; });
  std::vector<int64_t> parent(2 * n - 1), size(2 * n - 1, 1);
  std::iota(parent.begin(), parent.end(), int64_t{0});
  const auto root = [&](int64_t a) {
    while (parent[a] != a) a = parent[a] = parent[parent[a]];
    return a;
  };
  int64_t next = n;
  for (const Merge& merge : merges) {
    const int64_t a = root(merge.a), b = root(merge.b);
    parent[a] = parent[b] = next;
    size[next] = size[a] + size[b];
    *row++ = static_cast<double>(std::min(a, b));
    *row++ = static_cast<double>(std::max(a, b));
    *row++ = merge.height;
    *row++ = static_cast<double>(size[next++]);
  }
}

py::array_t<double> linkage(const Values& condensed, const std::string& method) {
  const int64_t n = track_count_of(condensed.size());
  const Linkage kind = linkage_of(method);
  py::array_t<double> out({n - 1, int64_t{4}});
  double* rows = out.mutable_data();
  {
    py::gil_scoped_release release;
    double* values = const_cast<double*>(condensed.data());  // left alone up to kSquareLimit
    std::vector<double> copy;
    if (n > kSquareLimit) {
      copy.assign(values, values + n * (n - 1) / 2);
      values = copy.data();
    }
    constexpr double kNoCut = std::numeric_limits<double>::infinity();
    write_tree(linkage_cpu(values, n, kind, kNoCut), n, rows);
  }
  return out;
}

py::array_t<int32_t> cluster_labels(Values condensed, const std::string& method, double cut,
                                    int64_t min_size) {
  const int64_t n = track_count_of(condensed.size());
  const Linkage kind = linkage_of(method);
  py::array_t<int32_t> labels(n);
  int32_t* out = labels.mutable_data();
  double* values =
      n > kSquareLimit ? condensed.mutable_data() : const_cast<double*>(condensed.data());
  {
    py::gil_scoped_release release;
    label_clusters(linkage_cpu(values, n, kind, cut), n, min_size, out);
  }
  return labels;
}

}  // namespace

void bind_rigidity(py::module_& m) {
  m.def(
      "accumulate_distance_change",
      [](const Values& tracks, double noise_floor, const std::string& precision, int threads)
          -> py::object { return distance_change(tracks, noise_floor, precision, threads)[0]; },
      py::arg("tracks"), py::arg("noise_floor"), py::arg("precision"), py::arg("threads") = 0,
      "Condensed sums of distance changes of (T, N, 3) tracks.");
  m.def("distance_change_redone", &distance_change, py::arg("tracks"), py::arg("noise_floor"),
        py::arg("precision"), py::arg("threads") = 0,
        "The sums, and how many pairs the exact mode summed again in float64.");
  m.def("float32_margin", &float32_margin, py::arg("largest_coordinate"), py::arg("noise_floor"),
        py::arg("largest_distance"), "Bound on the float32 error of one change, metres.");
  m.def("linkage", &linkage, py::arg("condensed"), py::arg("method"),
        "(N - 1, 4) merges in scipy's form; method 'average' or 'ward'.");
  m.def("cluster_labels", &cluster_labels, py::arg("condensed"), py::arg("method"), py::arg("cut"),
        py::arg("min_size"),
        "Labels of the clusters below the cut. Above 8,192 tracks `condensed` is overwritten.");
}

}  // namespace spatialcore
