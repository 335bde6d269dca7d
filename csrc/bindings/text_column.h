// SPDX-License-Identifier: Apache-2.0
// Texts one after the other, and where each begins: the two buffers of an Arrow column of strings,
// so that no text becomes a Python object on its way into a file.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace spatialcore {

class TextColumn {
 public:
  std::string text;  // the texts so far, and what is appended to the next one

  void end_text() {
    if (text.size() > std::numeric_limits<int32_t>::max()) {
      throw std::length_error("a column of texts is longer than 2 GiB");
    }
    offsets_.push_back(static_cast<int32_t>(text.size()));
  }

  // (offsets (n + 1,) int32, bytes)
  pybind11::tuple buffers() const {
    const auto size = static_cast<pybind11::ssize_t>(offsets_.size());
    return pybind11::make_tuple(pybind11::array_t<int32_t>(size, offsets_.data()),
                                pybind11::bytes(text));
  }

 private:
  std::vector<int32_t> offsets_{0};
};

}  // namespace spatialcore
