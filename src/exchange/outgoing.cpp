#include "exchange/outgoing.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "format/format.hpp"

namespace faro::exchange {

namespace {

const std::byte* extent_at(const std::byte* begin, const manifest::Block& block,
                           std::uint64_t index) {
  return begin + index_offset(block) + index * sizeof(format::Extent);
}

}  // namespace

StoredSample sample_of_block(const std::byte* begin, const manifest::Block& block,
                             std::uint64_t index) {
  format::Extent extent;
  std::memcpy(&extent, extent_at(begin, block, index), sizeof(extent));
  return {{begin + extent.offset, extent.length}, extent.outline};
}

void prefetch_sample(const std::byte* begin, const manifest::Block& block, std::uint64_t index) {
  __builtin_prefetch(extent_at(begin, block, index));
}

StoredSample sample_in_arena(const manifest::Manifest& manifest, const Arena& arena,
                             const EpochPlan& plan, int node_rank, const order::Place& place) {
  return sample_of_block(arena.at(node_rank, plan.address[place.turn]),
                         manifest.blocks[plan.order.block(place.turn)], place.index);
}

Outgoing::Outgoing(const manifest::Manifest& manifest, Arena& arena, comm::Communicator& comm,
                   const Route& route, std::uint64_t ring_bytes, std::uint64_t piece_bytes,
                   Hide hide)
    : manifest_(manifest),
      arena_(arena),
      comm_(comm),
      route_(route),
      piece_bytes_(std::min(piece_bytes, std::max(ring_bytes / 2, std::uint64_t{64}))),
      hide_(std::move(hide)),
      ring_(route.remote() ? ring_bytes : 0) {}

/// Whether this rank sends the samples of its group for that rank.
bool Outgoing::is_mine(std::uint32_t to) const {
  return route_.elsewhere(to) &&
         route_.sender(route_.own_group(), route_.group(to), route_.part(to)) == route_.rank();
}

void Outgoing::sort_window(const order::WindowOrder& window) {
  const auto& span = window.span();
  auto& known = sorted_[span.first_turn];
  const auto& steps = plan_->steps;
  for (auto turn = span.first_turn; turn < span.first_turn + span.turns; ++turn) {
    if (route_.group(plan_->order.reader(turn)) != route_.own_group()) continue;
    const auto count = manifest_.blocks[plan_->order.block(turn)].count;
    for (std::uint64_t index = 0; index < count; ++index) {
      const auto position = window.position({turn, index});
      if (position >= steps.delivered()) continue;
      const auto step = position / steps.global_batch();
      if (is_mine(steps.rank_of_slot(step, position % steps.global_batch()))) {
        known.push_back({position, {turn, index}});
      }
    }
  }
  std::sort(known.begin(), known.end(),
            [](const Known& a, const Known& b) { return a.position < b.position; });
}

void Outgoing::begin(std::uint64_t number, const Round& round,
                     const std::shared_ptr<const EpochPlan>& plan, Windows& windows) {
  if (!route_.remote()) return;
  if (plan != plan_) sorted_.clear();
  plan_ = plan;
  number_ = number;
  const auto& steps = plan->steps;
  const auto first = round.first_step * steps.global_batch();
  const auto last = std::min(round.last_step * steps.global_batch(), steps.delivered());
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<Parcel>> lanes;
  const auto add = [&](std::uint32_t to, const order::Place& place) {
    lanes[{route_.group(to), route_.part(to)}].push_back({to, place});
  };

  for (auto position = first; position < last;) {
    const auto& window = windows.at_position(position);
    const auto& span = window.span();
    sorted_.erase(sorted_.begin(), sorted_.lower_bound(span.first_turn));
    if (!sorted_.contains(span.first_turn)) sort_window(window);
    const auto& known = sorted_[span.first_turn];
    const auto end = std::min(last, span.first_position + span.samples);
    auto at = std::lower_bound(known.begin(), known.end(), position,
                               [](const Known& a, std::uint64_t p) { return a.position < p; });
    for (; at != known.end() && at->position < end; ++at) {
      const auto step = at->position / steps.global_batch();
      add(steps.rank_of_slot(step, at->position % steps.global_batch()), at->place);
    }
    position = end;
  }
  // Pads repeat samples of the last step; a rank's follow its other slots.
  const auto step = round.last_step - 1;
  for (auto slot = last - step * steps.global_batch(); slot < steps.slots(step); ++slot) {
    const auto to = steps.rank_of_slot(step, slot);
    if (!is_mine(to)) continue;
    const auto position = steps.position(step, slot);
    const auto place = windows.at_position(position).place(position);
    if (route_.group(plan->order.reader(place.turn)) == route_.own_group()) add(to, place);
  }
  for (auto& [lane, parcels] : lanes) {
    const auto [group, part] = lane;
    std::stable_sort(parcels.begin(), parcels.end(),
                     [](const Parcel& a, const Parcel& b) { return a.to < b.to; });
    auto& message = queue_.emplace_back();
    message.receiver = static_cast<int>(route_.receiver(route_.own_group(), group, part));
    message.group = group;
    message.part = part;
    message.parcels = std::move(parcels);
  }
  // Every group begins with the one after it, so that they do not all send to the same.
  std::rotate(queue_.begin(),
              std::find_if(queue_.begin(), queue_.end(),
                           [&](const auto& m) { return m.group > route_.own_group(); }),
              queue_.end());
}

bool Outgoing::pump(int tag) {
  bool moved = ring_.collect();
  // A piece's worth at a time: what comes in must be seen to as well.
  for (std::uint64_t packed = 0; !queue_.empty() && packed < piece_bytes_;) {
    auto& message = queue_.front();
    if (message.pieces.empty()) start(message);
    const auto left = message.left;
    if (!send_some(message, tag)) break;
    packed += left - message.left;
    moved = true;
    // In turn, so that every link is in use.
    if (message.left > 0) queue_.push_back(std::move(message));
    queue_.pop_front();
  }
  return moved;
}

void Outgoing::abandon() {
  queue_.clear();
  ring_.abandon();
}

void Outgoing::start(Message& message) {
  const auto receivers = route_.receivers(message.group, message.part);
  auto& header = message.header;
  header = {number_, receivers.size(), message.parcels.size(), 0, 0};
  constexpr auto words = sizeof(header) / sizeof(std::uint64_t);
  auto& head = message.head;
  head.resize(words + 2 * receivers.size());
  message.pieces.emplace_back();  // the head
  std::vector<Hidden> hidden;
  std::size_t section = 0;
  for (const auto& [to, place] : message.parcels) {
    const auto reader = plan_->order.reader(place.turn);
    const auto sample = sample_in_arena(manifest_, arena_, *plan_, route_.node_rank(reader), place);
    while (receivers[section] != to) ++section;
    head[words + 2 * section] += 1;
    head[words + 2 * section + 1] += sample.bytes.size();
    head.push_back(sample.bytes.size());
    header.bytes += sample.bytes.size();
    if (hide_ || !sample.bytes.empty()) message.pieces.push_back(sample.bytes);
    if (!hide_) continue;
    const auto& block = manifest_.blocks[plan_->order.block(place.turn)];
    hidden.push_back(
        hide_(sample, block.first_sample + place.index, block.offset == 0 && place.index == 0));
  }
  if (hide_) set_apart(message, hidden);
  header.bytes += head.size() * sizeof(std::uint64_t);
  std::memcpy(head.data(), &header, sizeof(header));
  message.pieces[0] = std::as_bytes(std::span(head));
  message.left = header.bytes;
  message.parcels = {};
  messages_ += 1;
  bytes_ += header.bytes;
  largest_ = std::max(largest_.load(), header.bytes);
}

/// Has what is not hidden go before the samples' bytes, which are for the device.
void Outgoing::set_apart(Message& message, std::span<const Hidden> hidden) {
  auto& header = message.header;
  header.apart = header.bytes;
  const auto given = std::move(message.pieces);
  const auto samples = std::span(given).subspan(1);
  message.pieces.assign(1, {});  // the head
  const auto add = [&](std::span<const std::byte> piece) {
    if (!piece.empty()) message.pieces.push_back(piece);
  };
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const auto [begin, length] = hidden[i];
    message.head.insert(message.head.end(), {begin, length});
    header.bytes += samples[i].size() - length;
    add(samples[i].first(begin));
    add(samples[i].subspan(begin + length));
  }
  static constexpr std::array<std::byte, apart_alignment> zeros{};
  const auto host = header.bytes - header.apart + message.head.size() * sizeof(std::uint64_t);
  const auto gap = align_up(host, apart_alignment) - host;
  header.bytes += gap;
  add(std::span(zeros).first(gap));
  std::ranges::for_each(samples, add);
}

std::uint64_t Outgoing::next_bytes(const Message& message) const {
  const auto& header = message.header;
  const auto sent = header.bytes - message.left;
  // What is cut sends its header alone first: it tells how much room the rest needs.
  const bool whole = header.apart == 0 && message.left <= piece_bytes_;
  if (sent == 0 && !whole) return sizeof(header);
  const auto apart_from = header.bytes - header.apart;
  return std::min(sent < apart_from ? apart_from - sent : message.left, piece_bytes_);
}

bool Outgoing::send_some(Message& message, int tag) {
  const auto bytes = next_bytes(message);
  const auto room = ring_.take(bytes);
  if (room.empty()) return false;
  auto rest = room;
  while (!rest.empty()) {
    auto& from = message.pieces[message.piece];
    const auto part = from.first(std::min(from.size(), rest.size()));
    std::memcpy(rest.data(), part.data(), part.size());
    rest = rest.subspan(part.size());
    from = from.subspan(part.size());
    if (from.empty()) ++message.piece;
  }
  ring_.sent(comm_.start_send(room, message.receiver, tag));
  message.left -= bytes;
  return true;
}

}  // namespace faro::exchange
