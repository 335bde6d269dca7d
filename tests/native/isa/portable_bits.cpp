// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "bits.h"
#include "cpu/morton.h"
#include "cpu/png_filters.h"
#include "spatialcore/askable.h"
#include "spatialcore/cloud.h"
#include "spatialcore/coverage.h"
#include "spatialcore/floor_grid.h"
#include "spatialcore/inflate.h"
#include "spatialcore/least_gap.h"
#include "spatialcore/projection.h"
#include "spatialcore/render.h"

namespace spatialcore {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int64_t kWidth = 64, kHeight = 48, kPoints = 3000;
constexpr double kK[9] = {50, 0, 31.5, 0, 50, 23.5, 0, 0, 1};
constexpr double kPose[16] = {0.6, 0, 0.8, 0.3, 0, 1, 0, -0.1, -0.8, 0, 0.6, 2, 0, 0, 0, 1};

template <class T>
std::vector<T> points_of(Random& random) {
  std::vector<T> points(3 * kPoints);
  for (T& value : points) {
    value = static_cast<T>(random.uniform(-3, 3));
    if (random.one_in(70)) value = static_cast<T>(random.one_in(2) ? kNan : kInf);
    if (random.one_in(99)) value = static_cast<T>(random.uniform(-30, 30));
  }
  return points;
}

std::vector<uint16_t> millimetres_of(Random& random) {
  std::vector<uint16_t> depth(kWidth * kHeight);
  for (uint16_t& reading : depth) {
    reading = random.one_in(5) ? 0 : static_cast<uint16_t>(random.uniform(1500, 1700));
  }
  return depth;
}

template <class T>
void report_points(const std::string& type) {
  Random random(23);
  const std::vector<T> points = points_of<T>(random);
  std::vector<double> uv(2 * kPoints), z(kPoints);
  project_points_cpu(View<const T, 2>{points.data(), {kPoints, 3}}, {kK, {1, 3, 3}},
                     {kPose, {1, 4, 4}}, uv.data(), z.data(), 1);
  Hash projected;
  projected.add(uv), projected.add(z);
  report("all", "projection_" + type, projected);
  Hash sorted;
  for (const int bits : {1, 10, 21}) {
    std::vector<uint32_t> order(kPoints);
    morton_order(points.data(), kPoints, bits, order.data());
    sorted.add(order);
  }
  report("all", "morton_" + type, sorted);
}

void report_askable() {
  Random random(29);
  const std::vector<float> points = points_of<float>(random);
  const std::vector<uint16_t> depth = millimetres_of(random);
  std::vector<uint64_t> visible((kPoints + 63) / 64, ~uint64_t{0});
  visible.back() >>= 64 * visible.size() - kPoints;  // no bit without a point
  std::vector<uint64_t> askable(visible.size());
  const OcclusionRule view{kWidth, kHeight, kWidth, kHeight, 0.001, {false, 0.1, 0.05}};
  const PixelMap map{1, 0, 1, 0};
  const void* maps[] = {depth.data()};
  const AskableRule rule{0.5, 9, true, 2, 0.3, 0.5, 0.4, 0.5, 0.4, 3.5};
  askable_points_cpu(View<const float, 2>{points.data(), {kPoints, 3}}, {kK, {1, 3, 3}},
                     {kPose, {1, 4, 4}}, {maps, &map, false}, view, rule,
                     {visible.data(), {1, static_cast<int64_t>(visible.size())}}, askable.data(),
                     1);
  Hash hash;
  hash.add(askable);
  report("all", "askable", hash);
}

void report_cloud() {
  Random random(31);
  VoxelCloud cloud(0.03);
  for (int frame = 0; frame < 3; ++frame) {
    const std::vector<uint16_t> depth = millimetres_of(random);
    cloud.add_frame(View<const uint16_t, 2>{depth.data(), {kHeight, kWidth}}, 0.001, pinhole(kK),
                    kPose, {0.1, 9, 0.5, 0.3}, nullptr);
  }
  const int64_t count = cloud.count(2);
  std::vector<float> points(3 * count);
  std::vector<int32_t> instance(count);
  cloud.extract(2, points.data(), instance.data());
  Hash hash;
  hash.add(points), hash.add(instance);
  report("all", "cloud", hash);
}

void report_coverage() {
  Random random(37);
  std::vector<double> points(3 * 640);
  for (double& value : points) value = random.uniform(-1, 1);
  constexpr int64_t kFrames = 40, kWords = 10;
  std::vector<uint64_t> words(kFrames * kWords), bins(kFrames);
  for (uint64_t& word : words) word = random.bits() & random.bits();
  for (uint64_t& bin : bins) bin = random.bits() & 0xFF;
  std::vector<int64_t> rows;
  for (int64_t p = 0; p < 640; p += 1 + random.below(4)) rows.push_back(p);
  const double axes[9] = {0.6, 0.8, 0, -0.8, 0.6, 0, 0, 0, 1};
  const MaskRows mask{words.data(), kFrames, kWords, kWords};
  std::vector<double> lo(3 * kFrames), hi(3 * kFrames);
  axis_extents_cpu(points.data(), mask, rows.data(), rows.size(), axes, lo.data(), hi.data(), 1);
  std::vector<int32_t> singles, pairs, order;
  minimal_view_sets_cpu(lo.data(), hi.data(), kFrames, 1.9, 0.1, &singles, &pairs);
  std::vector<int64_t> gain;
  max_coverage_cpu(mask, 9, &order, &gain);
  std::vector<std::vector<int32_t>> covers;
  minimal_covers_cpu(bins.data(), kFrames, 0xFF, 3, &covers);
  Hash hash;
  hash.add(lo), hash.add(hi), hash.add(singles), hash.add(pairs), hash.add(order), hash.add(gain);
  for (const auto& sets : covers) hash.add(sets);
  report("all", "coverage", hash);
}

void report_floor_grid() {
  Random random(41);
  std::vector<uint8_t> free(60 * 70);
  for (uint8_t& cell : free) cell = !random.one_in(4);
  free.front() = free.back() = 1;
  const View<const uint8_t, 2> grid{free.data(), {60, 70}};
  const FloorPath path = find_path_cpu(grid, {0, 0}, {59, 69});
  Hash hash;
  hash.add(path.cost);
  for (const Cell& cell : path.cells) hash.add(cell.row), hash.add(cell.column);
  for (int n = 0; n < 50; ++n) {
    const GridLine line{random.uniform(-2, 72), random.uniform(-2, 62), random.uniform(-2, 72),
                        random.uniform(-2, 62)};
    for (const Cell& cell : cells_along_cpu(line)) hash.add(cell.row), hash.add(cell.column);
    hash.add<int>(line_clear_cpu(grid, line));
  }
  report("all", "floor_grid", hash);
}

void report_least_gap() {
  Random random(47);
  Hash hash;
  for (int n = 0; n < 40; ++n) {
    const int64_t counts[2] = {1 + 7 * n, 281 - 7 * n};
    std::vector<double> points[2];
    for (int side = 0; side < 2; ++side) {
      for (int64_t k = 0; k < 3 * counts[side]; ++k) points[side].push_back(random.uniform(0, 1));
      for (int64_t k = 0; k < counts[side]; ++k) points[side][k] += side * 0.05 * n;
    }
    hash.add(least_square_gap_cpu({points[0].data(), {3, counts[0]}},
                                  {points[1].data(), {3, counts[1]}}));
  }
  report("all", "least_gap", hash);
}

void report_decode() {
  Random random(43);
  constexpr int64_t kColumns = 37, kRows = 64;
  std::vector<uint8_t> raw(kRows * (1 + 2 * kColumns)), zeros(2 * kColumns + 64);
  for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random.bits());
  for (int64_t r = 0; r < kRows; ++r) raw[r * (1 + 2 * kColumns)] = r < 20 ? 4 : r % 5;
  // A stored block of the zlib format holds the bytes as they are.
  const uint16_t size = static_cast<uint16_t>(raw.size()), rest = static_cast<uint16_t>(~size);
  std::vector<uint8_t> stream{0x78, 0x01, 0x01};
  for (const uint16_t part : {size, rest})
    stream.push_back(part & 255), stream.push_back(part >> 8);
  stream.insert(stream.end(), raw.begin(), raw.end());
  uint32_t low = 1, high = 0;
  for (const uint8_t byte : raw) low = (low + byte) % 65521, high = (high + low) % 65521;
  for (const uint32_t sum : {high, low}) stream.push_back(sum >> 8), stream.push_back(sum & 255);
  const size_t length = stream.size();
  stream.resize(length + kInflateInputSlack);
  std::vector<uint8_t> out(raw.size() + kInflateOutputSlack);
  inflate_zlib(stream.data(), length, out.data(), raw.size());
  undo_filters(out.data(), zeros.data(), kColumns, kRows);
  Hash hash;
  for (size_t n = 0; n < raw.size(); ++n) hash.add(out[n]);
  report("all", "decode", hash);
}

