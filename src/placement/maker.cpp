#include "placement/maker.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

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

}  // namespace

Maker::Maker(Options options)
    : options_(std::move(options)), scratch_(options_.threads + 1), workers_(options_.threads) {}

void Maker::start(Batch batch, std::uint64_t key) {
  auto place = take();
  check(place != nullptr, ErrorCode::invalid_argument,
        "all {} tensor batches are held, by themselves or by DLPack tensors of theirs: destroy one "
        "before the next, or raise leases",
        options_.layout.batches);
  auto out = std::make_shared<TensorBatch::Impl>(std::move(place));
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
  auto* memory = out->place->memory().data();
  for (std::size_t i = 0; i < programs.size(); ++i) {
    out->tensors.push_back(tensor_of(programs[i].name(), programs[i].type(), batch.size(),
                                     programs[i].shape(), memory + offsets[i]));
  }
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (!programs[i].ragged()) continue;
    out->tensors.push_back(tensor_of(transform::offsets_name(programs[i].name()), Type::i64,
                                     batch.size() + 1, {}, memory + offsets[out->tensors.size()]));
  }
  for (auto& tensor : out->tensors) tensor.device = out->place->device();
  errors_.assign(batch.size(), {});
  key_ = key;
  out_ = std::move(out);
  batch_ = std::move(batch);
  rows_.assign(programs.size(), nullptr);
  auto next = programs.size();  // tensor
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (!programs[i].ragged()) continue;
    rows_[i] = reinterpret_cast<std::int64_t*>(host_memory(next++));
    place_rows(i);
  }
  workers_.start(batch_->size(),
                 [this](std::size_t worker, std::size_t sample) { make_sample(worker, sample); });
}

/// Reads a ragged tensor's lengths, so that the threads know where each sample goes.
void Maker::place_rows(std::size_t index) {
  const auto& program = options_.programs[index];
  const auto samples = batch_->size();
  auto* rows = rows_[index];
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
}

std::byte* Maker::place_of(std::size_t index, std::size_t sample) const {
  const auto& program = options_.programs[index];
  const auto* rows = rows_[index];
  return host_memory(index) + (rows != nullptr
                                   ? static_cast<std::uint64_t>(rows[sample]) * program.row_bytes()
                                   : sample * program.bytes());
}

void Maker::make_sample(std::size_t worker, std::size_t index) noexcept {
  if (!errors_[index].empty()) return;  // no length: no place
  const auto& sample = (*batch_)[index];
  const transform::Program* program = nullptr;
  try {
    const transform::Draws draws{key_, sample.number};
    for (std::size_t i = 0; i < options_.programs.size(); ++i) {
      program = &options_.programs[i];
      make(i, index, field_of(sample, *program), draws, scratch_[worker]);
    }
  } catch (const std::exception& error) {
    errors_[index] = explain(sample, *program, error.what());
  } catch (...) {
    errors_[index] = explain(sample, *program, "a registered step threw what is no exception");
  }
}

std::string Maker::explain(const Sample& sample, const transform::Program& program,
                           std::string_view why) const {
  return fmt::format("sample {} ({}) of {}: field '{}', tensor '{}': {}", sample.number, sample.key,
                     options_.shard_of(sample.number), program.field(), program.name(), why);
}

/// Closes the gaps that bad samples leave in a ragged tensor.
void Maker::drop_rows(std::size_t index) {
  auto& tensor = out_->tensors[index];
  auto* values = host_memory(index);
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
void Maker::fill_bad() {
  const auto found = std::find(errors_.begin(), errors_.end(), std::string());
  std::optional<std::size_t> good;
  if (found != errors_.end()) good = static_cast<std::size_t>(found - errors_.begin());
  for (std::size_t bad = 0; bad < errors_.size(); ++bad) {
    if (errors_[bad].empty()) continue;
    for (std::size_t i = 0; i < options_.programs.size(); ++i) {
      if (!options_.programs[i].ragged()) substitute(i, bad, good);
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

void Maker::make(std::size_t index, std::size_t sample, transform::Bytes field,
                 const transform::Draws& draws, transform::Scratch& scratch) {
  program(index).run(field, draws, scratch, place_of(index, sample));
}

void Maker::substitute(std::size_t index, std::size_t bad, std::optional<std::size_t> good) {
  const auto bytes = program(index).bytes();
  if (good) {
    std::memcpy(place_of(index, bad), place_of(index, *good), bytes);
  } else {
    std::memset(place_of(index, bad), 0, bytes);
  }
}

TensorBatch Maker::finish() {
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
    fill_bad();
  }
  auto out = std::move(out_);
  auto batch = std::move(*batch_);
  batch_.reset();
  deliver(out->tensors, std::move(batch));
  return TensorBatch(std::move(out));
}

void Maker::discard() noexcept {
  if (!batch_) return;
  workers_.finish();
  batch_.reset();
  out_.reset();
}

}  // namespace faro::placement
