#include "exchange/roll_call.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace faro::exchange {
namespace {

constexpr int tag = 2000;  // beyond those of rounds

template <class Ranks>
std::string list(std::uint64_t count, const Ranks& ranks) {
  std::string text = count == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < std::min<std::size_t>(count, ranks.size()); ++i) {
    text += fmt::format("{} {}", i > 0 ? "," : "", ranks[i]);
  }
  if (count > ranks.size()) text += fmt::format(" and {} more", count - ranks.size());
  return text;
}

}  // namespace

void RollCall::send(int to, const Message& message) {
  auto& sent = sent_.emplace_back(Sent{message, nullptr});
  sent.operation = comm_.start_send(std::as_bytes(std::span(&sent.message, 1)), to, tag);
}

RollCall::~RollCall() {
  if (!sent_.empty()) static_cast<void>(new std::deque<Sent>(std::move(sent_)));
}

void RollCall::ask(double seconds) {
  if (asked_) return;
  asked_ = Clock::now();
  looked_ = {};
  seconds_ = static_cast<std::uint64_t>(seconds);
  if (comm_.rank() != 0) send(0, {Kind::ask, seconds_});
}

std::optional<Error> RollCall::poll(bool consumer_pauses) {
  using std::chrono_literals::operator""ms;
  if (Clock::now() - looked_ < 100ms) return std::nullopt;
  looked_ = Clock::now();
  while (!sent_.empty() && sent_.front().operation->done()) sent_.pop_front();
  while (const auto incoming = comm_.probe(tag)) {
    Message message;
    const auto operation =
        comm_.start_receive(*incoming, std::as_writable_bytes(std::span(&message, 1)));
    while (!operation->done()) yield();  // it has come: it is small
    if (auto error = handle(incoming->source, message, consumer_pauses)) return error;
  }
  if (comm_.rank() == 0) {
    if (asked_ && !called_) call(seconds_, consumer_pauses);
    if (!called_ || seconds_since(*called_) < grace_) return std::nullopt;
    const auto end = result();
    for (int rank = 1; rank < comm_.size(); ++rank) {
      if (heard_[static_cast<std::size_t>(rank)] != Kind::ask) send(rank, end);
    }
    return error_of(end);
  }
  if (!asked_ || seconds_since(*asked_) < 2 * grace_) return std::nullopt;
  Message alone{Kind::result, seconds_};
  alone.silent = 1;  // rank 0, of which the others' news would have come
  return error_of(alone);
}

std::optional<Error> RollCall::handle(int from, const Message& message, bool consumer_pauses) {
  switch (message.kind) {
    case Kind::ask:
      if (!called_) call(message.seconds, consumer_pauses);
      break;
    case Kind::call: send(0, {consumer_pauses ? Kind::pausing : Kind::here}); break;
    case Kind::here:
    case Kind::pausing:
      if (called_) heard_[static_cast<std::size_t>(from)] = message.kind;
      break;
    case Kind::result: return error_of(message);
  }
  return std::nullopt;
}

void RollCall::call(std::uint64_t seconds, bool consumer_pauses) {
  seconds_ = seconds;
  called_ = Clock::now();
  heard_.assign(static_cast<std::size_t>(comm_.size()), Kind::ask);
  heard_[0] = consumer_pauses ? Kind::pausing : Kind::here;
  for (int rank = 1; rank < comm_.size(); ++rank) send(rank, {Kind::call});
}

RollCall::Message RollCall::result() const {
  Message end{Kind::result, seconds_};
  for (std::size_t rank = 0; rank < heard_.size(); ++rank) {
    if (heard_[rank] == Kind::ask) {
      if (end.silent < names) end.silent_ranks[end.silent] = rank;
      ++end.silent;
    } else if (heard_[rank] == Kind::pausing) {
      if (end.pausing < names) end.pausing_ranks[end.pausing] = rank;
      ++end.pausing;
    }
  }
  return end;
}

Error RollCall::error_of(const Message& result) {
  std::string why;
  if (result.silent > 0) {
    why = fmt::format("{} {} not answer: stopped, or out of reach",
                      list(result.silent, result.silent_ranks), result.silent == 1 ? "does" : "do");
  }
  if (result.pausing > 0) {
    why += fmt::format("{}the consumer of {} takes no batch", why.empty() ? "" : "; ",
                       list(result.pausing, result.pausing_ranks));
  }
  if (why.empty()) why = "all ranks answer, but what they wait for does not come";
  const auto first = result.silent > 0    ? static_cast<int>(result.silent_ranks[0])
                     : result.pausing > 0 ? static_cast<int>(result.pausing_ranks[0])
                                          : -1;
  return {ErrorCode::peer,
          fmt::format("no progress for {} s (peer_timeout): {}", result.seconds, why), first};
}

}  // namespace faro::exchange
