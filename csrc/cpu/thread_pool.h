// SPDX-License-Identifier: Apache-2.0
// A small persistent pool of worker threads, sized from the affinity mask and safe across fork().
#pragma once

#include <cstdint>
#include <functional>

namespace spatialcore {

// Threads that the process may use, at least 1: the size of its affinity mask, or on systems
// without one the processor's threads.
int available_threads();

// Calls body(begin, end) over [0, count) in chunks of at most `grain`, on up to `threads` threads
// (<= 0: available_threads()), the calling thread among them. Returns when every chunk is done.
// The first exception of a chunk is rethrown here. A nested call runs on the calling thread.
void parallel_for(int64_t count, int64_t grain, int threads,
                  const std::function<void(int64_t, int64_t)>& body);

}  // namespace spatialcore
