// Threads of a simulation are fibers of one thread: a turn that ends costs no system's scheduling.
#pragma once

#include <ucontext.h>

#include <array>
#include <cstddef>
#include <functional>

namespace faro::sim {

/// A stack and where it goes on. The sanitizers are told of every switch.
class Fiber {
 public:
  /// The calling thread itself.
  Fiber();
  /// \param work must end in a switch for good
  explicit Fiber(std::function<void()> work);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Goes on with another one; returns when it is this one's turn again. Called on the running one.
  /// \param for_good it is not: this one's work has ended
  void switch_to(Fiber& other, bool for_good = false);

 private:
  static void begin(unsigned high, unsigned low);
  void arrive();

  std::function<void()> work_;
  ucontext_t context_{};
  std::byte* stack_ = nullptr;
  std::array<std::byte, 16> exceptions_{};  // under way: those of the C++ runtime are a thread's
  void* shadow_ = nullptr;                  // the sanitizer's
  const void* thread_stack_ = nullptr;      // of the thread itself, for the sanitizer
  std::size_t thread_stack_bytes_ = 0;
};

}  // namespace faro::sim
