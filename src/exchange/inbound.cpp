#include "exchange/inbound.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "exchange/message.hpp"

namespace faro::exchange {

Inbound::Inbound(const Route& route, Arrivals& arrivals, comm::Communicator& comm)
    : route_(route), arrivals_(arrivals), comm_(comm) {
  for (std::uint32_t from = 0; from < route.groups(); ++from) {
    if (route.elsewhere(route.members(from)[0]) && route.received_part(from) < route.parts()) {
      led_.push_back(from);
    }
  }
}

void Inbound::begin(std::uint64_t round) {
  round_ = round;
  came_.clear();
  outstanding_known_ = false;
}

void Inbound::expect(std::uint32_t reader, SampleRef& slot) {
  const auto from = route_.group(reader);
  auto& slots = slots_[from];
  if (slots.empty()) arrivals_.want(round_, lane(from, route_.part(route_.rank())));
  slots.push_back(&slot);
}

bool Inbound::pump(int tag) {
  bool moved = false;
  // Only senders of the round use its tag: the next one has another and cannot begin before.
  while (!outstanding_known_ || !outstanding_.empty()) {
    const auto incoming = comm_.probe(tag);
    if (!incoming) break;
    receive(*incoming);
    moved = true;
  }
  if (!outstanding_known_ && arrivals_.wants_known(round_)) {
    know_outstanding();
    moved = true;
  }
  moved = complete() || moved;
  return resolve() || moved;
}

// Which of this rank's lanes carry something in the round follows from what its group needs.
void Inbound::know_outstanding() {
  for (const auto from : led_) {
    const auto part = route_.received_part(from);
    const bool wanted = arrivals_.wanted(round_, lane(from, part));
    const bool came = came_.contains(from);
    check(wanted || (!came && !receiving_.contains(from)), ErrorCode::internal,
          "rank {} sends what nobody awaits", route_.sender(from, route_.own_group(), part));
    if (wanted && !came) outstanding_.insert(from);
  }
  outstanding_known_ = true;
}

void Inbound::receive(const comm::Incoming& incoming) {
  const auto source = static_cast<std::uint32_t>(incoming.source);
  const auto from = route_.group(source);
  const auto part = route_.received_part(from);
  check(part < route_.parts() && route_.sender(from, route_.own_group(), part) == source &&
            !came_.contains(from),
        ErrorCode::internal, "rank {} sends what nobody awaits", source);
  auto& message = receiving_[from];
  if (!message.bytes.empty()) return receive_piece(incoming, message);
  if (incoming.bytes > sizeof(MessageHeader)) {  // the whole message
    message.bytes = arrivals_.room(round_, incoming.bytes);
    message.asked = incoming.bytes;
    message.operations.push_back(comm_.start_receive(incoming, message.bytes));
    return;
  }
  MessageHeader header;
  const auto operation =
      comm_.start_receive(incoming, std::as_writable_bytes(std::span(&header, 1)));
  while (!operation->done()) {
  }
  check(header.apart == 0 || (arrivals_.mirrored() && header.apart < header.bytes),
        ErrorCode::internal, "rank {} sends to a device", source);
  message.bytes = arrivals_.room(round_, header.bytes);
  message.apart = header.apart;
  std::memcpy(message.bytes.data(), &header, sizeof(header));
  message.asked = sizeof(header);
}

void Inbound::receive_piece(const comm::Incoming& incoming, Receiving& message) {
  const auto apart_from = message.bytes.size() - message.apart;
  const bool apart = message.asked >= apart_from;
  const auto end = apart ? message.bytes.size() : apart_from;
  check(incoming.bytes <= end - message.asked, ErrorCode::internal, "rank {} sends too much",
        incoming.source);
  const auto room = message.bytes.subspan(message.asked, incoming.bytes);
  message.operations.push_back(
      comm_.start_receive(incoming, apart ? arrivals_.mirror(room) : room));
  message.asked += incoming.bytes;
}

bool Inbound::complete() {
  bool moved = false;
  for (auto at = receiving_.begin(); at != receiving_.end();) {
    auto& [from, message] = *at;
    std::erase_if(message.operations, [](const auto& operation) { return operation->done(); });
    if (message.asked < message.bytes.size() || !message.operations.empty()) {
      ++at;
      continue;
    }
    if (message.apart > 0) uncover(message.bytes);
    arrivals_.arrived(round_, lane(from, route_.received_part(from)), message.bytes);
    received_ += message.bytes.size();
    came_.insert(from);
    outstanding_.erase(from);
    at = receiving_.erase(at);
    moved = true;
  }
  return moved;
}

bool Inbound::resolve() {
  const auto part = route_.part(route_.rank());
  return std::erase_if(slots_, [&](const auto& entry) {
           const auto message = arrivals_.message(round_, lane(entry.first, part));
           if (message.empty()) return false;
           resolve(message, entry.second);
           return true;
         }) > 0;
}

/// Fills in what the host looks at of samples that are in the device's memory.
void Inbound::uncover(std::span<std::byte> message) const {
  MessageHeader header;
  std::memcpy(&header, message.data(), sizeof(header));
  const auto apart_from = message.size() - header.apart;
  const auto head = sizeof(header) + header.sections * sizeof(Section);
  constexpr auto each = sizeof(std::uint64_t) + sizeof(Hidden);
  check(head <= apart_from && header.samples <= (apart_from - head) / each, ErrorCode::internal,
        "a message's head of {} bytes tells of {} samples", apart_from, header.samples);
  const auto* sizes = message.data() + head;
  const auto* hides = sizes + header.samples * sizeof(std::uint64_t);
  auto shown = message.first(apart_from).subspan(head + header.samples * each);
  auto rest = message.last(header.apart);
  for (std::uint64_t i = 0; i < header.samples; ++i) {
    std::uint64_t size = 0;
    Hidden hidden;
    std::memcpy(&size, sizes + i * sizeof(size), sizeof(size));
    std::memcpy(&hidden, hides + i * sizeof(hidden), sizeof(hidden));
    const auto [begin, length] = hidden;
    check(size <= rest.size() && begin <= size && length <= size - begin &&
              size - length <= shown.size(),
          ErrorCode::internal, "a message shows too little of sample {}", i);
    std::ranges::copy(shown.first(begin), rest.begin());
    const auto end = size - begin - length;
    std::ranges::copy(shown.subspan(begin, end), rest.last(rest.size() - begin - length).begin());
    shown = shown.subspan(begin + end);
    rest = rest.subspan(size);
  }
}

void Inbound::resolve(std::span<const std::byte> message,
                      const std::vector<SampleRef*>& slots) const {
  MessageHeader header;
  std::memcpy(&header, message.data(), sizeof(header));
  const auto own = route_.own_group();
  const auto receivers = route_.receivers(own, route_.part(route_.rank()));
  const std::uint64_t head = sizeof(header) + header.sections * sizeof(Section);
  check(header.round == round_ && header.sections == receivers.size() &&
            header.bytes == message.size() && head <= header.bytes &&
            header.samples <= (header.bytes - head) / sizeof(std::uint64_t),
        ErrorCode::internal, "a message of round {} for {} ranks came in round {} for {}",
        header.round, header.sections, round_, receivers.size());
  // The sections before this rank's tell where its sizes and bytes begin.
  const auto mine = static_cast<std::uint64_t>(
      std::find(receivers.begin(), receivers.end(), route_.rank()) - receivers.begin());
  Section before;
  Section section;
  for (std::uint64_t i = 0; i <= mine; ++i) {
    before.samples += section.samples;
    before.bytes += section.bytes;
    std::memcpy(&section, message.data() + sizeof(header) + i * sizeof(section), sizeof(section));
  }
  auto rest = header.apart > 0 ? message.last(header.apart)
                               : message.subspan(head + header.samples * sizeof(std::uint64_t));
  check(section.samples == slots.size() && before.samples + section.samples <= header.samples &&
            before.bytes <= rest.size() && section.bytes <= rest.size() - before.bytes,
        ErrorCode::internal, "{} samples came in round {} where {} are awaited", section.samples,
        round_, slots.size());
  rest = rest.subspan(before.bytes, section.bytes);
  const auto* sizes = message.data() + head + before.samples * sizeof(std::uint64_t);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    std::uint64_t size = 0;
    std::memcpy(&size, sizes + i * sizeof(size), sizeof(size));
    check(size <= rest.size(), ErrorCode::internal, "a message ends within sample {}", i);
    slots[i]->bytes = rest.first(size);
    rest = rest.subspan(size);
  }
}

bool Inbound::abandon() {
  const bool under_way = !receiving_.empty();
  for (auto& [from, message] : receiving_) {
    for (auto& operation : message.operations) static_cast<void>(operation.release());
  }
  receiving_.clear();
  slots_.clear();
  return under_way;
}

}  // namespace faro::exchange
