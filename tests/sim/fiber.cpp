#include "fiber.hpp"

#include <cxxabi.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace faro::sim {
namespace {

constexpr std::size_t stack_bytes = std::size_t{1} << 20;

/// Stacks that are free: their pages are there already.
std::vector<std::byte*>& free_stacks() {
  static std::vector<std::byte*> stacks;
  return stacks;
}

std::byte* take_stack() {
  auto& stacks = free_stacks();
  if (!stacks.empty()) {
    auto* stack = stacks.back();
    stacks.pop_back();
    return stack;
  }
  void* at = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(at);
}

}  // namespace

Fiber::Fiber() {
#if defined(__SANITIZE_ADDRESS__)
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  void* bottom = nullptr;
  pthread_attr_getstack(&attributes, &bottom, &thread_stack_bytes_);
  thread_stack_ = bottom;
  pthread_attr_destroy(&attributes);
#elif defined(__SANITIZE_THREAD__)
  shadow_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(std::function<void()> work) : work_(std::move(work)), stack_(take_stack()) {
  getcontext(&context_);
  context_.uc_stack = {stack_, 0, stack_bytes};
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&context_, reinterpret_cast<void (*)()>(&Fiber::begin), 2,
              static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
#if defined(__SANITIZE_THREAD__)
  shadow_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (stack_ == nullptr) return;
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(shadow_);
#endif
  free_stacks().push_back(stack_);
}

void Fiber::begin(unsigned high, unsigned low) {
  auto* self = reinterpret_cast<Fiber*>(std::uintptr_t{high} << 32 | low);
  self->arrive();
  self->work_();
}

void Fiber::switch_to(Fiber& other, bool for_good) {
  std::memcpy(exceptions_.data(), abi::__cxa_get_globals(), exceptions_.size());
  static_cast<void>(for_good);
#if defined(__SANITIZE_ADDRESS__)
  const bool thread = other.stack_ == nullptr;
  __sanitizer_start_switch_fiber(for_good ? nullptr : &shadow_,
                                 thread ? other.thread_stack_ : other.stack_,
                                 thread ? other.thread_stack_bytes_ : stack_bytes);
#elif defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(other.shadow_, 0);
#endif
  swapcontext(&context_, &other.context_);
  arrive();
}

void Fiber::arrive() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(shadow_, nullptr, nullptr);
#endif
  std::memcpy(abi::__cxa_get_globals(), exceptions_.data(), exceptions_.size());
}

}  // namespace faro::sim
