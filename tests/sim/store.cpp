#include "store.hpp"

#include <array>
#include <cstring>

#include "base/crc32c.hpp"

namespace faro::sim {
namespace {

using store::Attempt;
using store::Cause;
using store::Result;

/// poll() and wake(), over what is due at some time.
class Sleeper {
 public:
  void wake() {
    {
      const std::scoped_lock lock(mutex_);
      woken_ = true;
    }
    changed_.notify_all();
  }
  void sleep(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [this] { return woken_; });
    woken_ = false;
  }

 private:
  std::mutex mutex_;
  Condition changed_{"the store"};
  bool woken_ = false;
};

constexpr std::array retried = {Cause::connection,   Cause::timeout,   Cause::throttled,
                                Cause::server_error, Cause::truncated, Cause::bad_answer,
                                Cause::expired};
constexpr std::array retried_names = {
    "store: connection", "store: timeout",    "store: throttled", "store: server error",
    "store: truncated",  "store: bad answer", "store: expired"};

}  // namespace

/// No file is ever read.
class Store::Idle final : public store::Transport {
 public:
  void start(const Attempt&) override { fail("a file was asked for"); }
  void poll(std::vector<Result>&, std::chrono::milliseconds timeout) override {
    sleeper_.sleep(Clock::now() + timeout);
  }
  void wake() override { sleeper_.wake(); }

 private:
  Sleeper sleeper_;
};

class Store::Remote final : public store::RemoteTransport {
 public:
  explicit Remote(Store& store, const store::Options& options)
      : store_(store), stall_timeout_(options.stall_timeout) {}

  void start(const Attempt& attempt) override {
    auto& random = store_.scheduler_.random();
    auto& faults = store_.faults_;
    const auto& range = attempt.request.range;
    auto& own = under_way_.emplace_back();
    own.attempt = &attempt;
    own.begun = Clock::now();
    double time =
        faults.latency * random.real(0.5, 2) + static_cast<double>(range.length) / faults.bandwidth;
    if (random.chance(faults.slow)) {
      time *= random.real(20, 200);
      ++store_.counts_["store: slow"];
    }
    own.wrong = faults.most_wrong > 0 && random.chance(faults.wrong);
    if (own.wrong) --faults.most_wrong;
    if (random.chance(faults.fail)) fail_somehow(own, random.below(retried.size()), time);
    const double at = store_.scheduler_.elapsed();
    if (at >= faults.outage_from && at < faults.outage_until) {
      ++store_.counts_[faults.outage_until < 1e8 ? "store: outage" : "store: outage for good"];
      fail_somehow(own, random.below(4), time);  // those that are signs of one
    }
    const auto& shards = store_.data_.manifest.shards;
    if (faults.refusal && at >= faults.refusal_from &&
        attempt.request.uri == shards[faults.refused].uri) {
      own.failure = store::Failure{*faults.refusal, "as the seed has it"};
      ++store_.counts_["store: refused"];
    }
    own.due = own.begun + seconds(time);
    // What comes later must not be taken for what has come.
    std::memset(attempt.request.into, 0xee, range.length);
  }

  void poll(std::vector<Result>& done, std::chrono::milliseconds timeout) override {
    const auto until = Clock::now() + timeout;
    for (;;) {
      const auto now = Clock::now();
      auto next = until;
      const auto before = done.size();
      for (auto at = under_way_.begin(); at != under_way_.end();) {
        if (at->due <= now) {
          done.push_back(end(*at));
          at = under_way_.erase(at);
        } else {
          next = std::min(next, at->due);
          ++at;
        }
      }
      if (done.size() > before || now >= until) {
        store_.scheduler_.yield();
        return;
      }
      sleeper_.sleep(next);
      slept_ += Clock::now() - now;
      if (Clock::now() < next) return;  // woken
    }
  }

  void wake() override { sleeper_.wake(); }

  std::uint64_t cancel(const Attempt& attempt) override {
    const auto found = std::find_if(under_way_.begin(), under_way_.end(),
                                    [&](const auto& own) { return own.attempt == &attempt; });
    if (found == under_way_.end()) return 0;
    // A part of it had come.
    const auto part = store_.scheduler_.random().below(attempt.request.range.length + 1);
    const auto came = found->failure ? 0 : part;
    deliver(*found, came);
    under_way_.erase(found);
    ++store_.counts_["store: cancelled"];
    return came;
  }

