// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "bits.h"
#include "cpu/point_blocks.h"
#include "spatialcore/occlusion.h"

namespace spatialcore {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int64_t kWidth = 64, kHeight = 48;

// A room of points that are mostly on walls, some anywhere, on pixel ties, missing or far away.
template <class T>
std::vector<T> points_of(int64_t count, Random& random) {
  std::vector<T> points(3 * count);
  for (int64_t p = 0; p < count; ++p) {
    T* at = &points[3 * p];
    for (int a = 0; a < 3; ++a) at[a] = static_cast<T>(random.uniform(-3, 3));
    if (!random.one_in(4)) at[random.below(3)] = static_cast<T>(random.one_in(2) ? -3 : 3);
    if (random.one_in(9)) at[2] = 2, at[0] = static_cast<T>(std::rint(at[0] * 20) / 20);
    if (random.one_in(60)) at[random.below(3)] = static_cast<T>(random.one_in(2) ? kNan : kInf);
    if (random.one_in(80)) at[0] = static_cast<T>(2e9);
    // In the camera of a still frame, or so near its plane that float32 cannot tell the side.
    if (count == 1 || random.one_in(30)) at[0] = at[1] = at[2] = 0;
    if (random.one_in(30)) at[0] = at[1] = 0, at[2] = static_cast<T>(random.uniform(-2e-4, 2e-4));
  }
  return points;
}

struct Views {
  std::vector<double> K, poses;
  std::vector<uint16_t> millimetres;
  std::vector<float> metres;
};

Views views_of(int64_t frame_count, Random& random) {
  Views views;
  for (int64_t f = 0; f < frame_count; ++f) {
    const double focal = random.uniform(20, 60);
    for (double k : {focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0}) views.K.push_back(k);
    // A rotation by a rational angle: no function of the C library, whose bits may differ.
    const bool still = random.one_in(4);
    const double t = still ? 0 : random.uniform(-1, 1), c = (1 - t * t) / (1 + t * t),
                 s = 2 * t / (1 + t * t);
    const double far = still ? 0 : 1;
    for (double m : {c, 0.0, s, far * random.uniform(-1, 1), 0.0, 1.0, 0.0, 0.0, -s, 0.0, c,
                     far * random.uniform(0, 3), 0.0, 0.0, 0.0, 1.0}) {
      views.poses.push_back(m);
    }
    if (random.one_in(30)) views.poses[16 * f + 3] = kNan;
    for (int64_t k = 0; k < kWidth * kHeight; ++k) {
      const bool hole = random.one_in(6);
      const double nearest = still ? 10 : 1500;
      views.millimetres.push_back(hole ? 0 : static_cast<uint16_t>(random.uniform(nearest, 6000)));
      views.metres.push_back(random.one_in(50) ? static_cast<float>(kNan)
                                               : static_cast<float>(random.uniform(-0.2, 6)));
    }
  }
  return views;
}

template <class D>
std::vector<const void*> maps_of(const std::vector<D>& readings, int64_t frame_count) {
  std::vector<const void*> maps;
  for (int64_t f = 0; f < frame_count; ++f) maps.push_back(&readings[f * kWidth * kHeight]);
  return maps;
}

template <class T>
void add_occlusion(int64_t count, int64_t frame_count, bool strict, Random& random, Hash& hash) {
  const std::vector<T> points = points_of<T>(count, random);
  const Views v = views_of(frame_count, random);
  const auto millimetres = maps_of(v.millimetres, frame_count);
  const auto metres = maps_of(v.metres, frame_count);
  const View<const double, 3> K{v.K.data(), {frame_count, 3, 3}};
  const View<const double, 3> poses{v.poses.data(), {frame_count, 4, 4}};
  const PixelMap map = strict ? PixelMap{1, 0, 1, 0} : PixelMap{0.5, -0.25, 0.5, -0.25};
  const int64_t scale = strict ? 1 : 2;
  std::vector<PixelMap> from_image(frame_count, map);
  for (int64_t f = 0; f < frame_count; ++f) from_image[f].bx += 0.125 * static_cast<double>(f % 4);
  OcclusionRule rule{scale * kWidth, scale * kHeight, kWidth, kHeight, 0.001, {strict, 0.1, 0.05}};
  std::vector<uint64_t> words(frame_count * ((count + 63) / 64) + 1);
  const PointBlocks blocks({points.data(), sizeof(T) == 8, count}, frame_count, 1);
  visible_points_cpu(blocks, K, poses, {millimetres.data(), from_image.data(), false}, rule,
                     words.data(), 1);
  hash.add(words);
  rule.depth_scale = 1;
  visible_points_cpu(blocks, K, poses, {metres.data(), from_image.data(), true}, rule, words.data(),
                     1);
  hash.add(words);
}

}  // namespace

void report_occlusion(const std::string& set) {
  for (const bool strict : {false, true}) {
    Hash hash;
    Random random(7 + strict);
    for (const int64_t count : {0, 1, 1, 1, 1, 63, 64, 257, 2048, 5000}) {
      add_occlusion<float>(count, 5, strict, random, hash);
      add_occlusion<double>(count, 3, strict, random, hash);
    }
    add_occlusion<float>(9000, 50, strict, random, hash);   // enough to be sorted
    add_occlusion<double>(40000, 3, strict, random, hash);  // more than one run of blocks
    report(set, strict ? "occlusion_strict" : "occlusion_tolerance", hash);
  }
}

}  // namespace spatialcore
