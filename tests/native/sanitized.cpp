// SPDX-License-Identifier: Apache-2.0
// Every CUDA kernel once on small inputs, for AddressSanitizer and ThreadSanitizer, without Python.
// Arrays have exactly the sizes that the contracts give, so one element too far is reported.
//
// `sanitized kernels` runs the shipped kernels, in which nothing is to be found. The others check
// the check: `reverse` is a kernel that is right; `shared-overrun` and `global-overrun` write one
// element past its shared array or its output, `missing-barrier` leaves out its __syncthreads, and
// the sanitizers have to report each of them.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/kernels.cuh"
#include "cuda/launch.cuh"

namespace spatialcore {
namespace {

constexpr int kThreads = 64;

double noise(int64_t i) { return static_cast<double>((i * 2654435761u) % 1000) / 250.0 - 2.0; }

void run_scene(int64_t points, int64_t frames) {
  std::vector<float> xyz(3 * points);
  for (size_t i = 0; i < xyz.size(); ++i) xyz[i] = static_cast<float>(noise(i));
  std::vector<double> K(9 * frames), pose(16 * frames);
  for (int64_t f = 0; f < frames; ++f) {
    const double intrinsics[9] = {40, 0, 16, 0, 40, 12, 0, 0, 1};
    std::memcpy(&K[9 * f], intrinsics, sizeof intrinsics);
    for (int a = 0; a < 4; ++a) pose[16 * f + 5 * a] = 1;
    pose[16 * f + 11] = 3 + noise(f);
  }
  std::vector<uint16_t> depth(32 * 24 * frames, 3000);
  std::vector<uint64_t> words(frames * ((points + 63) / 64));
  std::vector<double> uv(2 * frames * points), z(frames * points);
  const DeviceScene scene{xyz.data(), false, points, K.data(), pose.data(), frames};
  const OcclusionRule rule{32, 24, 32, 24, 0.001, {false, 0.1, 0.05}};
  project_points_cuda(scene, uv.data(), z.data(), {0});
  const std::vector<PixelMap> maps(frames, PixelMap{1, 0, 1, 0});
  DeviceView view{xyz.data(),   points,      K.data(), pose.data(),  frames,
                  depth.data(), maps.data(), {},       words.data(), rule};
  visible_points_cuda({view, nullptr, 1, frames}, points, {false, false}, {0});
  DeviceView batch[2] = {view, view};
  batch[1].point_count = points / 2;
  std::vector<uint64_t> half(frames * ((points / 2 + 63) / 64)), asked(words.size());
  batch[1].words = half.data();
  visible_points_cuda({{}, batch, 2, frames}, points, {false, false}, {0});
  view.words = asked.data();
  const AskableRule guards{0.1, 9, true, 3, 0.8, 0.5, 2.0, 0.5, 2.0, 3.5};
  askable_points_cuda(view, words.data(), guards, false, {0});
}

void run_overlap(int64_t frames, int64_t width, OverlapMethod method) {
  std::vector<uint64_t> words(frames * width);
  for (size_t i = 0; i < words.size(); ++i) words[i] = i * 0x9E3779B97F4A7C15u;
  std::vector<uint32_t> counts(frames * frames);
  pairwise_overlap_cuda({{words.data(), frames, width, counts.data()}, nullptr, 1, frames}, method,
                        {0});
}

void run_rigidity(int64_t steps, int64_t tracks, ChangePrecision precision) {
  std::vector<double> xyz(steps * tracks * 3), change(tracks * (tracks - 1) / 2);
  for (size_t i = 0; i < xyz.size(); ++i) xyz[i] = noise(i);
  const DeviceClip clip{xyz.data(), steps, tracks, change.data()};
  accumulate_distance_change_cuda({clip, nullptr, 1, tracks}, 0.01, precision, {0});
}

void run_kernels() {
  run_scene(300, 3);
  run_scene(65, 33);
  for (const auto method : {OverlapMethod::kPopcount, OverlapMethod::kTensorCore}) {
    run_overlap(1, 1, method);
    run_overlap(67, 18, method);
    run_overlap(3, 300, method);  // thread blocks share the words
  }
  run_rigidity(5, 130, ChangePrecision::kFloat64);  // past the tiles of a thread's 4 x 4 pairs
  run_rigidity(5, 70, ChangePrecision::kFloat64);
  run_rigidity(5, 70, ChangePrecision::kExact);
  run_rigidity(2, 5, ChangePrecision::kFloat32);
}

// Reverses a block's numbers through shared memory, right only with the right bounds and barrier.
__global__ void reverse_kernel(const int* in, int* out, int shift, bool barrier) {
  __shared__ int staged[kThreads];
  staged[threadIdx.x + shift] = in[threadIdx.x];
  if (barrier) __syncthreads();
  out[threadIdx.x] = staged[kThreads - 1 - threadIdx.x];
}

void run_planted(int out_count, int shift, bool barrier) {
  std::vector<int> in(kThreads, 7), out(out_count);
  SC_LAUNCH(reverse_kernel, dim3(1), dim3(kThreads), nullptr, in.data(), out.data(), shift,
            barrier);
}

int run(const std::string& what) {
  if (what == "kernels") {
    run_kernels();
  } else if (what == "reverse") {
    run_planted(kThreads, 0, true);
  } else if (what == "shared-overrun") {
    run_planted(kThreads, 1, true);
  } else if (what == "global-overrun") {
    run_planted(kThreads - 1, 0, true);
  } else if (what == "missing-barrier") {
    run_planted(kThreads, 0, false);
  } else {
    std::fprintf(stderr, "unknown: %s\n", what.c_str());
    return 2;
  }
  std::puts("finished");
  return 0;
}

}  // namespace
}  // namespace spatialcore

int main(int argc, char** argv) { return spatialcore::run(argc > 1 ? argv[1] : "kernels"); }
