#include "exchange/send_ring.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace faro::exchange {

std::span<std::byte> SendRing::take(std::uint64_t bytes) {
  const auto all = memory_.bytes();
  check(bytes <= all.size(), ErrorCode::internal, "{} bytes in a send buffer of {}", bytes,
        all.size());
  if (under_way_.empty()) head_ = tail_ = 0;
  auto begin = tail_;
  if (begin % all.size() + bytes > all.size()) begin += all.size() - begin % all.size();
  if (begin + bytes - head_ > all.size()) return {};
  tail_ = begin + bytes;
  return all.subspan(begin % all.size(), bytes);
}

void SendRing::sent(std::unique_ptr<comm::Operation> operation) {
  under_way_.push_back({std::move(operation), tail_});
}

bool SendRing::collect() {
  const auto before = under_way_.size();
  while (!under_way_.empty() && under_way_.front().operation->done()) {
    head_ = under_way_.front().end;
    under_way_.pop_front();
  }
  return under_way_.size() < before;
}

void SendRing::abandon() {
  if (under_way_.empty()) return;
  memory_.abandon();
  for (auto& sent : under_way_) static_cast<void>(sent.operation.release());
  under_way_.clear();
}

void SendRing::prepare(std::uint64_t bytes) {
  const auto all = memory_.bytes();
  populate(all.first(std::min<std::uint64_t>(bytes, all.size())), false, "send buffers");
}

}  // namespace faro::exchange
