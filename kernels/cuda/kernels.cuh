// SPDX-License-Identifier: Apache-2.0
// The CUDA launchers, as plain C++: pointers are device pointers, nothing allocates, synchronises
// or picks a device. Contracts: csrc/include/spatialcore/<op>.h.
#pragma once

#include <cstdint>

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

// words (F, ceil(P / 64)) uint64.
void visible_points_cuda(const DeviceScene& scene, const DepthMaps& depth,
                         const OcclusionRule& rule, uint64_t* words, Stream stream);

// One mask of a batch: word (f, w) lies at words + f * word_count + w.
struct DeviceMask {
  const uint64_t* words;   // (F, W)
  int64_t frame_count;     // F
  int64_t word_count;      // W
  uint32_t* intersection;  // (F, F) out, both triangles and the counts on the diagonal
};

enum class OverlapMethod { kPopcount, kTensorCore };

// Every mask in one launch. `masks` is an array of `mask_count` on the device; `largest` is the
// largest frame_count among them.
void pairwise_overlap_cuda(const DeviceMask* masks, int64_t mask_count, int64_t largest,
                           OverlapMethod method, Stream stream);

// One clip of a batch.
struct DeviceClip {
  const void* tracks;   // (T, N, 3) float64, or float32 in the float32 mode
  int64_t step_count;   // T
  int64_t track_count;  // N
  double* change;       // (N (N - 1) / 2,) out
};

enum class ChangePrecision { kFloat64, kExact, kFloat32 };

void accumulate_distance_change_cuda(const DeviceClip* clips, int64_t clip_count, int64_t largest,
                                     double noise_floor, ChangePrecision precision, Stream stream);

}  // namespace spatialcore
