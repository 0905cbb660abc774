#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/runtime.hpp"
#include "comm/comm.hpp"
#include "faro/loader.hpp"

namespace faro::cli {

/// Over what waits for other ranks without an end of its own: where one of them is silent, it is
/// named and the whole job is ended. The loader's rounds may find out first; where all ranks wait
/// outside of them, or after the last one, the roll is called here. Its thread answers all the
/// time.
class Watch {
 public:
  /// \param comm of its own, for its thread, which there is with MPI_THREAD_MULTIPLE alone
  /// \param seconds until the roll is called
  Watch(const Loader& loader, std::unique_ptr<comm::Communicator> comm, double seconds);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// The same as work(), watched.
  template <class Work>
  auto operator()(Work&& work) {
    const Armed armed(*this);
    return work();
  }

 private:
  struct Armed {
    explicit Armed(Watch& watch) : watch_(watch) { watch_.set(Clock::now()); }
    ~Armed() { watch_.set(std::nullopt); }
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;
    Watch& watch_;
  };
  void set(std::optional<Clock::time_point> since);
  void work();

  const Loader& loader_;
  std::unique_ptr<comm::Communicator> comm_;
  double seconds_;
  std::mutex mutex_;
  std::condition_variable ending_;
  std::optional<Clock::time_point> since_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace faro::cli
