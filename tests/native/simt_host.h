// SPDX-License-Identifier: Apache-2.0
// Runs CUDA kernel bodies on the CPU: g++ compiles the .cu files, every CUDA thread is a fiber, and
// a thread block's fibers take turns between barriers and warp collectives.
//
// It finds wrong indices, missing bounds checks and barriers, collectives with absent lanes, and
// deadlocks; with AddressSanitizer an access out of bounds names the kernel's line, with
// ThreadSanitizer a missing __syncthreads is a data race (fibers are switched without
// synchronisation, only barriers synchronise). It does not model memory order between thread
// blocks, nor speed. Blocks run one after another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define SIMT_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define SIMT_UNSEEN
#endif

#define __global__ static
#define __device__ static
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static  // thread-local variables get no red zones
#else
#define __shared__ static thread_local
#endif

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
using cudaStream_t = void*;

extern "C" void simt_switch(void** save_stack, void* load_stack);

namespace simt {

constexpr size_t kStackBytes = 64 * 1024;
constexpr int kWarpLanes = 32;

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  bool done = false;
  dim3 thread;
  unsigned lane = 0, warp = 0;
  void* tsan = nullptr;
  void* asan = nullptr;
};

// Lanes meet at a generation; those of the mask have to arrive before any goes on.
struct Warp {
  uint64_t value[kWarpLanes] = {};
  uint32_t mask = 0, arrived = 0, alive = 0;
  uint64_t generation = 0;
  char sync[2];  // two addresses in turn: one address would hide a race from ThreadSanitizer
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  unsigned live = 0, current = 0, arrived = 0;
  uint64_t generation = 0, progress = 0;
  char sync[2];
  dim3 index, size, grid;
  void* main_stack_pointer = nullptr;
  const std::function<void()>* body = nullptr;
  void* asan_main = nullptr;
  const void* main_bottom = nullptr;
  size_t main_bytes = 0;
  void* tsan_main = nullptr;

  Fiber& fiber() { return fibers[current]; }
};

inline Block*& block() {
  static thread_local Block* current = nullptr;
  return current;
}

[[noreturn]] inline void fail(const char* what) {
  const Block& b = *block();
  std::fprintf(stderr, "SIMT: %s in block (%u, %u, %u)\n", what, b.index.x, b.index.y, b.index.z);
  std::abort();
}

