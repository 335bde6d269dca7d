// SPDX-License-Identifier: Apache-2.0
// spatialcore._render, the renderer of sample scenes: RenderScene keeps copies of the solids; views
// come and go.
#include "spatialcore/render.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace py = pybind11;

namespace spatialcore {
namespace {

using F32 = py::array_t<float, py::array::c_style | py::array::forcecast>;
using I32 = py::array_t<int32_t, py::array::c_style | py::array::forcecast>;
using U8 = py::array_t<uint8_t, py::array::c_style>;
using U16 = py::array_t<uint16_t, py::array::c_style>;

constexpr int64_t kMaterialFields = 11;  // texture, colour, accent, scale, glow, absorption, seed
constexpr int32_t kMaxSide = 16384;

void require(bool good, const char* message) {
  if (!good) throw std::invalid_argument(message);
}

RenderScene make_scene(const I32& kind, const F32& solid_from_room, const F32& half,
                       const I32& material, const F32& materials, const F32& walls, float height) {
  const int64_t n = kind.size();
  require(kind.ndim() == 1 && material.ndim() == 1 && material.size() == n,
          "kind and material must have shape (S,)");
  require(solid_from_room.ndim() == 3 && solid_from_room.shape(0) == n &&
              solid_from_room.shape(1) == 3 && solid_from_room.shape(2) == 4,
          "solid_from_room must have shape (S, 3, 4)");
  require(half.ndim() == 2 && half.shape(0) == n && half.shape(1) == 3,
          "half must have shape (S, 3)");
  require(materials.ndim() == 2 && materials.shape(1) == kMaterialFields,
          "materials must have shape (M, 11)");
  require(walls.ndim() == 2 && walls.shape(1) == 4, "walls must have shape (L, 4)");
  RenderScene scene;
  scene.height = height;
  for (int64_t i = 0; i < n; ++i) {
    Solid s;
    require(kind.at(i) >= 0 && kind.at(i) <= 2,
            "kind must be 0 (box), 1 (cylinder) or 2 (ellipsoid)");
    require(material.at(i) >= 0 && material.at(i) < materials.shape(0), "material is out of range");
    s.kind = static_cast<SolidKind>(kind.at(i));
    std::copy_n(solid_from_room.data(i, 0, 0), 12, s.solid_from_room);
    std::copy_n(half.data(i, 0), 3, s.half);
    s.material = material.at(i);
    scene.solids.push_back(s);
  }
  for (int64_t i = 0; i < materials.shape(0); ++i) {
    const float* f = materials.data(i, 0);
    scene.materials.push_back({static_cast<int32_t>(f[0]),
                               {f[1], f[2], f[3]},
                               {f[4], f[5], f[6]},
                               f[7],
                               f[8],
                               f[9],
                               static_cast<uint32_t>(f[10])});
  }
  for (int64_t i = 0; i < walls.shape(0); ++i) {
    const float* f = walls.data(i, 0);
    scene.walls.push_back({static_cast<int32_t>(f[0]) == 0 ? 0 : 1, f[1], f[2], f[3]});
  }
  return scene;
}

PinholeView make_view(const F32& focal_centre, const F32& room_from_cam, int32_t width,
                      int32_t height) {
  require(focal_centre.size() == 4, "focal_centre must hold fx, fy, cx, cy");
  require(room_from_cam.ndim() == 2 && room_from_cam.shape(1) == 4 && room_from_cam.shape(0) >= 3,
          "room_from_cam must have shape (4, 4)");
  require(width > 0 && height > 0 && width <= kMaxSide && height <= kMaxSide,
          "image size must be within 1..16384");
  PinholeView view{width,
                   height,
                   focal_centre.data()[0],
                   focal_centre.data()[1],
                   focal_centre.data()[2],
                   focal_centre.data()[3],
                   {}};
  std::copy_n(room_from_cam.data(), 12, view.room_from_cam);
  return view;
}

void require_buffers(const PinholeView& view, const F32& depth, const I32* solid,
                     const RenderScene* scene) {
  require(depth.ndim() == 2 && depth.shape(0) == view.height && depth.shape(1) == view.width,
          "depth must have shape (H, W)");
  if (solid == nullptr) return;
  require(solid->ndim() == 2 && solid->shape(0) == view.height && solid->shape(1) == view.width,
          "solid must have shape (H, W)");
  const auto count = static_cast<int32_t>(scene->solids.size());
  const int32_t* s = solid->data();
  require(std::all_of(s, s + solid->size(), [count](int32_t k) { return k < count; }),
          "solid holds an index that is out of range");
}

py::tuple cast(const RenderScene& scene, const F32& focal_centre, const F32& room_from_cam,
               int32_t width, int32_t height, int32_t first) {
  const PinholeView view = make_view(focal_centre, room_from_cam, width, height);
  require(first >= 0, "first must not be negative");
  F32 depth({height, width});
  I32 solid({height, width});
  float* d = depth.mutable_data();
  int32_t* s = solid.mutable_data();
  {
    py::gil_scoped_release release;
    cast_view(scene, view, first, d, s);
  }
  return py::make_tuple(depth, solid);
}

U8 shade(const RenderScene& scene, const F32& focal_centre, const F32& room_from_cam,
         const F32& depth, const I32& solid) {
  require(depth.ndim() == 2, "depth must have shape (H, W)");
  const auto height = static_cast<int32_t>(depth.shape(0)),
             width = static_cast<int32_t>(depth.shape(1));
  const PinholeView view = make_view(focal_centre, room_from_cam, width, height);
  require_buffers(view, depth, &solid, &scene);
  U8 rgb({height, width, 3});
  uint8_t* out = rgb.mutable_data();
  {
    py::gil_scoped_release release;
    shade_view(scene, view, depth.data(), solid.data(), out);
  }
  return rgb;
}

U16 measure(const RenderScene& scene, const F32& focal_centre, const F32& room_from_cam,
            const F32& depth, const I32& solid, uint64_t state, float noise, float step,
            float near_limit, float far_limit, bool holes) {
  require(depth.ndim() == 2, "depth must have shape (H, W)");
  const auto height = static_cast<int32_t>(depth.shape(0)),
             width = static_cast<int32_t>(depth.shape(1));
  const PinholeView view = make_view(focal_centre, room_from_cam, width, height);
  require_buffers(view, depth, &solid, &scene);
  U16 reading({height, width});
  uint16_t* out = reading.mutable_data();
  {
    py::gil_scoped_release release;
    measure_view(scene, view, depth.data(), solid.data(),
                 {state, noise, step, near_limit, far_limit, holes}, out);
  }
  return reading;
}

void add_lamp(RenderScene& scene, const F32& position, float power, const F32& shadow,
              float focal) {
  require(position.size() == 3, "position must have shape (3,)");
  require(shadow.ndim() == 2 && shadow.shape(0) == shadow.shape(1) && shadow.shape(0) >= 8,
          "shadow must be a square map of at least 8 x 8");
  const float* p = position.data();
  scene.lamps.push_back({{p[0], p[1], p[2]},
                         power,
                         static_cast<int32_t>(shadow.shape(0)),
                         focal,
                         std::vector<float>(shadow.data(), shadow.data() + shadow.size())});
}

void mark(const F32& focal_centre, const F32& room_from_cam, const F32& depth, const F32& points,
          float tolerance, U8 seen) {
  require(depth.ndim() == 2, "depth must have shape (H, W)");
  require(points.ndim() == 2 && points.shape(1) == 3, "points must have shape (P, 3)");
  require(seen.ndim() == 1 && seen.size() == points.shape(0), "seen must have shape (P,)");
  const PinholeView view =
      make_view(focal_centre, room_from_cam, static_cast<int32_t>(depth.shape(1)),
                static_cast<int32_t>(depth.shape(0)));
  uint8_t* out = seen.mutable_data();
  py::gil_scoped_release release;
  mark_seen(view, depth.data(), points.data(), points.shape(0), tolerance, out);
}

}  // namespace

}  // namespace spatialcore

