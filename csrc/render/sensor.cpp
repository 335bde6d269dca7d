// SPDX-License-Identifier: Apache-2.0
// What a structured-light camera makes of the true depth. Noise and quantisation act on 1/z, so
// both grow with z^2; readings are lost at grazing angles, in the projector's shadow beside
// nearer edges, on surfaces that swallow its light, out of range, and in blobs.
#include <algorithm>
#include <cmath>

#include "render/texture.h"
#include "spatialcore/render.h"

namespace spatialcore {
namespace {

constexpr float kGrazingCosine = 0.14f;
constexpr int32_t kShadowPixels = 3;  // the projector stands to the right of the camera
constexpr float kShadowStep = 0.06f;  // relative depth step that casts a shadow
constexpr float kBlobPixels = 22.0f;
constexpr float kGrainPixels = 4.0f;  // cells of the noise that neighbouring pixels share

uint64_t mix64(uint64_t z) {  // the SplitMix64 step of spatialcore.draws
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Sum of four uniforms, centred and scaled to variance 1: close to normal, without libm.
float nearly_normal(uint64_t bits) {
  float sum = 0.0f;
  for (int k = 0; k < 4; ++k) sum += static_cast<float>(bits >> (16 * k) & 0xFFFFu);
  return (sum * (1.0f / 65536.0f) - 2.0f) * 1.7320508f;
}

bool in_shadow(const float* row, int32_t u, int32_t width, float z) {
  for (int32_t k = 1; k <= kShadowPixels && u + k < width; ++k) {
    if (row[u + k] > 0.0f && row[u + k] < z * (1.0f - kShadowStep * static_cast<float>(k)))
      return true;
  }
  return u > 0 && row[u - 1] > 0.0f && row[u - 1] < z * (1.0f - 2.0f * kShadowStep);
}

bool lost(const RenderScene& scene, const PinholeView& view, const float* row, const int32_t* solid,
          int32_t u, int32_t v, float z, uint64_t bits, uint32_t seed) {
  const Solid& s = scene.solids[solid[u]];
  const SurfaceHit hit = surface_hit(s, view, static_cast<float>(u), static_cast<float>(v), z);
  float square = 0.0f, facing = 0.0f;
  for (int i = 0; i < 3; ++i) {
    const float to = view.room_from_cam[4 * i + 3] - hit.room[i];
    square += to * to;
    facing += to * hit.normal[i];
  }
  const float coin = static_cast<float>(bits >> 40) * (1.0f / 16777216.0f);
  const float cosine = facing / std::sqrt(std::max(square, 1e-12f));
  if (cosine < kGrazingCosine * (0.6f + 0.8f * coin) || in_shadow(row, u, view.width, z))
    return true;
  const float blob =
      value_noise(static_cast<float>(u) / kBlobPixels, static_cast<float>(v) / kBlobPixels, seed);
  const float absorption = scene.materials[s.material].absorption;
  const float weak = absorption + 0.05f * std::max(z - 3.0f, 0.0f) + 0.10f * (1.0f - cosine);
  return blob + 0.08f * coin > 1.02f - 0.75f * weak;
}

}  // namespace

void measure_view(const RenderScene& scene, const PinholeView& view, const float* depth,
                  const int32_t* solid, const SensorModel& sensor, uint16_t* out) {
  const uint32_t seed = static_cast<uint32_t>(sensor.state);
  for (int32_t v = 0; v < view.height; ++v) {
    const int64_t start = static_cast<int64_t>(v) * view.width;
    for (int32_t u = 0; u < view.width; ++u) {
      const float z = depth[start + u];
      out[start + u] = 0;
      if (!(z > sensor.near_limit) || z > sensor.far_limit) continue;
      const uint64_t bits = mix64(sensor.state ^ static_cast<uint64_t>(start + u));
      if (sensor.holes && lost(scene, view, depth + start, solid + start, u, v, z, bits, seed))
        continue;
      float inverse = 1.0f / z;
      if (sensor.noise > 0.0f) {
        const float shared = value_noise(static_cast<float>(u) / kGrainPixels,
                                         static_cast<float>(v) / kGrainPixels, seed + 1) -
                             0.5f;
        inverse += sensor.noise * (0.7f * nearly_normal(bits) + 3.2f * shared);
      }
      if (sensor.step > 0.0f) inverse = std::floor(inverse / sensor.step + 0.5f) * sensor.step;
      if (!(inverse > 0.0f)) continue;
      out[start + u] = static_cast<uint16_t>(std::min(1000.0f / inverse + 0.5f, 65535.0f));
    }
  }
}

void mark_seen(const PinholeView& view, const float* depth, const float* points, int64_t count,
               float tolerance, uint8_t* seen) {
  const float* C = view.room_from_cam;
  for (int64_t p = 0; p < count; ++p) {
    if (seen[p] != 0) continue;
    const float x = points[3 * p] - C[3], y = points[3 * p + 1] - C[7],
                z = points[3 * p + 2] - C[11];
    const float c0 = (C[0] * x + C[4] * y) + C[8] * z;
    const float c1 = (C[1] * x + C[5] * y) + C[9] * z;
    const float c2 = (C[2] * x + C[6] * y) + C[10] * z;
    if (!(c2 > 0.05f)) continue;
    const float u = view.fx * c0 / c2 + view.cx + 0.5f, v = view.fy * c1 / c2 + view.cy + 0.5f;
    if (!(u >= 0.0f && v >= 0.0f && u < static_cast<float>(view.width) &&
          v < static_cast<float>(view.height))) {
      continue;
    }
    const float read = depth[static_cast<int64_t>(v) * view.width + static_cast<int64_t>(u)];
    seen[p] = read > 0.0f && std::fabs(read - c2) < tolerance + 0.01f * c2;
  }
}

}  // namespace spatialcore
