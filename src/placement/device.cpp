// Tensors in a device's memory. Threads decode into page-locked memory; what is in page-locked
// memory already stays where it is. One kernel a tensor makes the rest of it, on a stream of the
// placement's own; the host waits for none of that.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>

#include "base/error.hpp"
#include "cuda/gather.hpp"
#include "placement/describe.hpp"
#include "placement/device_ring.hpp"
#include "placement/maker.hpp"

namespace faro::placement {
namespace {

bool lies_in(const cuda::GatherSample& sample, std::span<const std::byte> memory) {
  return sample.from >= memory.data() &&
         sample.from + sample.bytes <= memory.data() + memory.size();
}

class OnDevice final : public Maker {
 public:
  OnDevice(Options given, std::shared_ptr<cuda::Device> device,
           std::span<const std::span<std::byte>> readable, const Mirror& mirror);
  ~OnDevice() override;
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  void settle(std::uint64_t kept) override;
  std::string path() const override;

 private:
  std::unique_ptr<Place> take() override;
  std::byte* host_memory(std::size_t tensor) const override {
    return staging_.data() + options().layout.staging[tensor];
  }
  void make(std::size_t program, std::size_t sample, transform::Bytes field,
            const transform::Draws& draws, transform::Scratch& scratch) override;
  void substitute(std::size_t program, std::size_t bad, std::optional<std::size_t> good) override;
  void deliver(std::span<const Tensor> tensors, Batch batch) override;

  void lock(std::span<const std::span<std::byte>> readable);
  void upload_constants();
  [[nodiscard]] bool is_locked(const cuda::GatherSample& sample) const;
  /// What the kernel is told of a program's samples, in page-locked memory.
  [[nodiscard]] cuda::GatherSample* notes_of(std::size_t program) const {
    auto* notes = reinterpret_cast<cuda::GatherSample*>(staging_.data() + options().layout.notes);
    return notes + kernels_[program] * options().layout.samples;
  }
  void forget_read_batches();

  std::shared_ptr<cuda::Device> device_;
  Mirror mirror_;
  std::vector<std::unique_ptr<cuda::Memory>> locks_;
  std::string unlocked_;  // why something is not locked
  std::shared_ptr<DeviceRing> ring_;
  std::unique_ptr<cuda::Stream> stream_;
  std::vector<std::size_t> kernels_;  // by program: its number among those that the kernel makes
  std::vector<cuda::Gather> works_;   // by program: what does not change
  std::unique_ptr<cuda::Memory> constants_;
  struct Read {
    std::uint64_t number;  // of the batches made
    std::size_t place;
    Batch batch;
  };
  std::uint64_t made_ = 0;  // batches
  std::deque<Read> reads_;  // those that the device reads in place