SIMT_UNSEEN inline void to_main([[maybe_unused]] bool dying = false) {
  Block& b = *block();
  Fiber& f = b.fiber();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(dying ? nullptr : &f.asan, b.main_bottom, b.main_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(b.tsan_main, __tsan_switch_to_fiber_no_sync);
#endif
  simt_switch(&f.stack_pointer, b.main_stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(f.asan, &b.main_bottom, &b.main_bytes);
#endif
}

SIMT_UNSEEN inline void to_fiber(unsigned i) {
  Block& b = *block();
  b.current = i;
  Fiber& f = b.fiber();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&b.asan_main, f.stack, kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(f.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  simt_switch(&b.main_stack_pointer, f.stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(b.asan_main, nullptr, nullptr);
#endif
}

SIMT_UNSEEN inline void fiber_entry() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &block()->main_bottom, &block()->main_bytes);
#endif
  (*block()->body)();
  Block& b = *block();
  b.fiber().done = true;
  b.live--;
  b.progress++;
  b.warps[b.fiber().warp].alive &= ~(1u << b.fiber().lane);
  to_main(true);
  std::abort();
}

SIMT_UNSEEN inline void block_barrier() {
  Block& b = *block();
  const uint64_t generation = b.generation;
#if defined(__SANITIZE_THREAD__)
  __tsan_release(&b.sync[generation & 1]);
#endif
  b.arrived++;
  b.progress++;
  while (b.generation == generation) {
    if (b.arrived >= b.live) {
      b.arrived = 0;
      b.generation++;
      b.progress++;
      break;
    }
    to_main();
  }
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(&b.sync[generation & 1]);
#endif
}

SIMT_UNSEEN inline void warp_barrier(uint32_t mask) {
  Block& b = *block();
  Warp& w = b.warps[b.fiber().warp];
  const uint32_t self = 1u << b.fiber().lane;
  if (!(mask & self)) fail("a lane outside the mask of its collective");
  const uint64_t generation = w.generation;
  if (w.arrived == 0) w.mask = mask;
  if (w.mask != mask) fail("lanes with different masks in one collective");
#if defined(__SANITIZE_THREAD__)
  __tsan_release(&w.sync[generation & 1]);
#endif
  w.arrived |= self;
  b.progress++;
  while (w.generation == generation) {
    if (w.arrived == w.mask) {
      w.arrived = 0;
      w.generation++;
      b.progress++;
      break;
    }
    if (w.mask & ~w.alive) fail("a collective waits for a lane that has left");
    to_main();
  }
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(&w.sync[generation & 1]);
#endif
}

inline void prepare_fibers(Block& b) {
  for (unsigned i = 0; i < b.fibers.size(); ++i) {
    Fiber& f = b.fibers[i];
    f.done = false;
    f.thread = dim3(i % b.size.x, (i / b.size.x) % b.size.y, i / (b.size.x * b.size.y));
    f.lane = i % kWarpLanes;
    f.warp = i / kWarpLanes;
    b.warps[f.warp].alive |= 1u << f.lane;
    const uintptr_t top = (reinterpret_cast<uintptr_t>(f.stack) + kStackBytes) & ~uintptr_t{63};
    void** stack = reinterpret_cast<void**>(top);
    *--stack = nullptr;
    *--stack = reinterpret_cast<void*>(&fiber_entry);
    for (int k = 0; k < 6; ++k) *--stack = nullptr;
    f.stack_pointer = stack;
#if defined(__SANITIZE_THREAD__)
    if (!f.tsan) f.tsan = __tsan_create_fiber(0);
#endif
  }
}

SIMT_UNSEEN inline void synchronise_tsan([[maybe_unused]] Block& b, [[maybe_unused]] bool start) {
#if defined(__SANITIZE_THREAD__)
  const unsigned none = __tsan_switch_to_fiber_no_sync;
  if (start) b.tsan_main = __tsan_get_current_fiber();
  for (Fiber& f : b.fibers) {
    __tsan_switch_to_fiber(f.tsan, start ? 0 : none);
    __tsan_switch_to_fiber(b.tsan_main, start ? none : 0);
  }
#endif
}

SIMT_UNSEEN inline void run_block(Block& b) {
  b.warps.assign((b.fibers.size() + kWarpLanes - 1) / kWarpLanes, Warp());
  b.live = static_cast<unsigned>(b.fibers.size());
  b.arrived = 0;
  prepare_fibers(b);
  synchronise_tsan(b, true);
  while (b.live) {
    const uint64_t progress = b.progress;
    for (unsigned i = 0; i < b.fibers.size(); ++i) {
      if (!b.fibers[i].done) to_fiber(i);
    }
    if (b.live && b.progress == progress)
      fail("deadlock: a barrier that some threads do not reach");
  }
  synchronise_tsan(b, false);
}

inline void launch(dim3 grid, dim3 size, const std::function<void()>& body) {
  Block b;
  b.grid = grid;
  b.size = size;
  b.body = &body;
  b.fibers.resize(size.x * size.y * size.z);
  for (Fiber& f : b.fibers) f.stack = static_cast<char*>(std::aligned_alloc(64, kStackBytes));
  Block* const outer = block();
  block() = &b;
  for (b.index.z = 0; b.index.z < grid.z; ++b.index.z) {
    for (b.index.y = 0; b.index.y < grid.y; ++b.index.y) {
      for (b.index.x = 0; b.index.x < grid.x; ++b.index.x) run_block(b);
    }
  }
  block() = outer;
  for (Fiber& f : b.fibers) {
#if defined(__SANITIZE_THREAD__)
    if (f.tsan) __tsan_destroy_fiber(f.tsan);
#endif
    std::free(f.stack);
  }
}

template <class T>
SIMT_UNSEEN inline void put(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  std::memcpy(&block()->warps[block()->fiber().warp].value[block()->fiber().lane], &value,
              sizeof value);
}

template <class T>
SIMT_UNSEEN inline T get(unsigned lane) {
  T value;
  std::memcpy(&value, &block()->warps[block()->fiber().warp].value[lane % kWarpLanes],
              sizeof value);
  return value;
}

}  // namespace simt

#define threadIdx (simt::block()->fiber().thread)
#define blockIdx (simt::block()->index)
#define SC_LAUNCH(kernel, grid, size, stream, ...) \
  ((void)(stream), simt::launch((grid), (size), [&] { kernel(__VA_ARGS__); }))

inline void __syncthreads() { simt::block_barrier(); }

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  simt::put<int>(predicate != 0);
  simt::warp_barrier(mask);
  unsigned bits = 0;
  for (int lane = 0; lane < simt::kWarpLanes; ++lane) {
    if (mask >> lane & 1) bits |= static_cast<unsigned>(simt::get<int>(lane)) << lane;
  }
  simt::warp_barrier(mask);
  return bits;
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source) {
  simt::put(value);
  simt::warp_barrier(mask);
  const T result = simt::get<T>(source);
  simt::warp_barrier(mask);
  return result;
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return __shfl_sync(mask, value, simt::block()->fiber().lane ^ bits);
}

inline uint32_t atomicAdd(uint32_t* at, uint32_t value) {
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

inline int __ffs(int x) { return __builtin_ffs(x); }

inline int __popcll(uint64_t x) { return __builtin_popcountll(x); }

// mma.m16n8k256.b1.and.popc as the PTX manual lays its fragments out over the lanes of a warp.
inline void simt_mma_b1(int32_t (&counts)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  constexpr unsigned kAll = 0xFFFFFFFFu;
  const int quad = simt::block()->fiber().lane / 4, within = simt::block()->fiber().lane % 4;
  for (int t = 0; t < 4; ++t) {
    uint32_t left[4], right[2][2];
    for (int i = 0; i < 4; ++i) left[i] = __shfl_sync(kAll, a[i], 4 * quad + t);
    for (int c = 0; c < 2; ++c) {
      for (int i = 0; i < 2; ++i) right[c][i] = __shfl_sync(kAll, b[i], 4 * (2 * within + c) + t);
    }
    for (int c = 0; c < 2; ++c) {
      counts[c] +=
          __builtin_popcount(left[0] & right[c][0]) + __builtin_popcount(left[2] & right[c][1]);
      counts[2 + c] +=
          __builtin_popcount(left[1] & right[c][0]) + __builtin_popcount(left[3] & right[c][1]);
    }
  }
}
