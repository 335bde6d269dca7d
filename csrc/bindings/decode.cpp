// SPDX-License-Identifier: Apache-2.0
// Depth payloads to arrays. Bytes come as any contiguous buffer; the GIL is released while one is
// decoded, so decoding runs ahead on worker threads.
#include <pybind11/numpy.h>

#include <cstring>

#include "bindings/bind.h"
#include "spatialcore/depth_png.h"
#include "spatialcore/inflate.h"
#include "spatialcore/row_fields.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

// A read-only view of a bytes-like object; the caller's reference keeps it alive.
struct ByteView {
  py::buffer_info owner;
  const uint8_t* bytes;
  size_t size;
};

ByteView view_bytes(const py::buffer& object) {
  ByteView view{object.request(), nullptr, 0};
  if (view.owner.ndim != 1 || view.owner.strides[0] != view.owner.itemsize) {
    throw py::value_error("expected a contiguous run of bytes");
  }
  view.bytes = static_cast<const uint8_t*>(view.owner.ptr);
  view.size = static_cast<size_t>(view.owner.size * view.owner.itemsize);
  return view;
}

py::array_t<uint16_t> decode_png(const py::buffer& png, int64_t max_pixels) {
  const ByteView view = view_bytes(png);
  const DepthPngHeader header = read_depth_png_header(view.bytes, view.size);
  if (header.width > max_pixels / header.height) {
    throw py::value_error("image of " + std::to_string(header.width) + "x" +
                          std::to_string(header.height) + " exceeds the limit of " +
                          std::to_string(max_pixels) + " pixels");
  }
  // Deflate can not pack a byte into less than 1/1032 of a byte; a larger promise is a bomb.
  if (static_cast<size_t>(header.width * header.height) * 2 / 1032 > view.size) {
    throw py::value_error("the header promises more pixels than the file can hold");
  }
  py::array_t<uint16_t> depth({header.height, header.width});
  uint16_t* out = depth.mutable_data();
  py::gil_scoped_release nogil;
  thread_local std::vector<uint8_t> scratch;
  decode_depth_png(view.bytes, view.size, scratch, out);
  return depth;
}

py::array_t<uint8_t> inflate(const py::buffer& stream, int64_t size) {
  const ByteView view = view_bytes(stream);
  if (size < 0 || static_cast<size_t>(size) / 1032 > view.size) {
    throw py::value_error("the stream can not hold " + std::to_string(size) + " bytes");
  }
  py::array_t<uint8_t> bytes(size);
  uint8_t* out = bytes.mutable_data();
  py::gil_scoped_release nogil;
  thread_local std::vector<uint8_t> input, output;
  input.resize(view.size + kInflateInputSlack);
  output.resize(size + kInflateOutputSlack);
  std::memcpy(input.data(), view.bytes, view.size);
  inflate_zlib(input.data(), view.size, output.data(), size);
  std::memcpy(out, output.data(), size);
  return bytes;
}

py::array_t<uint8_t> fields(const py::buffer& rows, size_t row_bytes, size_t offset, size_t width) {
  const ByteView view = view_bytes(rows);
  if (row_bytes == 0 || view.size % row_bytes != 0 || width > row_bytes ||
      offset > row_bytes - width) {
    throw py::value_error("bytes " + std::to_string(offset) + " to " +
                          std::to_string(offset + width) + " of rows of " +
                          std::to_string(row_bytes) + " do not fit " + std::to_string(view.size));
  }
  const size_t row_count = view.size / row_bytes;
  py::array_t<uint8_t> out({row_count, width});
  uint8_t* to = out.mutable_data();
  py::gil_scoped_release nogil;
  copy_fields(view.bytes, row_count, row_bytes, offset, width, to);
  return out;
}

}  // namespace

void bind_decode(py::module_& m) {
  m.def("decode_depth_png", &decode_png, py::arg("png"), py::arg("max_pixels"),
        "Decode a plain 16-bit greyscale PNG to (h, w) uint16; ValueError when it is damaged.");
  m.def("copy_fields", &fields, py::arg("rows"), py::arg("row_bytes"), py::arg("offset"),
        py::arg("width"), "Bytes [offset, offset + width) of packed rows: (n, width) uint8.");
  m.def("inflate", &inflate, py::arg("stream"), py::arg("size"),
        "Inflate a zlib stream of exactly `size` bytes to uint8; ValueError when it is damaged.");
}

}  // namespace spatialcore
