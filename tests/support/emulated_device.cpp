#include "emulated_device.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "base/error.hpp"
#include "cuda/gather.hpp"
#include "cuda/gradients.hpp"
#include "faro/transform.hpp"

namespace faro::test {
namespace {

enum class Kind { device, pinned, locked };

struct EventState {
  std::uint64_t recorded = 0;  // times that it was put on a stream
  std::uint64_t reached = 0;   // the last of them that has run
};

/// Work in order; each piece is called until it is true.
using Queue = std::deque<std::function<bool()>>;

}  // namespace

/// All of the device's state. Handles share it, so that they may go in any order.
struct EmulatedDevice::Engine : std::enable_shared_from_this<Engine> {
  Engine(std::uint64_t seed, int given_number)
      : number(given_number),
        random(seed),
        haste(seed % 3 == 0   ? 0
              : seed % 3 == 1 ? 2
                              : 8) {
    name = fmt::format("emulated device {} (seed {})", number, seed);
  }

  struct Region {
    std::uint64_t bytes = 0;
    Kind kind = Kind::device;
  };

  // All below need the mutex.

  void need_well() const {
    if (failed) throw Error(*failed);
  }
  [[nodiscard]] bool knows(const std::byte* from, std::uint64_t bytes) const {
    auto next = regions.upper_bound(from);
    if (next == regions.begin()) return false;
    const auto& [begin, region] = *std::prev(next);
    return from + bytes <= begin + region.bytes;
  }
  void need_known(const std::byte* from, std::uint64_t bytes) const {
    check(bytes == 0 || knows(from, bytes), ErrorCode::device,
          "emulated device: {} bytes at {} are neither the device's, pinned nor locked, or were "
          "given back",
          bytes, static_cast<const void*>(from));
  }
  /// Runs the kernel, if it finds what it needs in memory that the device has.
  void gather(const cuda::Gather& work) const {
    const auto* samples = reinterpret_cast<const std::byte*>(work.samples);
    const auto elements = work.grid.elements();
    need_known(samples, work.count * sizeof(cuda::GatherSample));
    need_known(work.to, align_up(work.count * elements * size_of(work.type), 16));
    for (std::uint64_t i = 0; i < work.count; ++i) {
      const auto& sample = work.samples[i];
      need_known(sample.from, sample.bytes);
      check(sample.kind != cuda::GatherKind::look_up || knows(work.table, 1), ErrorCode::device,
            "emulated device: the table is not in its memory");
    }
    check(work.a == nullptr || (knows(reinterpret_cast<const std::byte*>(work.a), 1) &&
                                knows(reinterpret_cast<const std::byte*>(work.b), 1)),
          ErrorCode::device, "emulated device: a and b are not in its memory");
    cuda::run(work);
  }
  /// Runs one piece of work, of any stream whose turn it may be; false where none can run.
  bool step() {
    std::vector<Queue*> ready;
    for (const auto& [native, queue] : streams) {
      if (!queue->empty()) ready.push_back(queue.get());
    }
    std::ranges::shuffle(ready, random);
    open(PROT_READ | PROT_WRITE);
    bool ran = false;
    for (auto* queue : ready) {
      try {
        ran = queue->front()();
      } catch (const Error& error) {
        failed = error;
      }
      if (failed) break;
      if (ran) {
        queue->pop_front();
        break;
      }
    }
    open(at_rest);
    if (failed) {
      for (const auto& [native, queue] : streams) queue->clear();
    }
    return ran || failed;
  }
  /// The device works beside the host, more or less.
  void drift() {
    for (auto steps = haste == 0 ? 0 : random() % haste; steps > 0 && !failed; --steps) {
      if (!step()) return;
    }
    // A stream may go before its work.
    std::erase_if(streams, [](const auto& stream) {
      return stream.first != nullptr && stream.second.use_count() == 1 && stream.second->empty();
    });
  }
  void open(int protection) const {
    for (const auto& [begin, region] : regions) {
      if (region.kind != Kind::device) continue;
      mprotect(const_cast<std::byte*>(begin), region.bytes, protection);
    }
  }
  /// Puts a piece of work on a stream. It counts as one that may be told to fail.
  void put(Queue& queue, std::function<void()> work) {
    need_well();
    queue.push_back([this, work = std::move(work)] {
      ++works;
      if (failing_work && --*failing_work == 0) {
        fail(ErrorCode::device, "emulated device: an illegal memory access was encountered");
      }
      work();
      return true;
    });
    drift();
  }
  void count_allocation() {
    need_well();
    if (!failing_allocation || --*failing_allocation > 0) return;
    failing_allocation.reset();
    fail(ErrorCode::memory, "{} has no memory left: it was told so", name);
  }
  [[nodiscard]] std::uint64_t bytes_of(Kind kind) const {
    std::uint64_t bytes = 0;
    for (const auto& [begin, region] : regions) bytes += region.kind == kind ? region.bytes : 0;
    return bytes;
  }

