// The sums of a step: started in order, watched to their ends, and what goes wrong told to all.
#pragma once

#include <chrono>
#include <mutex>

#include "base/runtime.hpp"
#include "sync/sync.hpp"

namespace faro::sync {

/// Driven by one thread, advance() again and again; everything else is the caller's.
///
/// A rank that cannot go on takes part in all sums of the step with zeros, and says so in their
/// notes. As a sum is the same everywhere, all ranks learn it in the same bucket; they start the
/// step's other buckets, so that nobody waits for ever, and then agree on whose error it was.
/// Where the sums themselves fail, and go apart from the communicator, the rank that finds out lets
/// go of them and sends a message to each other one, which does the same; then they agree as above.
class Steps {
 public:
  Steps(const Layout& layout, Backend& backend, comm::Communicator& comm,
        const GradientSyncOptions& options);
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;
  ~Steps();

  /// Does what can be done without waiting; whether anything was done.
  bool advance() noexcept;
  /// Whether something is under way that must be asked for.
  [[nodiscard]] bool under_way() const;

  void set_weight(std::uint64_t weight);
  [[nodiscard]] std::uint64_t weight() const;
  /// The first `buckets` ones of this step are filled.
  void fill(std::size_t buckets);
  /// This rank cannot go on. The first failure stays.
  void fail(const Error& error);
  [[nodiscard]] std::optional<Error> failure() const;
  /// This rank's GradientSync is being destroyed.
  void leave();
  /// Peers are silent: lets go of everything.
  void give_up(double seconds);

  /// Whether all sums of the step have ended well.
  [[nodiscard]] bool complete() const;
  /// Whether nothing more will happen: failed, or everyone has left.
  [[nodiscard]] bool over() const;
  /// What all ranks throw.
  [[nodiscard]] std::optional<Error> error() const;
  /// After complete().
  void next();
  [[nodiscard]] std::uint64_t number() const;

  /// Number of changes so far, for wait().
  [[nodiscard]] std::uint64_t changes() const;
  /// Of those, the ones that the other ranks had a part in.
  [[nodiscard]] std::uint64_t ended() const;
  /// Returns once there were changes since `seen`, or after `timeout`.
  void wait(std::uint64_t seen, std::chrono::microseconds timeout);
  /// Something else has changed: wakes who waits.
  void notify() {
    change([] {});
  }

  void trace(SyncEvent::What what, std::size_t index);

 private:
  struct State {
    std::uint64_t weight = 1;
    std::size_t filled = 0;
    std::size_t started = 0;
    std::size_t ended = 0;
    bool spoilt = false;  // a bucket's note told of a failure
    bool leaving = false;
    bool over = false;
    double given_up_after = 0;
    std::optional<Error> failure;  // this rank's own
    std::optional<Error> error;    // all ranks'
  };

  bool advance_sums(const State& now);
  bool advance_verdict(const State& now);
  void start_verdict(const State& now);
  /// Whether another rank has told that the sums have failed.
  bool told();
  /// The sums have failed: this rank's error, or nothing where another one has told.
  void break_off(const std::optional<Error>& mine) noexcept;
  void finish(const std::optional<Error>& error);
  void abandon(const Error& error) noexcept;
  [[nodiscard]] State state() const;
  template <class Change>
  void change(Change&& apply) {
    {
      const std::scoped_lock lock(mutex_);
      apply();
      ++changes_;
    }
    changed_.notify_all();
  }

  const Layout& layout_;
  Backend& backend_;
  comm::Communicator& comm_;
  const GradientSyncOptions& options_;
  const Clock::time_point made_ = Clock::now();

  // Of the thread that drives: what the ranks tell each other once a step has failed.
  enum class Verdict { none, whose, what };
  Verdict verdict_ = Verdict::none;
  std::unique_ptr<std::vector<std::uint64_t>> words_;
  std::unique_ptr<comm::Operation> operation_;
  std::vector<std::unique_ptr<comm::Operation>> tellings_;

  mutable std::mutex mutex_;  // guards what follows
  Condition changed_{"GradientSync's step"};
  std::uint64_t changes_ = 0;
  std::uint64_t all_ended_ = 0;
  std::uint64_t number_ = 0;
  State state_;
  std::mutex trace_mutex_;
};

}  // namespace faro::sync
