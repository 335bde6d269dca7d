// SPDX-License-Identifier: Apache-2.0
// Sum over time of the changes of every pair's distance. Contract: spatialcore/rigidity.h.
//
//   tracks  (T, N, 3)          m  in   float64; a non-finite coordinate = no reading
//   change  (N (N - 1) / 2,)   m  out  float64, condensed, i < j row by row
//
//   d_t = sqrt((dx dx + dy dy) + dz dz);  change += |d_t - d_(t-1)| where that exceeds the floor
//
// A missing reading makes d_t NaN, and no comparison with NaN adds anything: a step counts only
// when both points are present at both of its ends.
//
// Modes: float64, t ascending, no fused operations, rounded square root: equal to the CPU in every
// bit. float32: distances in float32. exact: float32, and a pair whose change came within the
// error bound of the floor at any step is repeated in float64 by its thread, so no decision flips.
// Bound: coordinates are rounded to within 2^-24 of their size M, so each of two distances errs by
// at most 2^-24 (4 M + 4 d); kErrorUnits = 16 covers both and the subtraction.
//
// A thread block owns a tile of 64 x 64 pairs of one clip, a thread 4 x 4 of them with previous
// distance and sum in registers from the first step to the last; where that is too few thread
// blocks for a GPU, 16 x 16 pairs and one a thread. 256 points and steps of each side are staged at
// a time (12 KiB). Bytes: 2 * 64 * 24 * T for 4,096 pairs; the square root is the bound.
// Docs: docs/ops/rigidity.md. Tests: tests/ops/test_cuda_host.py, tests/ops/test_gpu.py.
#include "cuda/stream.cuh"