  const int number;
  std::string name;
  mutable std::mutex mutex;
  std::mt19937_64 random;
  const std::uint64_t haste;  // steps at a call, at most
  std::map<const std::byte*, Region> regions;
  // With their native handles, in the order of their creation; nullptr is the default stream's.
  std::vector<std::pair<void*, std::shared_ptr<Queue>>> streams{
      {nullptr, std::make_shared<Queue>()}};
  std::optional<Error> failed;
  std::optional<std::uint64_t> failing_allocation;
  std::optional<std::uint64_t> failing_work;
  int at_rest = PROT_NONE;  // what the host may do with device memory
  bool locks_refused = false;
  std::uint64_t works = 0;

  class Memory;
  class Event;
  class Stream;
};

class EmulatedDevice::Engine::Memory final : public cuda::Memory {
 public:
  Memory(std::shared_ptr<Engine> engine, std::span<std::byte> bytes, Kind kind)
      : engine_(std::move(engine)), bytes_(bytes), kind_(kind) {
    engine_->regions[bytes.data()] = {bytes.size(), kind};
  }
  ~Memory() override {
    const std::scoped_lock lock(engine_->mutex);
    engine_->regions.erase(bytes_.data());
    if (kind_ != Kind::locked) munmap(bytes_.data(), bytes_.size());
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::span<std::byte> bytes() const noexcept override { return bytes_; }

 private:
  std::shared_ptr<Engine> engine_;
  std::span<std::byte> bytes_;
  Kind kind_;
};

class EmulatedDevice::Engine::Event final : public cuda::Event {
 public:
  explicit Event(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
  bool done() override {
    const std::scoped_lock lock(engine_->mutex);
    engine_->need_well();
    // Who asks again and again gets an answer in the end.
    for (auto steps = engine_->random() % 16; steps > 0 && engine_->step();) --steps;
    engine_->drift();
    engine_->need_well();
    return state_->reached >= state_->recorded;
  }
  void wait() override {
    for (;;) {
      {
        const std::scoped_lock lock(engine_->mutex);
        engine_->need_well();
        while (state_->reached < state_->recorded && engine_->step()) engine_->need_well();
        engine_->need_well();
        if (state_->reached >= state_->recorded) return;
      }
      std::this_thread::yield();  // work that waits for other threads
    }
  }
  void* native() const noexcept override { return state_.get(); }
  const std::shared_ptr<EventState>& state() const { return state_; }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<EventState> state_ = std::make_shared<EventState>();
};

class EmulatedDevice::Engine::Stream final : public cuda::Stream {
 public:
  Stream(std::shared_ptr<Engine> engine, std::shared_ptr<Queue> queue, void* native)
      : engine_(std::move(engine)), queue_(std::move(queue)), native_(native) {}

  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override {
    put(
        [this_engine = engine_.get(), to, from, bytes] {
          this_engine->need_known(to, bytes);
          this_engine->need_known(from, bytes);
          if (bytes > 0) std::memmove(to, from, bytes);
        },
        {{to, bytes}, {from, bytes}});
  }
  void zero(std::byte* memory, std::uint64_t bytes) override {
    put(
        [this_engine = engine_.get(), memory, bytes] {
          this_engine->need_known(memory, bytes);
          if (bytes > 0) std::memset(memory, 0, bytes);
        },
        {{memory, bytes}});
  }
  void gather(const cuda::Gather& work) override {
    put([this_engine = engine_.get(), work] { this_engine->gather(work); }, {});
  }
  void widen(const cuda::Widen& work) override {
    const Bytes from(static_cast<const std::byte*>(work.from), bytes_of(work));
    const auto to = std::as_bytes(std::span(work.to, work.elements));
    run_known(work, work.scale == 0 ? std::initializer_list{to} : std::initializer_list{from, to});
  }
  void narrow(const cuda::Narrow& work) override {
    const Bytes to(static_cast<const std::byte*>(work.to), bytes_of(work));
    run_known(work, {std::as_bytes(std::span(work.from, work.elements)), to});
  }
  void record(cuda::Event& event) override {
    const auto& state = dynamic_cast<Event&>(event).state();
    const std::scoped_lock lock(engine_->mutex);
    engine_->need_well();
    queue_->push_back([state, turn = ++state->recorded] {
      state->reached = std::max(state->reached, turn);
      return true;
    });
    engine_->drift();
  }
  void wait(cuda::Event& event) override {
    const auto& state = dynamic_cast<Event&>(event).state();
    const std::scoped_lock lock(engine_->mutex);
    engine_->need_well();
    queue_->push_back([state, turn = state->recorded] { return state->reached >= turn; });
    engine_->drift();
  }
  void* native() const noexcept override { return native_; }
  Queue& queue() { return *queue_; }

