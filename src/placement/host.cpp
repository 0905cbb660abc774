#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "placement/placement.hpp"
#include "placement/ring.hpp"
#include "placement/tensor_batch.hpp"
#include "placement/workers.hpp"

namespace faro::placement {
namespace {

class Host final : public Placement {
 public:
  explicit Host(Options options)
      : options_(std::move(options)),
        ring_(std::make_shared<Ring>(options_.layout.batch_bytes, options_.layout.batches)),
        scratch_(options_.threads + 1),
        workers_(options_.threads) {}
  ~Host() override { discard(); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  void start(Batch batch, std::uint64_t key) override;
  TensorBatch finish() override;
  void discard() noexcept override;
  std::uint64_t skipped() const noexcept override { return skipped_; }

 private:
  [[nodiscard]] Tensor tensor_of(std::size_t program, std::size_t samples,
                                 std::span<std::byte> memory) const;
  [[nodiscard]] std::byte* place_of(std::size_t program, std::size_t sample) const;
  void make_sample(std::size_t worker, std::size_t sample) noexcept;
  [[nodiscard]] std::string explain(const Sample& sample, const transform::Program& program,
                                    std::string_view why) const;
  void substitute();

  Options options_;
  std::shared_ptr<Ring> ring_;
  std::vector<transform::Scratch> scratch_;  // by worker

  // What start() has begun.
  std::optional<Batch> batch_;
  std::shared_ptr<TensorBatch::Impl> out_;
  std::uint64_t key_ = 0;
  std::vector<std::string> errors_;  // by sample; empty where it is good
  std::uint64_t skipped_ = 0;
  Workers workers_;  // goes first: it uses all of this
};

void Host::start(Batch batch, std::uint64_t key) {
  const auto place = ring_->take();
  check(place.has_value(), ErrorCode::invalid_argument,
        "all {} tensor batches are held, by themselves or by DLPack tensors of theirs: destroy one "
        "before the next, or raise leases",
        options_.layout.batches);
  auto out = std::make_shared<TensorBatch::Impl>(ring_, *place);
  check(batch.size() <= options_.layout.samples, ErrorCode::internal,
        "a local batch of {} samples, and {} were planned", batch.size(), options_.layout.samples);
  out->epoch = batch.epoch();
  out->step = batch.step();
  out->first_slot = batch.first_slot();
  for (const auto& sample : batch) {
    out->weights.push_back(sample.pad ? 0.0F : 1.0F);
    out->numbers.push_back(sample.number);
  }
  for (std::size_t i = 0; i < options_.programs.size(); ++i) {
    out->tensors.push_back(tensor_of(i, batch.size(), ring_->memory(*place)));
  }
  errors_.assign(batch.size(), {});
  key_ = key;
  out_ = std::move(out);
  batch_ = std::move(batch);
  workers_.start(batch_->size(),
                 [this](std::size_t worker, std::size_t sample) { make_sample(worker, sample); });
}

Tensor Host::tensor_of(std::size_t program, std::size_t samples,
                       std::span<std::byte> memory) const {
  const auto& made = options_.programs[program];
  Tensor tensor;
  tensor.name = made.name();
  tensor.type = made.type();
  tensor.data = memory.data() + options_.layout.offsets[program];
  tensor.shape.push_back(static_cast<std::int64_t>(samples));
  for (const auto size : made.shape()) tensor.shape.push_back(static_cast<std::int64_t>(size));
  tensor.strides.assign(tensor.shape.size(), 1);
  for (std::size_t i = tensor.shape.size() - 1; i > 0; --i) {
    tensor.strides[i - 1] = tensor.strides[i] * tensor.shape[i];
  }
  return tensor;
}

std::byte* Host::place_of(std::size_t program, std::size_t sample) const {
  return static_cast<std::byte*>(out_->tensors[program].data) +
         sample * options_.programs[program].bytes();
}

void Host::make_sample(std::size_t worker, std::size_t index) noexcept {
  const auto& sample = (*batch_)[index];
  const transform::Program* program = nullptr;
  try {
    const transform::Draws draws{key_, sample.number};
    for (std::size_t i = 0; i < options_.programs.size(); ++i) {
      program = &options_.programs[i];
      const auto* field = sample.find(program->field());
      if (field == nullptr) {
        std::string names;
        for (const auto& other : sample.fields) names += fmt::format(" {}", other.name);
        fail(ErrorCode::format, "the sample has no such field; it has:{}", names);
      }
      program->run(field->bytes, draws, scratch_[worker], place_of(i, index));
    }
  } catch (const std::exception& error) {
    errors_[index] = explain(sample, *program, error.what());
  } catch (...) {
    errors_[index] = explain(sample, *program, "a registered step threw what is no exception");
  }
}

std::string Host::explain(const Sample& sample, const transform::Program& program,
                          std::string_view why) const {
  return fmt::format("sample {} ({}) of {}: field '{}', tensor '{}': {}", sample.number, sample.key,
                     options_.shard_of(sample.number), program.field(), program.name(), why);
}

/// Fills the slots of bad samples; see BadSample::skip.
void Host::substitute() {
  const auto good = static_cast<std::size_t>(
      std::find(errors_.begin(), errors_.end(), std::string()) - errors_.begin());
  for (std::size_t bad = 0; bad < errors_.size(); ++bad) {
    if (errors_[bad].empty()) continue;
    for (std::size_t i = 0; i < options_.programs.size(); ++i) {
      const auto bytes = options_.programs[i].bytes();
      if (good < errors_.size()) {
        std::memcpy(place_of(i, bad), place_of(i, good), bytes);
      } else {
        std::memset(place_of(i, bad), 0, bytes);
      }
    }
    out_->weights[bad] = 0;
    if ((*batch_)[bad].pad) continue;  // it was counted as the sample that it repeats
    ++skipped_;
    if (options_.skipped) options_.skipped(errors_[bad]);
  }
}

TensorBatch Host::finish() {
  check(batch_.has_value(), ErrorCode::internal, "no batch was begun");
  workers_.finish();
  const auto bad = std::find_if(errors_.begin(), errors_.end(),
                                [](const std::string& error) { return !error.empty(); });
  if (bad != errors_.end()) {
    if (options_.on_bad_sample == BadSample::error) {
      const Error error(ErrorCode::format, *bad);
      discard();
      throw error;
    }
    substitute();
  }
  batch_.reset();
  return TensorBatch(std::move(out_));
}

void Host::discard() noexcept {
  if (!batch_) return;
  workers_.finish();
  batch_.reset();
  out_.reset();
}

}  // namespace

std::unique_ptr<Placement> make_host(Options options) {
  return std::make_unique<Host>(std::move(options));
}

}  // namespace faro::placement
