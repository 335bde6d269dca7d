// SPDX-License-Identifier: Apache-2.0
// Uninitialised memory for large arrays that are read across their rows: on Linux in large pages,
// since one column of a matrix of 5,000 rows touches more pages than the processor's tables hold.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace spatialcore {

struct FreeDeleter {
  void operator()(void* p) const { std::free(p); }
};

template <class T>
using LargeArray = std::unique_ptr<T[], FreeDeleter>;

template <class T>
LargeArray<T> large_array(int64_t count) {
  constexpr size_t kPage = size_t{2} << 20;
  const size_t needed = static_cast<size_t>(count) * sizeof(T);
  const bool large = needed > 2 * kPage;  // the zeroing of a large page costs a small matrix more
  const size_t bytes = (needed + kPage - 1) / kPage * kPage;
  void* memory = large ? std::aligned_alloc(kPage, bytes) : std::malloc(needed);
  if (memory == nullptr && needed > 0) throw std::bad_alloc();
#if defined(__linux__)
  if (large) madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: where refused, pages stay small
#endif
  return LargeArray<T>(static_cast<T*>(memory));
}

}  // namespace spatialcore