PYBIND11_MODULE(_render, m) {
  using namespace spatialcore;
  m.doc() = "Renderer of spatialcore's sample scenes.";
  py::class_<RenderScene>(m, "RenderScene",
                          "Convex solids of a procedural room, ready to be rendered.")
      .def(py::init(&make_scene), py::arg("kind"), py::arg("solid_from_room"), py::arg("half"),
           py::arg("material"), py::arg("materials"), py::arg("walls"), py::arg("height"))
      .def("add_lamp", &add_lamp, py::arg("position"), py::arg("power"), py::arg("shadow"),
           py::arg("focal"), "Add a point light with its shadow map.")
      .def("cast", &cast, py::arg("focal_centre"), py::arg("room_from_cam"), py::arg("width"),
           py::arg("height"), py::arg("first") = 0,
           "Depth (H, W) float32 and solid index (H, W) int32.")
      .def("shade", &shade, py::arg("focal_centre"), py::arg("room_from_cam"), py::arg("depth"),
           py::arg("solid"), "Colour (H, W, 3) uint8 of a cast view.")
      .def("measure", &measure, py::arg("focal_centre"), py::arg("room_from_cam"), py::arg("depth"),
           py::arg("solid"), py::arg("state"), py::arg("noise"), py::arg("step"),
           py::arg("near_limit"), py::arg("far_limit"), py::arg("holes"),
           "Sensor depth (H, W) uint16 in millimetres, 0 = no reading.");
  m.def("mark_seen", &mark, py::arg("focal_centre"), py::arg("room_from_cam"), py::arg("depth"),
        py::arg("points"), py::arg("tolerance"), py::arg("seen").noconvert(),
        "Set seen[p] = 1 where the view's depth agrees with point p.");
}
