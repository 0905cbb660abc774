#include "comm/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "comm/threads_group.hpp"

namespace faro::comm {
namespace {

using threads::Bytes;
using threads::Gathering;
using threads::Group;
using threads::Message;
using threads::Part;

void combine(std::span<std::uint64_t> into, const Bytes& bytes, Op op) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
    switch (op) {
      case Op::sum: into[i] += value; break;
      case Op::min: into[i] = std::min(into[i], value); break;
      case Op::max: into[i] = std::max(into[i], value); break;
    }
  }
}

/// An operation that ends when `try_end` says so, under the group's lock.
template <class TryEnd>
class ThreadsOperation final : public Operation {
 public:
  ThreadsOperation(std::shared_ptr<Group> group, int rank, const char* name, TryEnd try_end)
      : group_(std::move(group)), rank_(rank), name_(name), try_end_(std::move(try_end)) {}
  ThreadsOperation(const ThreadsOperation&) = delete;
  ThreadsOperation& operator=(const ThreadsOperation&) = delete;
  ~ThreadsOperation() override {
    while (!look()) yield();
  }
  bool done() override {
    if (done_) return true;
    if (auto* network = group_->options->network.get()) network->call(group_->job(rank_), name_);
    if (!look()) yield();
    return done_;
  }

 private:
  bool look() {
    const std::scoped_lock lock(group_->mutex);
    if (!done_) done_ = try_end_();
    return done_;
  }

  std::shared_ptr<Group> group_;
  int rank_;
  const char* name_;
  TryEnd try_end_;
  bool done_ = false;
};

template <class TryEnd>
std::unique_ptr<Operation> operation(std::shared_ptr<Group> group, int rank, const char* name,
                                     TryEnd try_end) {
  return std::make_unique<ThreadsOperation<TryEnd>>(std::move(group), rank, name,
                                                    std::move(try_end));
}

/// Segments on the heap, which live as long as any rank has them.
struct Segments {
  explicit Segments(const Gathering& all) {
    for (const auto& given : all.given) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, given->data(), sizeof(bytes));
      auto* at = static_cast<std::byte*>(std::aligned_alloc(page, align_up(bytes + 1, page)));
      check(at != nullptr, ErrorCode::memory, "no memory for a segment of {} bytes", bytes);
      std::memset(at, 0, bytes);
      spans.emplace_back(at, bytes);
    }
  }
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;
  ~Segments() {
    for (const auto span : spans) std::free(span.data());
  }
  static constexpr std::uint64_t page = 4096;
  std::vector<std::span<std::byte>> spans;
  std::atomic<std::uint64_t> order = 0;
};

class ThreadsShared final : public SharedMemory {
 public:
  explicit ThreadsShared(std::shared_ptr<Segments> segments) : segments_(std::move(segments)) {}
  std::span<std::byte> segment(int rank) override {
    return segments_->spans.at(static_cast<std::size_t>(rank));
  }
  void sync() override { segments_->order.fetch_add(1); }  // a fence that TSan knows

 private:
  std::shared_ptr<Segments> segments_;
};

