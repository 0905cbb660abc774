#include "exchange/outgoing.hpp"

#include <algorithm>
#include <cstring>

#include "format/format.hpp"

namespace faro::exchange {

std::span<const std::byte> sample_in_arena(const manifest::Manifest& manifest, const Arena& arena,
                                           const EpochPlan& plan, int node_rank,
                                           const order::Place& place) {
  const auto& block = manifest.blocks[plan.order.block(place.turn)];
  const std::byte* at = arena.at(node_rank, plan.address[place.turn]);
  format::Extent extent;
  std::memcpy(&extent, at + index_offset(block) + place.index * sizeof(extent), sizeof(extent));
  return {at + extent.offset, extent.length};
}

Outgoing::Outgoing(const manifest::Manifest& manifest, Arena& arena, comm::Communicator& comm,
                   Settings settings)
    : manifest_(manifest),
      arena_(arena),
      comm_(comm),
      settings_(std::move(settings)),
      remote_(std::any_of(settings_.node_rank.begin(), settings_.node_rank.end(),
                          [](int rank) { return rank < 0; })) {}

void Outgoing::sort_window(const order::WindowOrder& window) {
  const auto& span = window.span();
  auto& own = sorted_[span.first_turn];
  const auto& steps = plan_->steps;
  for (auto turn = span.first_turn; turn < span.first_turn + span.turns; ++turn) {
    if (plan_->order.reader(turn) != static_cast<std::uint32_t>(settings_.rank)) continue;
    const auto count = manifest_.blocks[plan_->order.block(turn)].count;
    for (std::uint64_t index = 0; index < count; ++index) {
      const auto position = window.position({turn, index});
      if (position >= steps.delivered()) continue;
      const auto step = position / steps.global_batch();
      if (elsewhere(steps.rank_of_slot(step, position % steps.global_batch()))) {
        own.push_back({position, turn, index});
      }
    }
  }
  std::sort(own.begin(), own.end(),
            [](const Own& a, const Own& b) { return a.position < b.position; });
}

void Outgoing::begin(std::uint64_t number, const Round& round,
                     const std::shared_ptr<const EpochPlan>& plan, Windows& windows) {
  if (!remote_) return;
  if (plan != plan_) sorted_.clear();
  plan_ = plan;
  number_ = number;
  const auto& steps = plan->steps;
  const auto first = round.first_step * steps.global_batch();
  const auto last = std::min(round.last_step * steps.global_batch(), steps.delivered());
  std::map<int, std::vector<order::Place>> by_peer;

  for (auto position = first; position < last;) {
    const auto& window = windows.at_position(position);
    const auto& span = window.span();
    sorted_.erase(sorted_.begin(), sorted_.lower_bound(span.first_turn));
    if (!sorted_.contains(span.first_turn)) sort_window(window);
    const auto& own = sorted_[span.first_turn];
    const auto end = std::min(last, span.first_position + span.samples);
    auto at = std::lower_bound(own.begin(), own.end(), position,
                               [](const Own& a, std::uint64_t p) { return a.position < p; });
    for (; at != own.end() && at->position < end; ++at) {
      const auto step = at->position / steps.global_batch();
      const auto to = steps.rank_of_slot(step, at->position % steps.global_batch());
      by_peer[static_cast<int>(to)].push_back({at->turn, at->index});
    }
    position = end;
  }
  // Pads repeat samples of the last step; their slots follow all others.
  const auto step = round.last_step - 1;
  for (auto slot = last - step * steps.global_batch(); slot < steps.slots(step); ++slot) {
    const auto to = steps.rank_of_slot(step, slot);
    if (!elsewhere(to)) continue;
    const auto position = steps.position(step, slot);
    const auto place = windows.at_position(position).place(position);
    if (plan->order.reader(place.turn) != static_cast<std::uint32_t>(settings_.rank)) continue;
    by_peer[static_cast<int>(to)].push_back(place);
  }
  for (auto& [to, samples] : by_peer) queue_.push_back({to, std::move(samples)});
}

bool Outgoing::pump(int tag) {
  bool moved = false;
  while (!under_way_.empty()) {
    auto& operations = under_way_.front().operations;
    std::erase_if(operations, [](const auto& operation) { return operation->done(); });
    if (!operations.empty()) break;
    bytes_under_way_ -= under_way_.front().bytes.size();
    under_way_.pop_front();
    moved = true;
  }
  while (!queue_.empty() && (under_way_.empty() || bytes_under_way_ < settings_.send_bytes)) {
    send(queue_.front(), tag);
    queue_.pop_front();
    moved = true;
  }
  return moved;
}

void Outgoing::abandon() {
  queue_.clear();
  static_cast<void>(new std::deque<Sent>(std::move(under_way_)));
  under_way_.clear();
}

void Outgoing::send(const Message& message, int tag) {
  MessageHeader header{number_, message.samples.size(),
                       sizeof(MessageHeader) + message.samples.size() * sizeof(std::uint64_t)};
  std::vector<std::span<const std::byte>> parts;
  parts.reserve(message.samples.size());
  for (const auto& place : message.samples) {
    parts.push_back(sample_in_arena(manifest_, arena_, *plan_, settings_.own_node_rank, place));
    header.bytes += parts.back().size();
  }
  auto& sent = under_way_.emplace_back();
  sent.bytes.reserve(header.bytes);
  const auto append = [&](const void* from, std::size_t bytes) {
    const auto* at = static_cast<const std::byte*>(from);
    sent.bytes.insert(sent.bytes.end(), at, at + bytes);
  };
  append(&header, sizeof(header));
  for (const auto part : parts) {
    const std::uint64_t size = part.size();
    append(&size, sizeof(size));
  }
  for (const auto part : parts) append(part.data(), part.size());
  bytes_under_way_ += sent.bytes.size();
  // A message that must be cut sends its header alone first: it tells how much room the rest needs.
  std::span<const std::byte> rest(sent.bytes);
  auto length = rest.size() <= settings_.message_limit ? rest.size() : sizeof(MessageHeader);
  while (!rest.empty()) {
    sent.operations.push_back(comm_.start_send(rest.first(length), message.to, tag));
    rest = rest.subspan(length);
    length = std::min<std::uint64_t>(settings_.message_limit, rest.size());
  }
}

}  // namespace faro::exchange
