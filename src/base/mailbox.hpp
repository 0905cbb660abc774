// A line from a thread that may not speak to one that may.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace faro {

/// Keeps the last line that was left. Thread safe.
class Mailbox {
 public:
  void leave(std::string line) {
    const std::scoped_lock lock(mutex_);
    line_ = std::move(line);
    full_ = true;
  }
  [[nodiscard]] std::optional<std::string> take() {
    if (!full_.exchange(false)) return std::nullopt;
    const std::scoped_lock lock(mutex_);
    return std::exchange(line_, std::nullopt);
  }

 private:
  std::atomic<bool> full_ = false;
  std::mutex mutex_;
  std::optional<std::string> line_;
};

}  // namespace faro
