#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "placement/placement.hpp"
#include "placement/ring.hpp"
#include "placement/tensor_batch.hpp"
#include "placement/workers.hpp"

namespace faro::placement {
namespace {

Tensor tensor_of(std::string name, Type type, std::uint64_t length,
                 std::span<const std::uint64_t> shape, std::byte* data) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.type = type;
  tensor.data = data;
  tensor.shape.push_back(static_cast<std::int64_t>(length));
  for (const auto size : shape) tensor.shape.push_back(static_cast<std::int64_t>(size));
  tensor.strides.assign(tensor.shape.size(), 1);
  for (std::size_t i = tensor.shape.size() - 1; i > 0; --i) {
    tensor.strides[i - 1] = tensor.strides[i] * tensor.shape[i];
  }
  return tensor;
}

transform::Bytes field_of(const Sample& sample, const transform::Program& program) {
  if (const auto* field = sample.find(program.field())) return field->bytes;
  std::string names;
  for (const auto& other : sample.fields) names += fmt::format(" {}", other.name);
  fail(ErrorCode::format, "the sample has no such field; it has:{}", names);
}

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
  void place_rows(std::size_t program, std::byte* offsets);
  void drop_rows(std::size_t program);
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
  std::vector<std::int64_t*> rows_;  // by program: where its samples begin; nullptr: not ragged
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
  const auto& programs = options_.programs;
  const auto& offsets = options_.layout.offsets;
  auto* memory = ring_->memory(*place).data();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    out->tensors.push_back(tensor_of(programs[i].name(), programs[i].type(), batch.size(),
                                     programs[i].shape(), memory + offsets[i]));
  }
  errors_.assign(batch.size(), {});
  key_ = key;
  out_ = std::move(out);
  batch_ = std::move(batch);
  rows_.assign(programs.size(), nullptr);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (programs[i].ragged()) place_rows(i, memory + offsets[out_->tensors.size()]);
  }
  workers_.start(batch_->size(),
                 [this](std::size_t worker, std::size_t sample) { make_sample(worker, sample); });
}

/// Reads a ragged tensor's lengths, so that the threads know where each sample goes.
void Host::place_rows(std::size_t index, std::byte* offsets) {
  const auto& program = options_.programs[index];
  const auto samples = batch_->size();
  auto* rows = rows_[index] = reinterpret_cast<std::int64_t*>(offsets);
  rows[0] = 0;
  for (std::size_t i = 0; i < samples; ++i) {
    const auto& sample = (*batch_)[i];
    std::uint64_t length = 0;
    try {
      length = program.length(field_of(sample, program));
    } catch (const Error& error) {
      errors_[i] = explain(sample, program, error.what());
    }
    rows[i + 1] = rows[i] + static_cast<std::int64_t>(length);
  }
  out_->tensors[index].shape[0] = rows[samples];
  out_->tensors.push_back(
      tensor_of(transform::offsets_name(program.name()), Type::i64, samples + 1, {}, offsets));
}

std::byte* Host::place_of(std::size_t index, std::size_t sample) const {
  const auto& program = options_.programs[index];
  const auto* rows = rows_[index];
  return static_cast<std::byte*>(out_->tensors[index].data) +
         (rows != nullptr ? static_cast<std::uint64_t>(rows[sample]) * program.row_bytes()
                          : sample * program.bytes());
}

void Host::make_sample(std::size_t worker, std::size_t index) noexcept {
  if (!errors_[index].empty()) return;  // no length: no place
  const auto& sample = (*batch_)[index];
  const transform::Program* program = nullptr;
  try {
    const transform::Draws draws{key_, sample.number};
    for (std::size_t i = 0; i < options_.programs.size(); ++i) {
      program = &options_.programs[i];
      program->run(field_of(sample, *program), draws, scratch_[worker], place_of(i, index));
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

/// Closes the gaps that bad samples leave in a ragged tensor.
void Host::drop_rows(std::size_t index) {
  auto& tensor = out_->tensors[index];
  auto* values = static_cast<std::byte*>(tensor.data);
  const auto bytes = static_cast<std::int64_t>(options_.programs[index].row_bytes());
  std::int64_t from = 0;
  std::int64_t to = 0;
  for (std::size_t i = 0; i < errors_.size(); ++i) {
    auto& end = rows_[index][i + 1];
    const auto length = errors_[i].empty() ? end - from : 0;
    std::memmove(values + to * bytes, values + from * bytes,
                 static_cast<std::size_t>(length * bytes));
    from = end;
    end = to += length;
  }
  tensor.shape[0] = to;
}

/// Fills the slots of bad samples; see BadSample::skip.
void Host::substitute() {
  const auto good = static_cast<std::size_t>(
      std::find(errors_.begin(), errors_.end(), std::string()) - errors_.begin());
  for (std::size_t bad = 0; bad < errors_.size(); ++bad) {
    if (errors_[bad].empty()) continue;
    for (std::size_t i = 0; i < options_.programs.size(); ++i) {
      if (options_.programs[i].ragged()) continue;
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
  for (std::size_t i = 0; i < options_.programs.size(); ++i) {
    if (options_.programs[i].ragged()) drop_rows(i);
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
