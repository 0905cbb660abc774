#include "exchange/exchange.hpp"

#include <algorithm>
#include <cstring>

#include "format/format.hpp"

namespace faro::exchange {
namespace {

// Two rounds are never under way at once, so any small range tells them apart.
int tag_of(std::uint64_t round) {
  return static_cast<int>(1 + round % 1024);
}

}  // namespace

Exchange::Exchange(const manifest::Manifest& manifest, Schedule& schedule, Arena& arena,
                   comm::Communicator& comm, Progress& progress, const ExchangeOptions& options)
    : manifest_(manifest),
      schedule_(schedule),
      arena_(arena),
      comm_(comm),
      progress_(progress),
      options_(options),
      pool_(options.arrivals, options.arrival_bytes),
      outgoing_(manifest, arena, comm,
                {comm.rank(), options.node_rank[static_cast<std::size_t>(comm.rank())],
                 options.node_rank, options.send_bytes, options.message_limit}),
      agreement_(comm, options.pressure),
      roll_call_(comm, options.grace) {
  begin_round();
}

Exchange::~Exchange() = default;

bool Exchange::finished() const {
  const std::scoped_lock lock(mutex_);
  return finished_;
}

std::optional<LocalBatch> Exchange::take() {
  std::optional<LocalBatch> batch;
  {
    const std::scoped_lock lock(mutex_);
    if (ready_.empty()) return batch;
    batch = std::move(ready_.front());
    ready_.pop_front();
    if (ready_.size() != schedule_.options().steps_per_round) return batch;
  }
  progress_.notify();  // there is room for a round, as await_room() sees it
  return batch;
}

std::optional<Error> Exchange::error() const {
  const std::scoped_lock lock(mutex_);
  return ready_.empty() ? error_ : std::nullopt;
}

std::optional<Error> Exchange::failure() const {
  const std::scoped_lock lock(mutex_);
  return error_;
}

void Exchange::finish(const std::optional<Error>& error) {
  {
    const std::scoped_lock lock(mutex_);
    error_ = error;
    finished_ = true;
  }
  enter(State::done);
  progress_.notify();
}

void Exchange::abandon(const Error& error) {
  // Destroying an operation waits for it, which may be for ever: let them go instead, with the
  // memory that MPI may still write to.
  agreement_.abandon();
  static_cast<void>(new std::shared_ptr<Arrival>(std::move(arrival_)));
  for (auto& [rank, peer] : awaited_) {
    for (auto& operation : peer.operations) static_cast<void>(operation.release());
  }
  outgoing_.abandon();
  finish(error);
}

void Exchange::enter(State state) {
  state_ = state;
  entered_ = Clock::now();
  const bool others = state == State::status || state == State::messages;
  waiting_since_ = others ? entered_.time_since_epoch().count() : 0;
}

double Exchange::silence() const {
  const auto since = waiting_since_.load();
  if (since == 0) return 0;
  return std::chrono::duration<double>(Clock::now().time_since_epoch() - Clock::duration(since))
      .count();
}

bool Exchange::advance() {
  if (state_ != State::done && call_roll()) return true;
  switch (state_) {
    case State::blocks: return await_blocks();
    case State::status: return await_status();
    case State::room: return await_room();
    case State::messages: {
      const bool moved = await_messages();
      if (moved && state_ == State::messages) enter(state_);  // no silence
      return moved;
    }
    case State::end: return await_end();
    case State::done: return false;
  }
  return false;
}

bool Exchange::call_roll() {
  if (const double seconds = given_up_after_; seconds > 0) roll_call_.ask(seconds);
  const bool pauses = !consumer_waits_ && (state_ == State::room || state_ == State::end);
  const auto error = roll_call_.poll(pauses);
  if (error) abandon(*error);
  return error.has_value();
}

void Exchange::begin_round() {
  if (number_ == schedule_.rounds()) {
    enter(State::end);
    return;
  }
  round_ = schedule_.round(number_);
  plan_ = schedule_.epoch(round_.epoch);
  windows_.use(plan_);
  enter(State::blocks);
}

bool Exchange::await_blocks() {
  const bool failed = progress_.failure().has_value();
  const bool stopping = progress_.stopping();
  bool reading = false;
  if (!failed && !stopping) {
    // An epoch's last round waits for all of its blocks, those that `drop` leaves out too: so
    // whatever is wrong with the data set is told within the epoch.
    Progress::Ready needed{round_.epoch, plan_->order.turns()};
    if (round_.last_step < plan_->steps.count()) {
      const auto last = round_.last_step * plan_->steps.global_batch() - 1;
      const auto& span = plan_->order.window(plan_->order.window_of_position(last));
      needed.turn = span.first_turn + span.turns;
    }
    reading = progress_.ready() < needed;
    const auto patience = std::chrono::duration<double>(options_.heartbeat);
    if (reading && Clock::now() - entered_ < patience) return false;
  }
  using Standing = Agreement::Standing;
  agree(failed     ? Standing::failed
        : stopping ? Standing::leaving
        : reading  ? Standing::busy
                   : Standing::ready);
  return true;
}

bool Exchange::await_end() {
  using Standing = Agreement::Standing;
  if (progress_.failure()) {
    agree(Standing::failed);
  } else if (progress_.ended()) {
    agree(Standing::ready);
  } else if (progress_.stopping()) {
    agree(Standing::leaving);
  } else if (consumer_waits_ &&
             Clock::now() - entered_ >= std::chrono::duration<double>(options_.heartbeat)) {
    agree(Standing::busy);  // it ends an epoch with all others, who may have left or failed
  } else {
    return false;
  }
  return true;
}

void Exchange::agree(Agreement::Standing mine) {
  arena_.sync();  // the blocks' bytes before the status
  agreement_.start(mine, progress_.failure());
  enter(State::status);
}

bool Exchange::await_status() {
  const auto verdict = agreement_.poll();
  if (!verdict) return false;
  arena_.sync();  // the status before the peers' bytes
  const bool last = number_ == schedule_.rounds();
  switch (verdict->kind) {
    case Agreement::Verdict::Kind::go:
      if (last) {
        finish(std::nullopt);
      } else {
        enter(State::room);
      }
      break;
    case Agreement::Verdict::Kind::again: enter(last ? State::end : State::blocks); break;
    case Agreement::Verdict::Kind::end:
      finish(verdict->error ? *verdict->error
                            : Error(ErrorCode::stopped,
                                    fmt::format("rank {} left in epoch {} before its end",
                                                verdict->left, plan_->order.number()),
                                    verdict->left));
      break;
  }
  return true;
}

bool Exchange::await_room() {
  const bool stopping = progress_.stopping();
  {
    const std::scoped_lock lock(mutex_);
    if (stopping) ready_.clear();  // nobody takes them any more
    if (ready_.size() > schedule_.options().steps_per_round) return false;
  }
  if (options_.arrivals > 0 && !arrival_) {
    arrival_ = pool_.take();
    if (!arrival_) {
      if (!stopping) return false;
      pool_ = ArrivalPool(1, options_.arrival_bytes);
      return true;
    }
  }
  fill_slots();
  outgoing_.begin(number_, round_, plan_, windows_);
  enter(State::messages);
  return true;
}

void Exchange::prefetch_extent(const order::Place& place) const {
  const int node_rank = options_.node_rank[plan_->order.reader(place.turn)];
  if (node_rank < 0) return;
  const auto& block = manifest_.blocks[plan_->order.block(place.turn)];
  __builtin_prefetch(arena_.at(node_rank, plan_->address[place.turn]) + index_offset(block) +
                     place.index * sizeof(format::Extent));
}

void Exchange::fill_slots() {
  const auto& steps = plan_->steps;
  const auto rank = static_cast<std::uint32_t>(comm_.rank());
  batches_.clear();
  batches_.reserve(round_.last_step - round_.first_step);
  for (auto step = round_.first_step; step < round_.last_step; ++step) {
    const auto slice = steps.slice(step, rank);
    auto& batch = batches_.emplace_back(LocalBatch{round_.epoch, step, slice.first,
                                                   std::vector<SampleRef>(slice.size()), arrival_});
    // Places first: their extents lie anywhere in the arena, and come while others are computed.
    places_.clear();
    for (auto slot = slice.first; slot < slice.last; ++slot) {
      const auto position = steps.position(step, slot);
      places_.push_back(windows_.at_position(position).place(position));
      prefetch_extent(places_.back());
    }
    for (auto slot = slice.first; slot < slice.last; ++slot) {
      const auto& place = places_[slot - slice.first];
      const auto& block = manifest_.blocks[plan_->order.block(place.turn)];
      auto& sample = batch.samples[slot - slice.first];
      sample.number = block.first_sample + place.index;
      sample.pad = steps.is_pad(step, slot);
      sample.starts_shard = block.offset == 0 && place.index == 0;
      const auto reader = plan_->order.reader(place.turn);
      const int node_rank = options_.node_rank[reader];
      if (node_rank >= 0) {
        sample.bytes = sample_in_arena(manifest_, arena_, *plan_, node_rank, place);
      } else {
        awaited_[static_cast<int>(reader)].slots.push_back(&sample);
      }
    }
  }
}

bool Exchange::await_messages() {
  const int tag = tag_of(number_);
  bool moved = outgoing_.pump(tag);
  // Only peers of the round send with its tag: the next one has another and cannot begin before.
  while (!awaited_.empty()) {
    const auto incoming = comm_.probe(tag);
    if (!incoming) break;
    receive(*incoming);
    moved = true;
  }
  for (auto at = awaited_.begin(); at != awaited_.end();) {
    auto& peer = at->second;
    std::erase_if(peer.operations, [](const auto& operation) { return operation->done(); });
    if (peer.message.empty() || peer.asked < peer.message.size() || !peer.operations.empty()) {
      ++at;
      continue;
    }
    resolve(peer);
    received_ += peer.message.size();
    at = awaited_.erase(at);
    moved = true;
  }
  if (!awaited_.empty() || !outgoing_.done()) return moved;
  end_round();
  return true;
}

std::span<std::byte> Exchange::arrival_room(std::uint64_t bytes) {
  auto& arrival = *arrival_;
  check(bytes <= arrival.memory.size() - arrival.used, ErrorCode::internal,
        "an arrival buffer of {} bytes is too small", arrival.memory.size());
  const auto room = arrival.memory.subspan(arrival.used, bytes);
  arrival.used = std::min<std::uint64_t>(align_up(arrival.used + bytes, 16), arrival.memory.size());
  return room;
}

void Exchange::receive(const comm::Incoming& incoming) {
  const auto found = awaited_.find(incoming.source);
  check(found != awaited_.end(), ErrorCode::internal, "rank {} sends what nobody awaits",
        incoming.source);
  auto& peer = found->second;
  if (!peer.message.empty()) {  // a further piece
    check(incoming.bytes <= peer.message.size() - peer.asked, ErrorCode::internal,
          "rank {} sends too much", incoming.source);
    peer.operations.push_back(
        comm_.start_receive(incoming, peer.message.subspan(peer.asked, incoming.bytes)));
    peer.asked += incoming.bytes;
    return;
  }
  if (incoming.bytes > sizeof(MessageHeader)) {  // the whole message
    peer.message = arrival_room(incoming.bytes);
    peer.asked = incoming.bytes;
    peer.operations.push_back(comm_.start_receive(incoming, peer.message));
    return;
  }
  MessageHeader header;
  const auto operation =
      comm_.start_receive(incoming, std::as_writable_bytes(std::span(&header, 1)));
  while (!operation->done()) {
  }
  peer.message = arrival_room(header.bytes);
  std::memcpy(peer.message.data(), &header, sizeof(header));
  peer.asked = sizeof(header);
}

void Exchange::resolve(const Awaited& peer) {
  MessageHeader header;
  std::memcpy(&header, peer.message.data(), sizeof(header));
  const std::uint64_t head = sizeof(header) + peer.slots.size() * sizeof(std::uint64_t);
  check(header.round == number_ && header.samples == peer.slots.size() &&
            header.bytes == peer.message.size() && head <= header.bytes,
        ErrorCode::internal, "a message of round {} with {} samples came in round {} for {}",
        header.round, header.samples, number_, peer.slots.size());
  auto rest = peer.message.subspan(head);
  for (std::size_t i = 0; i < peer.slots.size(); ++i) {
    std::uint64_t size = 0;
    std::memcpy(&size, peer.message.data() + sizeof(header) + i * sizeof(size), sizeof(size));
    check(size <= rest.size(), ErrorCode::internal, "a message ends within sample {}", i);
    peer.slots[i]->bytes = rest.first(size);
    rest = rest.subspan(size);
  }
}

void Exchange::end_round() {
  {
    const std::scoped_lock lock(mutex_);
    for (auto& batch : batches_) ready_.push_back(std::move(batch));
  }
  batches_.clear();
  arrival_.reset();
  const auto next =
      std::min(round_.last_step * plan_->steps.global_batch(), plan_->steps.delivered() - 1);
  windows_.forget_before(plan_->order.window_of_position(next));
  ++number_;
  progress_.notify();
  begin_round();
}

}  // namespace faro::exchange