namespace spatialcore {
namespace {

constexpr int kSide = 16;          // threads on each side of a tile
constexpr int kMostPairs = 4;      // of a thread along each side
constexpr int kStaged = 256;       // points and steps of a side staged at a time
constexpr float kErrorUnits = 16;  // of 2^-24 (M + d)
constexpr float kLargest = 1e18f;  // metres: squares beyond it do not fit float32

template <class Real, int kPairs>
struct Tile {
  static constexpr int kSize = kSide * kPairs;
  static constexpr int kSteps = kStaged / kSize;
  Real rows[kSteps][kSize][3];
  Real columns[kSteps][kSize][3];
};

__device__ double reading(double x) { return is_finite(x) ? x : nan(""); }

template <class Real>
__device__ Real distance(const Real* p, const Real* q) {
  const Real dx = p[0] - q[0], dy = p[1] - q[1], dz = p[2] - q[2];
  return sqrt((dx * dx + dy * dy) + dz * dz);
}

template <class Real>
__device__ float magnitude(const Real* p) {
  return fmaxf(fmaxf(fabsf(static_cast<float>(p[0])), fabsf(static_cast<float>(p[1]))),
               fabsf(static_cast<float>(p[2])));
}

template <class Real, int kSize>
__device__ void stage(const DeviceClip& clip, int64_t first, int64_t first_step,
                      Real (*tile)[kSize][3]) {
  const int thread = threadIdx.y * kSide + threadIdx.x;
  for (int i = thread; i < kStaged * 3; i += kSide * kSide) {
    const int step = i / (kSize * 3), track = i / 3 % kSize, axis = i % 3;
    const int64_t t = first_step + step, n = first + track;
    const bool inside = t < clip.step_count && n < clip.track_count;
    tile[step][track][axis] =
        inside ? static_cast<Real>(reading(clip.tracks[(t * clip.track_count + n) * 3 + axis])) : 0;
  }
}

// One pair in float64, straight from memory.
__device__ double pair_change(const DeviceClip& clip, int64_t i, int64_t j, double noise_floor) {
  double sum = 0, previous = 0;
  for (int64_t t = 0; t < clip.step_count; ++t) {
    const double* at = clip.tracks + t * clip.track_count * 3;
    const double p[] = {reading(at[3 * i]), reading(at[3 * i + 1]), reading(at[3 * i + 2])};
    const double q[] = {reading(at[3 * j]), reading(at[3 * j + 1]), reading(at[3 * j + 2])};
    const double d = distance(p, q);
    const double change = fabs(d - previous);
    if (t > 0 && change > noise_floor) sum += change;
    previous = d;
  }
  return sum;
}

template <class Real, bool kRedo, int kPairs>
__global__ void rigidity_kernel(const Batch<DeviceClip> clips, double noise_floor) {
  constexpr int kTile = Tile<Real, kPairs>::kSize, kSteps = Tile<Real, kPairs>::kSteps;
  __shared__ Tile<Real, kPairs> tile;
  const DeviceClip clip = item_of(clips);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) * kTile;
  if (first_column < first_row || first_column >= clip.track_count) return;
  const Real floor = static_cast<Real>(noise_floor);
  Real previous[kPairs][kPairs] = {}, sum[kPairs][kPairs] = {};
  unsigned doubtful = 0;  // bit 4 i + j: the pair has to be repeated
  for (int64_t first = 0; first < clip.step_count; first += kSteps) {
    stage(clip, first_row, first, tile.rows);
    stage(clip, first_column, first, tile.columns);
    __syncthreads();
    const int64_t left = clip.step_count - first;
    for (int s = 0; s < (left < kSteps ? left : kSteps); ++s) {
      for (int i = 0; i < kPairs; ++i) {
        const Real* p = tile.rows[s][threadIdx.y + kSide * i];
        for (int j = 0; j < kPairs; ++j) {
          const Real* q = tile.columns[s][threadIdx.x + kSide * j];
          const Real d = distance(p, q);
          const Real change = fabs(d - previous[i][j]);
          if (first + s > 0 && change > floor) sum[i][j] += change;
          if (kRedo) {
            const float far = fmaxf(magnitude(p), magnitude(q)) +
                              fmaxf(static_cast<float>(d), static_cast<float>(previous[i][j]));
            const float bound = kErrorUnits * 0x1p-24f * far;
            if (fabs(change - floor) <= bound || far > kLargest) doubtful |= 1u << (kPairs * i + j);
          }
          previous[i][j] = d;
        }
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kPairs; ++i) {
    for (int j = 0; j < kPairs; ++j) {
      const int64_t row = first_row + threadIdx.y + kSide * i;
      const int64_t column = first_column + threadIdx.x + kSide * j;
      if (row >= column || column >= clip.track_count) continue;
      const bool repeat = kRedo && (doubtful >> (kPairs * i + j) & 1);
      const double value =
          repeat ? pair_change(clip, row, column, noise_floor) : static_cast<double>(sum[i][j]);
      clip.change[row * clip.track_count - row * (row + 1) / 2 + (column - row - 1)] = value;
    }
  }
}

template <class Real, bool kRedo>
void launch(const Batch<DeviceClip>& clips, double noise_floor, cudaStream_t stream) {
  const int64_t side = ceil_div(clips.largest, kSide * kMostPairs);
  const dim3 block(kSide, kSide);
  if (side * (side + 1) / 2 * clips.count >= kBlocksWanted) {
    const dim3 grid = pair_grid(clips, kSide * kMostPairs);
    SC_LAUNCH((rigidity_kernel<Real, kRedo, kMostPairs>), grid, block, stream, clips, noise_floor);
  } else {
    const dim3 grid = pair_grid(clips, kSide);
    SC_LAUNCH((rigidity_kernel<Real, kRedo, 1>), grid, block, stream, clips, noise_floor);
  }
  check_launch("rigidity_kernel");
}

}  // namespace

void accumulate_distance_change_cuda(const Batch<DeviceClip>& clips, double noise_floor,
                                     ChangePrecision precision, Stream stream) {
  if (clips.count == 0 || clips.largest < 2) return;
  if (precision == ChangePrecision::kFloat64) {
    launch<double, false>(clips, noise_floor, native(stream));
  } else if (precision == ChangePrecision::kExact) {
    launch<float, true>(clips, noise_floor, native(stream));
  } else {
    launch<float, false>(clips, noise_floor, native(stream));
  }
}

}  // namespace spatialcore
