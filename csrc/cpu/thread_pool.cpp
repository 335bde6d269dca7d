// SPDX-License-Identifier: Apache-2.0
// Chunks are taken from one atomic counter by the caller and its helpers, so a busy machine
// balances itself. Where there is fork(), its child has no threads: a handler drops the pool there,
// and the next call starts a fresh one. Only Linux has an affinity mask to ask.
#include "cpu/thread_pool.h"

#if __has_include(<pthread.h>)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace spatialcore {
namespace {

thread_local bool inside_pool = false;

struct Job {
  int64_t count;
  int64_t grain;
  const std::function<void(int64_t, int64_t)>* body;
  std::atomic<int64_t> next{0};
  std::mutex error_mutex{};
  std::exception_ptr error{};

  void run() {
    for (;;) {
      const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      try {
        (*body)(begin, std::min(begin + grain, count));
      } catch (...) {
        std::lock_guard<std::mutex> lock(error_mutex);
        if (!error) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);
      }
    }
  }
};

class Pool {
 public:
  // One job at a time; callers from several Python threads queue on `submit_mutex_`.
  void run(Job& job, int helper_count) {
    std::lock_guard<std::mutex> submit(submit_mutex_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(threads_.size()) < helper_count) {
        threads_.emplace_back([this, id = threads_.size()] { loop(id); });
      }
      job_ = &job;
      wanted_ = helper_count;
      running_ = helper_count;
      ++generation_;
    }
    wake_.notify_all();
    inside_pool = true;
    job.run();
    inside_pool = false;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    job_ = nullptr;
  }

 private:
  void loop(size_t id) {
    inside_pool = true;
    uint64_t seen = 0;
    for (;;) {
      Job* job = nullptr;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
        if (static_cast<int>(id) >= wanted_) continue;
        job = job_;
      }
      job->run();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::mutex submit_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  Job* job_ = nullptr;
  int wanted_ = 0;
  int running_ = 0;
  uint64_t generation_ = 0;
};

// Never destroyed: its threads sleep until the process ends, and the child of a fork() must not
// touch the parent's threads.
std::atomic<Pool*> pool{nullptr};
void watch_forks() {
#if __has_include(<pthread.h>)
  pthread_atfork(nullptr, nullptr, [] {
    pool.store(nullptr);
    inside_pool = false;
  });
#endif
}

Pool& get_pool() {
  static std::once_flag watched;
  std::call_once(watched, watch_forks);
  Pool* current = pool.load();
  if (!current) {
    Pool* fresh = new Pool;
    if (pool.compare_exchange_strong(current, fresh)) return *fresh;
    delete fresh;
  }
  return *current;
}

}  // namespace

int available_threads() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

void parallel_for(int64_t count, int64_t grain, int threads,
                  const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (threads <= 0) threads = available_threads();
  const int64_t chunk_count = (count + grain - 1) / grain;
  const int helper_count = static_cast<int>(std::min<int64_t>(threads, chunk_count)) - 1;
  if (helper_count <= 0 || inside_pool) {
    body(0, count);
    return;
  }
  Job job{count, grain, &body};
  get_pool().run(job, helper_count);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace spatialcore
