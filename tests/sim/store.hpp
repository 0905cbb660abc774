// A store in memory, whose answers are late, wrong or missing as a seed has it.
#pragma once

#include <memory>

#include "dataset.hpp"
#include "faults.hpp"
#include "scheduler.hpp"

namespace faro::sim {

class Store final : public store::Transports {
 public:
  Store(const Data& data, const StoreFaults& faults, Broken broken, Scheduler& scheduler,
        Counts& counts);

  std::unique_ptr<store::RemoteTransport> remote(const store::Options& options) override;
  std::unique_ptr<store::Transport> file(const store::Options& options,
                                         std::function<void()> notify) override;

  /// How often each byte of an object was delivered, rightly or not.
  [[nodiscard]] const std::map<std::string, std::vector<std::uint32_t>>& reads() const {
    return reads_;
  }

 private:
  class Remote;
  class Idle;

  const Data& data_;
  StoreFaults faults_;
  Broken broken_;
  Scheduler& scheduler_;
  Counts& counts_;
  std::map<std::string, std::string> objects_;  // as they are served
  std::map<std::string, std::vector<std::uint32_t>> reads_;
};

}  // namespace faro::sim