  /// The first byte comes half-way.
  bool answers(const Attempt& attempt) const override {
    const auto found = std::find_if(under_way_.begin(), under_way_.end(),
                                    [&](const auto& own) { return own.attempt == &attempt; });
    return found != under_way_.end() && !found->failure &&
           Clock::now() - found->begun >= (found->due - found->begun) / 2;
  }

  Clock::duration slept() const noexcept override { return slept_; }

 private:
  struct Own {
    const Attempt* attempt = nullptr;
    Clock::time_point begun;
    Clock::time_point due;
    bool wrong = false;
    std::optional<store::Failure> failure;
  };

  void fail_somehow(Own& own, std::uint64_t kind, double& time) {
    own.failure = store::Failure{retried[kind], "as the seed has it"};
    if (retried[kind] == Cause::timeout) time = stall_timeout_;
    if (retried[kind] == Cause::throttled && store_.scheduler_.random().chance(0.2)) {
      own.failure->retry_after = 0.5;
    }
    ++store_.counts_[retried_names[kind]];
  }

  /// The first `length` bytes of the answer, as they come.
  void deliver(const Own& own, std::uint64_t length) {
    const auto& request = own.attempt->request;
    const auto& object = store_.objects_.at(request.uri);
    std::memcpy(request.into, object.data() + request.range.offset, length);
    auto& reads = store_.reads_[request.uri];
    reads.resize(object.size());
    const int times = store_.broken_ == Broken::reread && request.range.offset > 0 ? 2 : 1;
    for (std::uint64_t i = 0; i < length; ++i) {
      reads[request.range.offset + i] += static_cast<std::uint32_t>(times);
    }
    if (own.wrong && length > 0) {
      request.into[store_.scheduler_.random().below(length)] ^= std::byte{0x10};
      ++store_.counts_["store: wrong bytes"];
    }
  }

  Result end(Own& own) {
    const auto& request = own.attempt->request;
    const auto& shards = store_.data_.manifest.shards;
    Result result;
    result.attempt = own.attempt;
    result.seconds = std::chrono::duration<double>(Clock::now() - own.begun).count();
    result.first_byte = result.seconds / 2;
    for (const auto& shard : shards) {
      if (shard.uri == request.uri) result.info = {shard.size, shard.etag};
    }
    auto length = request.range.length;
    if (own.failure) {
      result.failure = own.failure;
      length =
          own.failure->cause == Cause::truncated ? store_.scheduler_.random().below(length) : 0;
      result.kept = length;
    }
    deliver(own, length);
    result.received = length;
    result.crc32c = crc32c({request.into, length});
    if (!own.failure && store_.broken_ == Broken::byte) {
      if (last_ != nullptr) *last_ ^= std::byte{1};
      last_ = request.into;
    }
    return result;
  }

  Store& store_;
  double stall_timeout_;
  std::vector<Own> under_way_;
  Sleeper sleeper_;
  Clock::duration slept_{};
  std::byte* last_ = nullptr;  // of what was delivered before
};

Store::Store(const Data& data, const StoreFaults& faults, Broken broken, Scheduler& scheduler,
             Counts& counts)
    : data_(data),
      faults_(faults),
      broken_(broken),
      scheduler_(scheduler),
      counts_(counts),
      objects_(data.objects) {
  if (!faults.rotten) return;
  // Within a sample: a shard's other bytes may be in no block.
  for (const auto& block : data.manifest.blocks) {
    if (block.shard != faults.refused) continue;
    objects_.at(data.manifest.shards[block.shard].uri)[block.offset + block.length / 2] ^= 1;
    ++counts_["store: rotten"];
    break;
  }
}

std::unique_ptr<store::RemoteTransport> Store::remote(const store::Options& options) {
  return std::make_unique<Remote>(*this, options);
}

std::unique_ptr<store::Transport> Store::file(const store::Options&, std::function<void()>) {
  return std::make_unique<Idle>();
}

}  // namespace faro::sim
