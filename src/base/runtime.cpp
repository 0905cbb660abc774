#include "base/runtime.hpp"

#include <pthread.h>
#include <sys/prctl.h>

#include <random>

namespace faro {

Runtime*& runtime() noexcept {
  thread_local Runtime* current = nullptr;
  return current;
}

std::uint64_t entropy() {
  if (auto* simulated = runtime()) return simulated->entropy();
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

void yield() {
  if (auto* simulated = runtime()) {
    simulated->yield();
  } else {
    std::this_thread::yield();
  }
}

void sleep_sharply() noexcept {
  if (runtime() == nullptr) prctl(PR_SET_TIMERSLACK, 1000UL);  // ns
}

void Condition::notify_all() {
  if (auto* simulated = runtime()) {
    simulated->wake(this);
  } else {
    changed_.notify_all();
  }
}

void Condition::sleep(std::unique_lock<std::mutex>& lock, Clock::time_point until) {
  if (auto* simulated = runtime()) {
    simulated->sleep(this, what_, lock, until);
  } else if (until == Clock::time_point::max()) {
    changed_.wait(lock);
  } else {
    changed_.wait_until(lock, until);
  }
}

Thread::Thread(const char* name, std::function<void()> work) {
  if (auto* simulated = runtime()) {
    simulated_ = simulated->start(name, std::move(work));
    return;
  }
  real_ = std::thread([name, work = std::move(work)] {
    pthread_setname_np(pthread_self(), name);
    work();
  });
}

void Thread::join() {
  if (simulated_) {
    simulated_();
    simulated_ = nullptr;
  } else {
    real_.join();
  }
}

}  // namespace faro