 private:
  using Bytes = std::span<const std::byte>;
  /// Of what the gradient itself takes.
  static std::uint64_t bytes_of(const auto& work) {
    return work.elements * (work.type == cuda::Float::f32 ? 4 : 2);
  }
  /// run(work), where all that it uses is the device's.
  void run_known(const auto& work, std::initializer_list<Bytes> uses) {
    put(
        [this_engine = engine_.get(), work, held = std::vector<Bytes>(uses)] {
          for (const auto& use : held) this_engine->need_known(use.data(), use.size());
          cuda::run(work);
        },
        uses);
  }
  void put(std::function<void()> work, std::initializer_list<Bytes> uses) {
    const std::scoped_lock lock(engine_->mutex);
    for (const auto& use : uses) engine_->need_known(use.data(), use.size());
    engine_->put(*queue_, std::move(work));
  }

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Queue> queue_;
  void* native_;
};

EmulatedDevice::EmulatedDevice(std::uint64_t seed, int number)
    : engine_(std::make_shared<Engine>(seed, number)) {}
EmulatedDevice::~EmulatedDevice() = default;

int EmulatedDevice::number() const noexcept {
  return engine_->number;
}
std::string EmulatedDevice::name() const {
  return engine_->name;
}

namespace {

std::span<std::byte> map(std::uint64_t bytes, std::mt19937_64& random) {
  const auto all = align_up(std::max<std::uint64_t>(bytes, 1), 4096);
  void* memory = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED, ErrorCode::memory, "no memory for an emulated device");
  std::memset(memory, static_cast<int>(random() % 255 + 1), all);
  return {static_cast<std::byte*>(memory), std::max<std::uint64_t>(bytes, 1)};
}

}  // namespace

std::unique_ptr<cuda::Memory> EmulatedDevice::allocate(std::uint64_t bytes) {
  const std::scoped_lock lock(engine_->mutex);
  engine_->count_allocation();
  const auto memory = map(bytes, engine_->random);
  mprotect(memory.data(), memory.size(), engine_->at_rest);
  return std::make_unique<Engine::Memory>(engine_, memory, Kind::device);
}

std::unique_ptr<cuda::Memory> EmulatedDevice::allocate_pinned(std::uint64_t bytes) {
  const std::scoped_lock lock(engine_->mutex);
  engine_->count_allocation();
  return std::make_unique<Engine::Memory>(engine_, map(bytes, engine_->random), Kind::pinned);
}

std::unique_ptr<cuda::Memory> EmulatedDevice::lock_pages(std::span<std::byte> memory) {
  const std::scoped_lock lock(engine_->mutex);
  engine_->need_well();
  check(!engine_->locks_refused, ErrorCode::memory, "{}: no pages can be locked: it was told so",
        engine_->name);
  check(!engine_->knows(memory.data(), 1), ErrorCode::memory,
        "emulated device: part or all of the memory is locked already");
  return std::make_unique<Engine::Memory>(engine_, memory, Kind::locked);
}

std::unique_ptr<cuda::Stream> EmulatedDevice::make_stream() {
  const std::scoped_lock lock(engine_->mutex);
  engine_->need_well();
  auto queue = std::make_shared<Queue>();
  engine_->streams.emplace_back(queue.get(), queue);
  void* native = queue.get();
  return std::make_unique<Engine::Stream>(engine_, std::move(queue), native);
}

std::unique_ptr<cuda::Event> EmulatedDevice::make_event() {
  const std::scoped_lock lock(engine_->mutex);
  engine_->need_well();
  return std::make_unique<Engine::Event>(engine_);
}

std::unique_ptr<cuda::Stream> EmulatedDevice::borrow_stream(void* native) {
  const std::scoped_lock lock(engine_->mutex);
  const auto found =
      std::ranges::find(engine_->streams, native, &std::pair<void*, std::shared_ptr<Queue>>::first);
  check(found != engine_->streams.end(), ErrorCode::device, "emulated device: no such stream");
  return std::make_unique<Engine::Stream>(engine_, found->second, native);
}

bool EmulatedDevice::holds(const void* memory) const {
  const std::scoped_lock lock(engine_->mutex);
  const auto* at = static_cast<const std::byte*>(memory);
  return engine_->knows(at, 1) &&
         std::prev(engine_->regions.upper_bound(at))->second.kind == Kind::device;
}

void EmulatedDevice::fail_allocation(std::uint64_t n) {
  const std::scoped_lock lock(engine_->mutex);
  engine_->failing_allocation = n;
}
void EmulatedDevice::refuse_locks() {
  const std::scoped_lock lock(engine_->mutex);
  engine_->locks_refused = true;
}
void EmulatedDevice::fail_work(std::uint64_t n) {
  const std::scoped_lock lock(engine_->mutex);
  engine_->failing_work = n;
}

void EmulatedDevice::let_mpi_reach() {
  const std::scoped_lock lock(engine_->mutex);
  engine_->at_rest = PROT_READ | PROT_WRITE;
  engine_->open(engine_->at_rest);
}

void EmulatedDevice::put(cuda::Stream& stream, std::function<bool()> work) {
  const std::scoped_lock lock(engine_->mutex);
  engine_->need_well();
  dynamic_cast<Engine::Stream&>(stream).queue().push_back(std::move(work));
  engine_->drift();
}

void EmulatedDevice::synchronise() {
  for (;;) {
    {
      const std::scoped_lock lock(engine_->mutex);
      while (engine_->step()) engine_->need_well();
      engine_->need_well();
      const bool idle = std::ranges::all_of(
          engine_->streams, [](const auto& stream) { return stream.second->empty(); });
      if (idle) return;
    }
    std::this_thread::yield();
  }
}

std::vector<std::byte> EmulatedDevice::read(const void* memory, std::uint64_t bytes) const {
  const std::scoped_lock lock(engine_->mutex);
  const auto* from = static_cast<const std::byte*>(memory);
  engine_->need_known(from, bytes);
  engine_->open(PROT_READ | PROT_WRITE);
  std::vector<std::byte> out(from, from + bytes);
  engine_->open(engine_->at_rest);
  return out;
}

std::uint64_t EmulatedDevice::works() const {
  const std::scoped_lock lock(engine_->mutex);
  return engine_->works;
}
std::uint64_t EmulatedDevice::device_bytes() const {
  const std::scoped_lock lock(engine_->mutex);
  return engine_->bytes_of(Kind::device);
}
std::uint64_t EmulatedDevice::pinned_bytes() const {
  const std::scoped_lock lock(engine_->mutex);
  return engine_->bytes_of(Kind::pinned);
}

}  // namespace faro::test
