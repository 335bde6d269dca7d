// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "bits.h"
#include "cpu/isa/draws_loops.h"
#include "spatialcore/draws.h"
#include "spatialcore/overlap.h"
#include "spatialcore/rigidity.h"

namespace spatialcore {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
void add_overlap(int64_t frames, int64_t words, uint64_t sparseness, Random& random, Hash& hash) {
  const int64_t stride = words + random.below(3);
  std::vector<uint64_t> rows(frames * stride + 1, ~uint64_t{0});
  for (int64_t f = 0; f < frames; ++f) {
    for (int64_t w = 0; w < words; ++w) {
      rows[f * stride + w] = random.one_in(sparseness) ? random.bits() | random.bits() : 0;
    }
  }
  const MaskRows mask{rows.data(), frames, words, stride};
  const SparseRows sparse = build_sparse_rows(mask, 1);
  const int64_t begin = random.below(frames), middle = begin + random.below(frames - begin) + 1;
  for (const auto& range : {std::pair<int64_t, int64_t>{0, frames}, {begin, middle}}) {
    const int64_t height = range.second - range.first;
    std::vector<uint32_t> dense(height * frames), blocks(height * frames);
    overlap_dense_cpu(mask, range.first, range.second, dense.data(), 1);
    overlap_sparse_cpu(sparse, frames, range.first, range.second, blocks.data(), 1);
    for (int64_t i = range.first; i < range.second; ++i) {
      for (int64_t j = i; j < frames; ++j) {
        const int64_t at = (i - range.first) * frames + j;
        hash.add(dense[at]);
        if (dense[at] != blocks[at]) hash.add(std::string("the paths differ").size());
      }
    }
  }
}

void report_overlap(const std::string& set) {
  Hash hash;
  Random random(11);
  for (const int64_t frames : {1, 2, 4, 5, 31, 33, 67}) {
    for (const int64_t words : {1, 7, 8, 9, 31, 32, 63, 255, 257, 600}) {
      for (const uint64_t sparseness : {1, 3, 90}) {
        add_overlap(frames, words, sparseness, random, hash);
      }
    }
  }
  add_overlap(310, 70, 2, random, hash);  // several tiles of rows and columns
  report(set, "overlap", hash);
}

std::vector<double> tracks_of(int64_t steps, int64_t tracks, Random& random) {
  std::vector<double> xyz(steps * tracks * 3);
  for (double& value : xyz) value = random.uniform(-2, 2);
  for (int64_t n = 0; n < tracks; ++n) {  // still, as slow as the noise floor, or anyhow
    const double speed = n % 3 == 0 ? 0 : 0.01;
    for (int64_t t = 1; t < steps && n % 3 != 2; ++t) {
      for (int a = 0; a < 3; ++a) {
        double* at = &xyz[(t * tracks + n) * 3 + a];
        *at = at[-3 * tracks] + speed * random.uniform(-1, 1);
      }
    }
  }
  for (double& value : xyz) {
    if (random.one_in(40)) value = random.one_in(2) ? kNan : kInf;
  }
  return xyz;
}

void report_rigidity(const std::string& set) {
  const char* names[] = {"rigidity_sum", "rigidity_exact", "rigidity_fast", "rigidity_rms"};
  for (const ChangeMode mode :
       {ChangeMode::kSum, ChangeMode::kExact, ChangeMode::kFast, ChangeMode::kRms}) {
    Hash hash;
    Random random(13);
    for (const int64_t tracks : {2, 7, 8, 9, 16, 17, 150}) {
      for (const int64_t steps : {1, 2, 3, 41}) {
        const std::vector<double> xyz = tracks_of(steps, tracks, random);
        std::vector<double> change(tracks * (tracks - 1) / 2);
        int64_t redone = 0;
        distance_change_cpu(xyz.data(), steps, tracks, 0.01, mode, change.data(), &redone, 1);
        hash.add(change);
        hash.add(redone);
      }
    }
    report(set, names[static_cast<int>(mode)], hash);
  }
}

// The loop itself: every bit of the draws, and one that is the bound.
void add_drawn(Random& random, Hash& hash) {
  constexpr IsaTable<DrawLoop> kLoops{draw_loop_baseline, SC_AVX2(draw_loop_avx2),
                                      SC_AVX512(draw_loop_avx512), nullptr};
  for (int64_t count = 0; count < 40; ++count) {
    std::vector<int64_t> ids(count), at(count);
    for (int64_t& id : ids) id = static_cast<int64_t>(random.bits());
    std::vector<uint64_t> values(count);
    const uint64_t state = random.bits();
    for (int64_t k = -1; k < count; k += 3) {
      const uint64_t bound = k < 0 ? ~uint64_t{0} : fold(state, static_cast<uint64_t>(ids[k]));
      const int64_t found =
          kLoops.active()(state, ids.data(), count, bound, at.data(), values.data());
      for (int64_t n = 0; n < found; ++n) hash.add(at[n]), hash.add(values[n]);
    }
  }
}

void report_draws(const std::string& set) {
  Hash hash;
  Random random(19);
  for (const int64_t words : {1, 3, 40, 200}) {
    std::vector<uint64_t> rows(3 * words), states(4);
    for (uint64_t& word : rows) word = random.bits() | random.bits();
    for (uint64_t& state : states) state = random.bits();
    std::vector<uint32_t> ids(64 * words);
    for (uint32_t& id : ids) id = static_cast<uint32_t>(random.bits());
    const int64_t first[] = {0, 0, 1, 2}, second[] = {0, 0, 2, 2};
    for (const int64_t count : {0, 1, 20, 5000}) {
      std::vector<int64_t> out(4 * count);
      smallest_seen_cpu({rows.data(), 3, words, words}, {4, states.data(), first, second},
                        ids.data(), count, out.data());
      hash.add(out);
    }
  }
  add_drawn(random, hash);
  report(set, "draws", hash);
}

}  // namespace

void report_sets(const std::string& set) {
  report_overlap(set);
  report_rigidity(set);
  report_draws(set);
}

}  // namespace spatialcore
