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

Batch make(exchange::LocalBatch local, std::uint64_t epoch, const format::Format& format,
           std::function<void()> release) {
  auto impl = std::make_unique<Batch::Impl>();
  impl->epoch = epoch;
  impl->local = std::move(local);
  impl->release = std::move(release);
  const auto& refs = impl->local.samples;
  impl->parsed.resize(refs.size());
  impl->samples.reserve(refs.size());
  for (std::size_t i = 0; i < refs.size(); ++i) {
    auto& parsed = impl->parsed[i];
    format.fields(refs[i].bytes, refs[i].number, refs[i].starts_shard, parsed);
    impl->samples.push_back({refs[i].number, parsed.key, refs[i].pad, parsed.fields});
  }
  return Batch(std::move(impl));
}

}  // namespace faro::batch