class ThreadsCommunicator final : public Communicator {
 public:
  ThreadsCommunicator(std::shared_ptr<Group> group, int rank)
      : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_->ranks.size()); }
  bool concurrent() const override { return group_->options->concurrent; }

  std::unique_ptr<Communicator> duplicate() override {
    return with(collect("duplicate", {}, -1, [this](const Gathering&) {
      return std::make_shared<Group>(group_->options, group_->ranks);
    }));
  }

  std::unique_ptr<Communicator> split_by_node(int limit) override {
    // All ranks know all nodes: who shares a group follows, and the first to come makes it.
    using Groups = std::map<std::pair<int, int>, std::shared_ptr<Group>>;  // node, group of it
    const auto place = [&](int rank) {
      const auto& node = group_->options->node;
      const auto of = [&](int r) { return node[static_cast<std::size_t>(group_->job(r))]; };
      int before = 0;
      for (int r = 0; r < rank; ++r) before += of(r) == of(rank) ? 1 : 0;
      return std::pair{of(rank), limit > 0 ? before / limit : 0};
    };
    const auto made = collect("split_by_node", {}, -1, [&](const Gathering&) {
      std::map<std::pair<int, int>, std::vector<int>> members;
      for (int r = 0; r < size(); ++r) members[place(r)].push_back(group_->job(r));
      auto groups = std::make_shared<Groups>();
      for (auto& [key, ranks] : members) {
        (*groups)[key] = std::make_shared<Group>(group_->options, ranks);
      }
      return groups;
    });
    return with(static_cast<Groups*>(made.get())->at(place(rank_)));
  }

  void barrier() override { collect("barrier", {}, -1); }

  void broadcast(std::span<std::byte> bytes, int root) override {
    call("broadcast");
    std::unique_lock lock(group_->mutex);
    Part part(*group_, rank_, "broadcast",
              rank_ == root ? Bytes(bytes.begin(), bytes.end()) : Bytes());
    part.await(lock, root);
    const auto& given = *part.all().given[static_cast<std::size_t>(root)];
    check(given.size() == bytes.size(), ErrorCode::internal, "{} bytes are broadcast, {} expected",
          given.size(), bytes.size());
    std::copy(given.begin(), given.end(), bytes.begin());
    part.leave();
  }

  void all_reduce(std::span<std::uint64_t> values, Op op) override {
    call("all_reduce");
    std::unique_lock lock(group_->mutex);
    Part part(*group_, rank_, "all_reduce", copy(values));
    part.await(lock);
    reduce(part, values, op);
    part.leave();
  }

  std::vector<std::byte> all_gather(std::span<const std::byte> mine) override {
    std::vector<std::byte> out;
    const auto all = gather_all("all_gather", mine, -1);
    for (const auto& given : all) out.insert(out.end(), given.begin(), given.end());
    return out;
  }

  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine, int root) override {
    return gather_all("gather", mine, root);
  }

  std::unique_ptr<Operation> start_all_reduce(std::span<std::uint64_t> values, Op op) override {
    call("start_all_reduce");
    const std::scoped_lock lock(group_->mutex);
    return operation(group_, rank_, "an all-reduce that was started",
                     [this_group = group_, values, op,
                      part = Part(*group_, rank_, "start_all_reduce", copy(values))]() mutable {
                       const auto due = part.due(-1);
                       if (!due || Clock::now() < *due) return false;
                       reduce(part, values, op);
                       part.leave();
                       return true;
                     });
  }

  std::unique_ptr<Operation> start_sum(std::span<const float> mine,
                                       std::span<float> sums) override {
    call("start_sum");
    const std::scoped_lock lock(group_->mutex);
    const auto bytes = std::as_bytes(mine);
    return operation(group_, rank_, "a sum that was started",
                     [sums, part = Part(*group_, rank_, "start_sum",
                                        Bytes(bytes.begin(), bytes.end()))]() mutable {
                       const auto due = part.due(-1);
                       if (!due || Clock::now() < *due) return false;
                       std::fill(sums.begin(), sums.end(), 0.0F);
                       for (const auto& theirs : part.all().given) {
                         check(theirs->size() == sums.size_bytes(), ErrorCode::internal,
                               "ranks sum {} and {} bytes", theirs->size(), sums.size_bytes());
                         for (std::size_t i = 0; i < sums.size(); ++i) {
                           float value = 0;
                           std::memcpy(&value, theirs->data() + i * sizeof(value), sizeof(value));
                           sums[i] += value;
                         }
                       }
                       part.leave();
                       return true;
                     });
  }

  std::unique_ptr<Operation> start_send(std::span<const std::byte> bytes, int to,
                                        int tag) override {
    call("start_send");
    check(to >= 0 && to < size(), ErrorCode::mpi, "start_send failed: no rank {} of {}", to,
          size());
    check(bytes.size() <= max_message, ErrorCode::internal, "a message of {} bytes", bytes.size());
    const std::scoped_lock lock(group_->mutex);
    auto message = std::make_shared<Message>(Message{rank_, tag, bytes, {}, {}, false});
    message->arrives = Clock::now() + group_->delay(rank_, to);
    auto* network = group_->options->network.get();
    const bool eager = network == nullptr || network->eager(bytes.size());
    if (eager) {
      message->copy.assign(bytes.begin(), bytes.end());
      message->bytes = message->copy;
    }
    group_->inbox[static_cast<std::size_t>(to)].push_back(message);
    return operation(group_, rank_, "a send", [message, eager] { return eager || message->taken; });
  }

  std::optional<Incoming> probe(int tag) override {
    call("probe");
    {
      const std::scoped_lock lock(group_->mutex);
      auto& inbox = group_->inbox[static_cast<std::size_t>(rank_)];
      // Of each sender, messages with one tag come in the order in which they were sent.
      std::vector<bool> blocked(group_->ranks.size(), false);
      auto first = inbox.end();
      for (auto at = inbox.begin(); at != inbox.end(); ++at) {
        const auto& message = **at;
        const auto source = static_cast<std::size_t>(message.source);
        if (message.tag != tag || blocked[source]) continue;
        blocked[source] = true;
        if (message.arrives > Clock::now()) continue;
        if (first == inbox.end() || message.arrives < (*first)->arrives) first = at;
      }
      if (first != inbox.end()) {
        const auto message = *first;
        inbox.erase(first);
        return Incoming{message->source, message->bytes.size(), message};
      }
    }
    yield();
    return std::nullopt;
  }

  std::unique_ptr<Operation> start_receive(const Incoming& incoming,
                                           std::span<std::byte> into) override {
    call("start_receive");
    check(into.size() >= incoming.bytes, ErrorCode::internal, "a message of {} bytes for {}",
          incoming.bytes, into.size());
    const std::scoped_lock lock(group_->mutex);
    auto message = std::static_pointer_cast<Message>(incoming.message);
    // What the sender kept comes now.
    const auto due = message->copy.size() == message->bytes.size()
                         ? Clock::now()
                         : Clock::now() + group_->delay(message->source, rank_);
    return operation(group_, rank_, "a receive",
                     [group = group_, rank = rank_, message, into, due] {
                       if (Clock::now() < due) return false;
                       std::copy(message->bytes.begin(), message->bytes.end(), into.begin());
                       message->taken = true;
                       if (auto* network = group->options->network.get()) {
                         network->arrived(group->job(message->source), group->job(rank),
                                          into.first(message->bytes.size()));
                       }
                       return true;
                     });
  }

  std::unique_ptr<SharedMemory> share(std::uint64_t bytes) override {
    const auto made = collect("share", copy(std::span(&bytes, 1)), -1,
                              [](const Gathering& all) { return std::make_shared<Segments>(all); });
    return std::make_unique<ThreadsShared>(std::static_pointer_cast<Segments>(made));
  }

 private:
  void call(const char* name) const {
    if (auto* network = group_->options->network.get()) network->call(group_->job(rank_), name);
  }
  static Bytes copy(std::span<const std::uint64_t> values) {
    const auto bytes = std::as_bytes(values);
    return {bytes.begin(), bytes.end()};
  }
  static void reduce(const Part& part, std::span<std::uint64_t> values, Op op) {
    const auto& given = part.all().given;
    for (const auto& theirs : given) {
      check(theirs->size() == values.size_bytes(), ErrorCode::internal,
            "ranks reduce {} and {} bytes", theirs->size(), values.size_bytes());
    }
    std::memcpy(values.data(), given[0]->data(), values.size_bytes());
    for (std::size_t r = 1; r < given.size(); ++r) combine(values, *given[r], op);
  }
  std::shared_ptr<void> collect(const char* name, Bytes mine, int root,
                                const Part::Make& make = {}) {
    call(name);
    std::unique_lock lock(group_->mutex);
    Part part(*group_, rank_, name, std::move(mine), make);
    part.await(lock, root);
    auto made = part.all().made;
    part.leave();
    return made;
  }
  /// \param root -1: all get all
  std::vector<Bytes> gather_all(const char* name, std::span<const std::byte> mine, int root) {
    call(name);
    std::unique_lock lock(group_->mutex);
    Part part(*group_, rank_, name, Bytes(mine.begin(), mine.end()));
    std::vector<Bytes> all;
    if (root < 0 || root == rank_) {
      part.await(lock);
      for (const auto& given : part.all().given) all.push_back(*given);
    }
    part.leave();
    return all;
  }
  std::unique_ptr<Communicator> with(const std::shared_ptr<void>& made) const {
    auto group = std::static_pointer_cast<Group>(made);
    const auto at = std::find(group->ranks.begin(), group->ranks.end(), group_->job(rank_));
    return std::make_unique<ThreadsCommunicator>(group,
                                                 static_cast<int>(at - group->ranks.begin()));
  }

  std::shared_ptr<Group> group_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_threads(ThreadsOptions options) {
  std::vector<int> ranks(options.node.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) ranks[r] = static_cast<int>(r);
  const auto shared = std::make_shared<const ThreadsOptions>(std::move(options));
  const auto group = std::make_shared<Group>(shared, ranks);
  std::vector<std::unique_ptr<Communicator>> out;
  for (const int rank : ranks) out.push_back(std::make_unique<ThreadsCommunicator>(group, rank));
  return out;
}

}  // namespace faro::comm
