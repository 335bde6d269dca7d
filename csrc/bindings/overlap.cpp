// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/overlap.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "bindings/bind.h"
#include "bindings/mask.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

// Intersections of one mask, strip by strip: the sparse form is built once.
class OverlapRows {
 public:
  OverlapRows(const py::object& visible, int threads, const std::string& path)
      : words_(words_of(visible)), mask_(view_words(words_)), threads_(threads) {
    SC_REQUIRE(path == "auto" || path == "dense" || path == "sparse",
               "path must be 'auto', 'dense' or 'sparse', got '" + path + "'");
    py::gil_scoped_release release;
    if (path == "sparse" || (path == "auto" && sparse_pays(mask_))) {
      sparse_ = build_sparse_rows(mask_, threads);
    }
  }

  bool sparse() const { return sparse_.has_value(); }

  void fill(int64_t row_begin, int64_t row_end, uint32_t* out) const {
    if (sparse_) {
      overlap_sparse_cpu(*sparse_, mask_.frame_count, row_begin, row_end, out, threads_);
    } else {
      overlap_dense_cpu(mask_, row_begin, row_end, out, threads_);
    }
  }

  py::array_t<uint32_t> matrix() const {
    const int64_t n = mask_.frame_count;
    py::array_t<uint32_t> out({n, n});
    uint32_t* values = out.mutable_data();
    py::gil_scoped_release release;
    fill(0, n, values);
    mirror_upper(values, n, threads_);
    return out;
  }

  // Pairs of rows [row_begin, row_end) with j > i and a non-empty intersection, sorted.
  py::tuple pairs(int64_t row_begin, int64_t row_end) const {
    const int64_t n = mask_.frame_count;
    SC_REQUIRE(0 <= row_begin && row_begin <= row_end && row_end <= n, "rows out of range");
    std::unique_ptr<uint32_t[]> strip;
    int64_t count = 0;
    {
      py::gil_scoped_release release;
      strip.reset(new uint32_t[(row_end - row_begin) * n]);
      fill(row_begin, row_end, strip.get());
      for (int64_t i = row_begin; i < row_end; ++i) {
        const uint32_t* row = strip.get() + (i - row_begin) * n;
        for (int64_t j = i + 1; j < n; ++j) count += row[j] != 0;
      }
    }
    py::array_t<int32_t> first(count), second(count);
    py::array_t<uint32_t> intersection(count);
    int32_t* i_out = first.mutable_data();
    int32_t* j_out = second.mutable_data();
    uint32_t* value_out = intersection.mutable_data();
    {
      py::gil_scoped_release release;
      int64_t at = 0;
      for (int64_t i = row_begin; i < row_end; ++i) {
        const uint32_t* row = strip.get() + (i - row_begin) * n;
        for (int64_t j = i + 1; j < n; ++j) {
          if (row[j] == 0) continue;
          i_out[at] = static_cast<int32_t>(i);
          j_out[at] = static_cast<int32_t>(j);
          value_out[at++] = row[j];
        }
      }
    }
    return py::make_tuple(first, second, intersection);
  }

 private:
  Words words_;
  MaskRows mask_;
  int threads_;
  std::optional<SparseRows> sparse_;
};

}  // namespace

void bind_overlap(py::module_& m) {
  py::class_<OverlapRows>(m, "OverlapRows", "Intersections of a mask's frames, strip by strip.")
      .def(py::init<const py::object&, int, const std::string&>(), py::arg("visible"),
           py::arg("threads") = 0, py::arg("path") = "auto")
      .def_property_readonly("sparse", &OverlapRows::sparse, "Whether the sparse path was chosen.")
      .def("matrix", &OverlapRows::matrix, "(F, F) uint32 intersections.")
      .def("pairs", &OverlapRows::pairs, py::arg("row_begin"), py::arg("row_end"),
           "Sorted (i, j, intersection) of the rows with i < j and a non-empty intersection.");
  m.def(
      "pairwise_overlap",
      [](const py::object& visible, int threads, const std::string& path) {
        return OverlapRows(visible, threads, path).matrix();
      },
      py::arg("visible"), py::arg("threads") = 0, py::arg("path") = "auto",
      "(F, F) uint32 intersections of the frames of a BitMask.");
}

}  // namespace spatialcore
