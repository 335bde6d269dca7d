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
  const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + kPage - 1) / kPage * kPage;
  void* memory = std::aligned_alloc(kPage, bytes);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: where it is refused, pages stay small
#endif
  return LargeArray<T>(static_cast<T*>(memory));
}

}  // namespace spatialcore