  // The batch in hand.
  std::size_t place_ = 0;
  std::span<std::byte> staging_;
  std::atomic<bool> in_place_ = false;  // some of its bytes are read where they lie
};

OnDevice::OnDevice(Options given, std::shared_ptr<cuda::Device> device,
                   std::span<const std::span<std::byte>> readable, const Mirror& mirror)
    : Maker(std::move(given)), device_(std::move(device)), mirror_(mirror) {
  ring_ = std::make_shared<DeviceRing>(device_, options().layout);
  stream_ = device_->make_stream();
  std::size_t next = 0;
  for (const auto& program : options().programs) {
    kernels_.push_back(next);
    next += program.needs_host() ? 0 : 1;
  }
  upload_constants();
  lock(readable);
}

OnDevice::~OnDevice() {
  discard();
  ring_->finish();
}

void OnDevice::lock(std::span<const std::span<std::byte>> readable) {
  for (const auto memory : readable) {
    if (memory.empty()) continue;
    try {
      locks_.push_back(device_->lock_pages(memory));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::memory) throw;
      unlocked_ = error.what();
    }
  }
}

void OnDevice::upload_constants() {
  std::vector<Constants> constants;
  std::vector<std::uint64_t> begins;
  std::uint64_t bytes = 0;
  for (const auto& program : options().programs) {
    constants.push_back(constants_of(program));
    begins.push_back(bytes);
    bytes += align_up(constants.back().bytes.size(), Layout::alignment);
  }
  constants_ = device_->allocate(bytes);
  const auto staged = device_->allocate_pinned(bytes);
  for (std::size_t i = 0; i < constants.size(); ++i) {
    std::ranges::copy(constants[i].bytes, staged->bytes().data() + begins[i]);
    works_.push_back(gather_of(program(i), constants[i], constants_->bytes().data() + begins[i]));
  }
  stream_->copy(constants_->bytes().data(), staged->bytes().data(), bytes);
  const auto there = device_->make_event();
  stream_->record(*there);
  there->wait();
}

std::string OnDevice::path() const {
  if (unlocked_.empty()) return "read by the GPU where they lie, or decoded, in page-locked memory";
  return fmt::format("copied to page-locked memory first, as theirs cannot be locked: {}",
                     unlocked_);
}

std::unique_ptr<Place> OnDevice::take() {
  const auto number = ring_->take(*stream_);
  if (!number) return nullptr;
  forget_read_batches();  // the one that was made there before is among them
  place_ = *number;
  staging_ = ring_->staging(place_);
  in_place_ = false;
  return std::make_unique<DevicePlace>(ring_, place_);
}

bool OnDevice::is_locked(const cuda::GatherSample& sample) const {
  return std::ranges::any_of(locks_,
                             [&](const auto& lock) { return lies_in(sample, lock->bytes()); });
}

void OnDevice::make(std::size_t index, std::size_t number, transform::Bytes field,
                    const transform::Draws& draws, transform::Scratch& scratch) {
  const auto& made = program(index);
  scratch.pixels.given = {};
  if (made.needs_host()) return Maker::make(index, number, field, draws, scratch);

  const auto& layout = options().layout;
  const std::span slot(host_memory(index) + number * layout.slot_bytes[index],
                       layout.slot_bytes[index]);
  scratch.pixels.given = {reinterpret_cast<std::uint8_t*>(slot.data()), slot.size()};
  const auto decoded = made.decode(field, draws, scratch);
  auto note = describe(made, decoded);
  if (note.from == slot.data()) {
    // decoded in place
  } else if (lies_in(note, mirror_.host)) {
    note.from = mirror_.device + (note.from - mirror_.host.data());
    in_place_ = true;
  } else if (is_locked(note)) {
    in_place_ = true;
  } else if (note.bytes <= slot.size()) {
    std::memcpy(slot.data(), note.from, note.bytes);
    note.from = slot.data();
  } else {
    made.write(decoded, draws, scratch, slot.data());
    note = describe(slot.first(made.bytes()));
  }
  notes_of(index)[number] = note;
}

void OnDevice::substitute(std::size_t index, std::size_t bad, std::optional<std::size_t> good) {
  if (program(index).needs_host()) return Maker::substitute(index, bad, good);
  notes_of(index)[bad] = good ? notes_of(index)[*good] : cuda::GatherSample{};
}

void OnDevice::deliver(std::span<const Tensor> tensors, Batch batch) {
  const auto& layout = options().layout;
  const auto& programs = options().programs;
  auto* notes = ring_->memory(place_).data() + layout.device_notes;
  // The kernel's threads would each fetch them from the host's memory else.
  stream_->copy(notes, staging_.data() + layout.notes, layout.notes_bytes);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto* to = static_cast<std::byte*>(tensors[i].data);
    if (i < programs.size() && !programs[i].needs_host()) {
      auto work = works_[i];
      work.samples =
          reinterpret_cast<const cuda::GatherSample*>(notes) + kernels_[i] * layout.samples;
      work.count = batch.size();
      work.to = to;
      stream_->gather(work);
    } else {
      stream_->copy(to, host_memory(i), tensors[i].elements() * size_of(tensors[i].type));
    }
  }
  stream_->record(ring_->ready(place_));
  if (in_place_) reads_.push_back({made_, place_, std::move(batch)});
  ++made_;
  forget_read_batches();
}

void OnDevice::forget_read_batches() {
  while (!reads_.empty() && ring_->ready(reads_.front().place).done()) reads_.pop_front();
}

void OnDevice::settle(std::uint64_t kept) {
  try {
    forget_read_batches();
    for (; !reads_.empty() && reads_.front().number + kept < made_; reads_.pop_front()) {
      ring_->ready(reads_.front().place).wait();
    }
  } catch (...) {
    reads_.clear();  // the device has failed: nothing reads any more
    throw;
  }
}

}  // namespace

std::unique_ptr<Placement> make_device(Options options, std::shared_ptr<cuda::Device> device,
                                       std::span<const std::span<std::byte>> readable,
                                       const Mirror& mirror) {
  return std::make_unique<OnDevice>(std::move(options), std::move(device), readable, mirror);
}

}  // namespace faro::placement
