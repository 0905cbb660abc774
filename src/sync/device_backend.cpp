#include <chrono>
#include <cstring>
#include <thread>

#include "base/runtime.hpp"
#include "cuda/claim.hpp"
#include "sync/sync.hpp"

namespace faro::sync {
namespace {

/// Three streams of its own: gradients are put into their buckets while others are summed, and
/// written back while others still are. NCCL sums in place: 4 bytes an element.
class DeviceBackend final : public Backend {
 public:
  DeviceBackend(std::span<const GradientParameter> parameters, const Layout& layout,
                const GradientSyncOptions& options, std::shared_ptr<cuda::Device> device,
                std::unique_ptr<cuda::Collective> collective)
      : parameters_(parameters),
        layout_(layout),
        options_(options),
        device_(std::move(device)),
        claim_(device_->number(), cuda::Claim::By::nccl),
        collective_(std::move(collective)),
        notes_(device_->allocate_pinned(layout.buckets.size() * sizeof(Notes))),
        given_(device_->make_event()),
        got_(device_->make_event()),
        user_(device_->borrow_stream(options.stream)),
        puts_(device_->make_stream()),
        sums_(device_->make_stream()),
        gets_(device_->make_stream()) {
    for (const auto& bucket : layout.buckets) {
      auto& sum = buckets_.emplace_back();
      sum.memory = device_->allocate((bucket.elements + Note::elements) * sizeof(float));
      sum.filled = device_->make_event();
      sum.summed = device_->make_event();
    }
  }
  DeviceBackend(const DeviceBackend&) = delete;
  DeviceBackend& operator=(const DeviceBackend&) = delete;
  ~DeviceBackend() override {
    for (auto* stream : {puts_.get(), sums_.get(), gets_.get()}) {
      try {  // what is on it uses the memory
        stream->record(*got_);
        got_->wait();
      } catch (const Error&) {  // nothing runs any more on a device that has failed
      }
    }
  }

  // The first sum of a size connects the ranks, which takes them all. Here they all are.
  void connect() override {
    try {
      for (auto& sum : buckets_) {
        const auto bytes = sum.memory->bytes();
        sums_->zero(bytes.data(), bytes.size());
        collective_->all_reduce(sum.values(), *sums_);
        sums_->record(*sum.summed);
      }
      await(*buckets_.back().summed, "the first sums have", connect_timeout(options_));
    } catch (...) {
      abandon();
      throw;
    }
  }

  std::span<float> storage(std::size_t parameter) override {
    const auto& place = layout_.places[parameter];
    return buckets_[place.bucket].values().subspan(place.offset, parameters_[parameter].elements);
  }

  void put(std::size_t parameter, float scale) override {
    const auto& what = parameters_[parameter];
    float* to = storage(parameter).data();
    const void* from = what.gradient == nullptr ? to : what.gradient;
    user_->record(*given_);
    puts_->wait(*given_);
    if (from != to || scale != 1) {
      puts_->widen({from, to, what.elements, stored_as(what.type), scale});
    }
    puts_->record(*buckets_[layout_.places[parameter].bucket].filled);
  }

  void start(std::size_t bucket, const Note& mine, bool empty) override {
    auto& sum = buckets_[bucket];
    const auto values = sum.values();
    const auto note = values.last(Note::elements);
    auto& notes = notes_of(bucket);
    notes.mine = mine;
    sums_->wait(*sum.filled);
    if (empty) sums_->zero(bytes_of(values).data(), bytes_of(values).size());
    sums_->copy(bytes_of(note).data(), bytes_of(&notes.mine), sizeof(Note));
    collective_->all_reduce(values, *sums_);
    sums_->copy(bytes_of(&notes.sum), bytes_of(note).data(), sizeof(Note));
    sums_->record(*sum.summed);
  }

  std::optional<Note> done(std::size_t bucket) override {
    check_collective();
    if (!buckets_[bucket].summed->done()) return std::nullopt;
    return notes_of(bucket).sum;
  }

  void get(std::size_t bucket, float divisor) override {
    for (const auto parameter : layout_.buckets[bucket].parameters) {
      const auto& what = parameters_[parameter];
      float* from = storage(parameter).data();
      void* to = what.gradient == nullptr ? from : what.gradient;
      if (to == from && divisor == 1) continue;
      gets_->narrow({from, to, what.elements, stored_as(what.type), divisor});
    }
    gets_->record(*got_);
  }

  void hand_back() override { user_->wait(*got_); }

  void abandon() noexcept override { collective_->abort(); }
  bool apart() const noexcept override { return true; }

  bool holds(std::span<const std::byte> bytes) const override {
    return !bytes.empty() && device_->holds(bytes.data());
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    const auto event = device_->make_event();
    user_->record(*event);
    sums_->wait(*event);
    try {
      collective_->broadcast(bytes, root, *sums_);
      sums_->record(*event);
      await(*event, "broadcast() has", options_.peer_timeout);
    } catch (...) {
      abandon();
      throw;
    }
  }

  std::string name() const override {
    return fmt::format("{} on {}", collective_->name(), device_->name());
  }

 private:
  /// Of a bucket, in page-locked memory.
  struct Notes {
    Note mine;
    Note sum;
  };
  struct Sum {
    std::unique_ptr<cuda::Memory> memory;  // the bucket, and its note
    std::unique_ptr<cuda::Event> filled;   // what was put there so far
    std::unique_ptr<cuda::Event> summed;   // and the note is in the host's memory
    [[nodiscard]] std::span<float> values() const {
      const auto bytes = memory->bytes();
      return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
    }
  };

  static std::span<std::byte> bytes_of(std::span<float> values) {
    return std::as_writable_bytes(values);
  }
  static std::byte* bytes_of(Note* note) { return reinterpret_cast<std::byte*>(note); }
  Notes& notes_of(std::size_t bucket) const {
    return reinterpret_cast<Notes*>(notes_->bytes().data())[bucket];
  }

  void check_collective() {
    if (const auto error = collective_->failure()) throw Error(*error);
  }

  /// Waits on the host, as long as peers may be silent.
  void await(cuda::Event& event, const char* what, double timeout) {
    const auto start = Clock::now();
    while (!event.done()) {
      check_collective();
      check(seconds_since(start) < timeout, ErrorCode::peer,
            "GradientSync: {} not ended on the device for {:.3g} s: a rank is silent", what,
            timeout);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  std::span<const GradientParameter> parameters_;
  const Layout& layout_;
  const GradientSyncOptions& options_;
  std::shared_ptr<cuda::Device> device_;
  cuda::Claim claim_;
  std::unique_ptr<cuda::Collective> collective_;
  std::unique_ptr<cuda::Memory> notes_;
  std::unique_ptr<cuda::Event> given_;  // by the caller's stream
  std::unique_ptr<cuda::Event> got_;    // gradients that are written
  std::unique_ptr<cuda::Stream> user_;
  std::unique_ptr<cuda::Stream> puts_;
  std::unique_ptr<cuda::Stream> sums_;
  std::unique_ptr<cuda::Stream> gets_;
  std::vector<Sum> buckets_;
};

}  // namespace

std::unique_ptr<Backend> make_device_backend(std::span<const GradientParameter> parameters,
                                             const Layout& layout,
                                             const GradientSyncOptions& options,
                                             std::shared_ptr<cuda::Device> device,
                                             std::unique_ptr<cuda::Collective> collective) {
  return std::make_unique<DeviceBackend>(parameters, layout, options, std::move(device),
                                         std::move(collective));
}

}  // namespace faro::sync
