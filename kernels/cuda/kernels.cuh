// SPDX-License-Identifier: Apache-2.0
// The CUDA launchers, as plain C++: pointers are device pointers, nothing allocates, synchronises
// or picks a device. Contracts: csrc/include/spatialcore/<op>.h.
#pragma once

#include <cstdint>

#include "spatialcore/askable.h"
#include "spatialcore/occlusion.h"

namespace spatialcore {

// A cudaStream_t without the CUDA headers.
struct Stream {
  uintptr_t handle;
};

struct DeviceScene {
  const void* points;  // (P, 3) float32 or float64
  bool is_float64;
  int64_t point_count;
  const double* K;               // (F, 3, 3)
  const double* cam_from_world;  // (F, 4, 4)
  int64_t frame_count;
};

void project_points_cuda(const DeviceScene& scene, double* uv, double* depth, Stream stream);

// One item, passed by value, or `count` items that lie in an array on the device; `largest` is the
// largest frame_count or track_count among them.
template <class Item>
struct Batch {
  Item one;
  const Item* many;  // null: `one` alone
  int64_t count;
  int64_t largest;
};

// What one set of depth frames sees: one scene of a batch.
struct DeviceView {
  const void* points;  // (P, 3)
  int64_t point_count;
  const double* K;               // (F, 3, 3)
  const double* cam_from_world;  // (F, 4, 4)
  int64_t frame_count;
  const void* depth;     // (F, h, w)
  const PixelMap* maps;  // (F,) from colour to depth pixels; null: `map` for every frame
  PixelMap map;
  uint64_t* words;  // (F, ceil(P / 64)) out
  OcclusionRule rule;
};

SC_HD inline const PixelMap& map_of(const DeviceView& view, int64_t frame) {
  return view.maps ? view.maps[frame] : view.map;
}

// Types that the scenes of a launch share: points float32 or float64, depth uint16 or float32.
struct ViewTypes {
  bool points_are_float64;
  bool depth_is_float;
};

// Every scene of the batch in one launch; `most_points` is the largest point_count.
void visible_points_cuda(const Batch<DeviceView>& views, int64_t most_points, ViewTypes types,
                         Stream stream);

// The points of `view` whose bits are set in `visible` (F, ceil(P / 64)) and that pass the guards.
// The points are float32.
void askable_points_cuda(const DeviceView& view, const uint64_t* visible, const AskableRule& rule,
                         bool depth_is_float, Stream stream);

// One mask of a batch: word (f, w) lies at words + f * word_count + w.
struct DeviceMask {
  const uint64_t* words;   // (F, W)
  int64_t frame_count;     // F
  int64_t word_count;      // W
  uint32_t* intersection;  // (F, F) out, both triangles and the counts on the diagonal
};

enum class OverlapMethod { kPopcount, kTensorCore };

// Every mask of the batch in one launch.
void pairwise_overlap_cuda(const Batch<DeviceMask>& masks, OverlapMethod method, Stream stream);

// One clip of a batch.
struct DeviceClip {
  const double* tracks;  // (T, N, 3)
  int64_t step_count;    // T
  int64_t track_count;   // N
  double* change;        // (N (N - 1) / 2,) out
};

enum class ChangePrecision { kFloat64, kExact, kFloat32 };

// Every clip of the batch in one launch.
void accumulate_distance_change_cuda(const Batch<DeviceClip>& clips, double noise_floor,
                                     ChangePrecision precision, Stream stream);

}  // namespace spatialcore
