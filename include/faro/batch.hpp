/// \file
/// What the loader delivers: the local batch of a step, as views of the samples' bytes in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace faro {

/// A named part of a sample: for tar shards one member ("png", "cls"), for raw ones "data".
struct Field {
  std::string_view name;
  std::span<const std::byte> bytes;
};

/// One sample of a batch. A view: valid while its Batch is.
struct Sample {
  std::uint64_t number = 0;       ///< index in the data set, in shard order, from 0
  std::string_view key;           ///< name in the shard
  bool pad = false;               ///< a repeat that fills the last batch: its weight is zero
  std::span<const Field> fields;  ///< as stored, in stored order

  /// The field of that name, or nullptr.
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;
  /// The field of that name. Throws Error(format) that names the sample and the field.
  [[nodiscard]] const Field& at(std::string_view name) const;
};

/// A rank's slice of one global batch, leased: its memory is given back when it is destroyed.
/// Move-only. Thread safety: const members may be called from any thread.
class Batch {
 public:
  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) noexcept;
  ~Batch();

  [[nodiscard]] std::uint64_t epoch() const noexcept;
  [[nodiscard]] std::uint64_t step() const noexcept;  ///< within the epoch, from 0
  /// Slot of samples()[0] in the global batch; slots of a rank are consecutive.
  [[nodiscard]] std::uint64_t first_slot() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;  ///< samples, pads included
  [[nodiscard]] const Sample& operator[](std::size_t i) const noexcept;
  [[nodiscard]] std::span<const Sample> samples() const noexcept;
  [[nodiscard]] auto begin() const noexcept { return samples().begin(); }
  [[nodiscard]] auto end() const noexcept { return samples().end(); }

  /// What gather() writes: bytes of that field over all samples, pads included; of all fields
  /// where the name is empty. Error(format) names the sample that has no such field.
  [[nodiscard]] std::uint64_t bytes(std::string_view field) const;
  /// Copies one field of every sample into one buffer, in slot order and without gaps.
  /// \param field its name; empty: all fields of each sample, one after the other as stored
  /// \param into at least bytes(field); huge pages, and memory that is used again, make it fast
  /// \param offsets nothing, or size() + 1 values: sample i fills [offsets[i], offsets[i + 1])
  /// \return the bytes written
  /// Nothing is written on an error. Error(format) names the sample that has no such field;
  /// Error(invalid_argument): a buffer too small, or another number of offsets.
  std::uint64_t gather(std::string_view field, std::span<std::byte> into,
                       std::span<std::uint64_t> offsets = {}) const;

  struct Impl;
  explicit Batch(std::unique_ptr<Impl> impl) noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace faro
