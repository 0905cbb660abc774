#include "exchange/exchange.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace faro::exchange {
namespace {

// What a rank says in the status all-reduce, beside failures and leaving; the least wins.
constexpr std::uint64_t all_well = UINT64_MAX;
constexpr std::uint64_t still_reading = UINT64_MAX - 1;

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
      status_(2) {
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
  }
  progress_.notify();
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
  static_cast<void>(new std::vector<std::uint64_t>(std::move(status_)));
  static_cast<void>(new std::shared_ptr<Arrival>(std::move(arrival_)));
  static_cast<void>(status_operation_.release());
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
  if (const double seconds = given_up_after_; seconds > 0 && state_ != State::done) {
    std::string silent;
    for (const auto& [rank, peer] : awaited_) silent += fmt::format(" {}", rank);
    abandon(
        Error(ErrorCode::peer,
              fmt::format("no progress for {:.0f} s in round {}: rank {} waits for {}{}", seconds,
                          number_, comm_.rank(),
                          silent.empty() ? "the status of all ranks" : "data from rank", silent),
              comm_.rank()));
    return true;
  }
  switch (state_) {
    case State::blocks: return await_blocks();
    case State::status: return await_status();
    case State::room: return await_room();
    case State::messages: return await_messages();
    case State::done: return false;
  }
  return false;
}

void Exchange::begin_round() {
  if (number_ == schedule_.rounds()) {
    finish(std::nullopt);
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
  const auto rank = static_cast<std::uint64_t>(comm_.rank());
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  // The least value wins: an error before a stop, both before "all well".
  status_[0] = failed ? rank : stopping ? ranks + rank : reading ? still_reading : all_well;
  status_[1] = options_.pressure ? ~options_.pressure->mark() : 0;  // the least: the highest mark
  arena_.sync();  // the blocks' bytes before the status
  status_operation_ = comm_.start_all_reduce(status_, comm::Op::min);
  enter(State::status);
  return true;
}

bool Exchange::await_status() {
  if (!status_operation_->done()) return false;
  status_operation_.reset();
  arena_.sync();  // the status before the peers' bytes
  if (options_.pressure) options_.pressure->raise_to(~status_[1]);
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  if (status_[0] == all_well) {
    enter(State::room);
    return true;
  }
  if (status_[0] == still_reading) {
    enter(State::blocks);
    return true;
  }
  const auto rank = static_cast<int>(status_[0] % ranks);
  if (status_[0] >= ranks) {
    finish(Error(
        ErrorCode::stopped,
        fmt::format("rank {} left in epoch {} before its end", rank, plan_->order.number()), rank));
    return true;
  }
  std::array<std::int32_t, 1> code{};
  const auto mine = comm_.rank() == rank ? progress_.failure() : std::nullopt;
  if (mine) code[0] = static_cast<std::int32_t>(mine->code());
  comm_.broadcast(std::as_writable_bytes(std::span(code)), rank);
  const auto text = comm::broadcast_text(comm_, mine ? mine->what() : "", rank);
  finish(Error(static_cast<ErrorCode>(code[0]), text, rank));
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

void Exchange::fill_slots() {
  const auto& steps = plan_->steps;
  const auto rank = static_cast<std::uint32_t>(comm_.rank());
  batches_.clear();
  batches_.reserve(round_.last_step - round_.first_step);
  for (auto step = round_.first_step; step < round_.last_step; ++step) {
    const auto slice = steps.slice(step, rank);
    auto& batch = batches_.emplace_back(LocalBatch{round_.epoch, step, slice.first,
                                                   std::vector<SampleRef>(slice.size()), arrival_});
    for (auto slot = slice.first; slot < slice.last; ++slot) {
      const auto position = steps.position(step, slot);
      const auto place = windows_.at_position(position).place(position);
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