void report_render() {
  RenderScene scene;
  scene.height = 2.6f;
  for (int n = 0; n < 9; ++n) {
    const float x = static_cast<float>(n % 3) - 1, y = static_cast<float>(n / 3) - 1;
    scene.solids.push_back({static_cast<SolidKind>(n % 3),
                            {0.8f, 0.6f, 0, -x, -0.6f, 0.8f, 0, -y, 0, 0, 1, -4},
                            {0.3f, 0.4f, 0.5f},
                            n});
    scene.materials.push_back({n % 8,
                               {0.7f, 0.5f, 0.4f},
                               {0.2f, 0.3f, 0.6f},
                               0.1f,
                               0.2f,
                               0.3f,
                               static_cast<uint32_t>(7 * n)});
  }
  scene.lamps.push_back({{0, 0, 2.4f}, 4, 4, 20, std::vector<float>(16, 9.0f)});
  const PinholeView view{
      kWidth, kHeight, 50, 50, 31.5f, 23.5f, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}};
  std::vector<float> depth(kWidth * kHeight);
  std::vector<int32_t> solid(depth.size());
  std::vector<uint8_t> rgb(3 * depth.size());
  std::vector<uint16_t> read(depth.size());
  cast_view(scene, view, 0, depth.data(), solid.data());
  shade_view(scene, view, depth.data(), solid.data(), rgb.data());
  measure_view(scene, view, depth.data(), solid.data(), {5, 0.002f, 0.001f, 0.3f, 9, true},
               read.data());
  Hash hash;
  hash.add(depth), hash.add(solid), hash.add(rgb), hash.add(read);
  report("all", "render", hash);
}

}  // namespace

void report_portable() {
  report_points<float>("float32");
  report_points<double>("float64");
  report_askable();
  report_cloud();
  report_coverage();
  report_floor_grid();
  report_least_gap();
  report_decode();
  report_render();
}

}  // namespace spatialcore
