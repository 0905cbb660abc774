#include "batch/batch.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace faro {

const Field* Sample::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

const Field& Sample::at(std::string_view name) const {
  const auto* field = find(name);
  if (field != nullptr) return *field;
  std::string names;
  for (const auto& other : fields) names += fmt::format(" {}", other.name);
  fail(ErrorCode::format, "sample {} ({}) has no field '{}'; it has:{}", number, key, name, names);
}

Batch::Impl::~Impl() {
  local = {};
  if (release) release();
}

Batch::Batch(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;
Batch::~Batch() = default;

std::uint64_t Batch::epoch() const noexcept {
  return impl_->epoch;
}
std::uint64_t Batch::step() const noexcept {
  return impl_->local.step;
}
std::uint64_t Batch::first_slot() const noexcept {
  return impl_->local.first_slot;
}
std::size_t Batch::size() const noexcept {
  return impl_->samples.size();
}
const Sample& Batch::operator[](std::size_t i) const noexcept {
  return impl_->samples[i];
}
std::span<const Sample> Batch::samples() const noexcept {
  return impl_->samples;
}

}  // namespace faro

namespace faro::batch {

namespace {

// Samples lie anywhere in memory. The beginning of each, where headers stand, is in no cache: where
// no outline tells what stands there, it is asked for this many samples ahead.
constexpr std::size_t ahead = 8;
constexpr std::size_t head_bytes = 512;
constexpr std::size_t line = 64;

void prefetch_head(const exchange::SampleRef& sample) {
  if (!sample.outline.none()) return;
  const auto end = std::min(sample.bytes.size(), head_bytes);
  for (std::size_t at = 0; at < end; at += line) __builtin_prefetch(sample.bytes.data() + at);
}

}  // namespace

Batch make(exchange::LocalBatch local, std::uint64_t epoch, const format::Format& format,
           std::function<void()> release) {
  auto impl = std::make_unique<Batch::Impl>();
  impl->epoch = epoch;
  impl->local = std::move(local);
  impl->release = std::move(release);
  const auto& refs = impl->local.samples;
  auto& fields = impl->fields;
  fields.reserve(2 * refs.size());
  impl->samples.reserve(refs.size());
  format::ParsedSample parsed;
  for (std::size_t i = 0; i < std::min(ahead, refs.size()); ++i) prefetch_head(refs[i]);
  for (std::size_t i = 0; i < refs.size(); ++i) {
    if (i + ahead < refs.size()) prefetch_head(refs[i + ahead]);
    const auto& ref = refs[i];
    format::parse(format, ref.bytes, ref.outline, ref.number, ref.starts_shard, parsed);
    // The fields' memory may still move: only their number counts for now.
    impl->samples.push_back(
        {ref.number, parsed.key, ref.pad, std::span(parsed.fields.data(), parsed.fields.size())});
    fields.insert(fields.end(), parsed.fields.begin(), parsed.fields.end());
    parsed.move_kept(impl->texts);
  }
  const Field* at = fields.data();
  for (auto& sample : impl->samples) {
    sample.fields = {at, sample.fields.size()};
    at += sample.fields.size();
  }
  return Batch(std::move(impl));
}

}  // namespace faro::batch
