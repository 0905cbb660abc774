/// \file
/// A local batch as tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faro/transform.hpp"

struct DLManagedTensor;  // of <dlpack/dlpack.h>

namespace faro {

/// One tensor of a batch: a view, valid while its TensorBatch is. The first dimension is the batch;
/// where samples are ragged, the rows of all of them.
struct Tensor {
  std::string name;
  Type type = Type::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< in elements
  void* data = nullptr;               ///< 256-byte aligned; the consumer may write to it
  int device = -1;                    ///< whose memory that is: CUDA's ordinal, or -1, the host's

  /// Number of elements.
  [[nodiscard]] std::uint64_t elements() const noexcept;
  /// The elements as float (f32), std::uint8_t (u8), std::int64_t (i64) or std::uint16_t (the bits
  /// of f16 and bf16). Error(invalid_argument) where the tensor is of another type, or a device's.
  template <class T>
  [[nodiscard]] std::span<T> values() const;
};

/// A rank's slice of one global batch as tensors, leased: its memory is used again once it and its
/// DLPack tensors are gone. Move-only. Thread safety: const members may be called from any thread.
///
/// Tensors in a GPU's memory may still be on their way there: what reads them is put on a stream
/// after wait_on(stream), and release_after(stream) before the batch goes. The host waits for
/// nothing. Streams and events are CUDA's, cudaStream_t and cudaEvent_t; a stream of nullptr is the
/// default one. Errors of the device: device. In host memory all of this does nothing.
class TensorBatch {
 public:
  TensorBatch(TensorBatch&&) noexcept;
  TensorBatch& operator=(TensorBatch&&) noexcept;
  ~TensorBatch();

  [[nodiscard]] std::uint64_t epoch() const noexcept;
  [[nodiscard]] std::uint64_t step() const noexcept;  ///< within the epoch, from 0
  /// Slot of the first sample in the global batch; slots of a rank are consecutive.
  [[nodiscard]] std::uint64_t first_slot() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;  ///< samples, pads included; may be 0
  /// Of each sample: 1, and 0 for pads and for samples that were skipped.
  [[nodiscard]] std::span<const float> weights() const noexcept;
  /// Of each sample: its number in the data set.
  [[nodiscard]] std::span<const std::uint64_t> numbers() const noexcept;
  /// In the order in which they were declared; then NAME.offsets of each that is ragged.
  [[nodiscard]] std::span<const Tensor> tensors() const noexcept;
  /// By name. Error(invalid_argument) that lists the names.
  [[nodiscard]] const Tensor& operator[](std::string_view name) const;
  /// The tensor for other libraries, without a copy. It keeps the batch's memory until its deleter
  /// is called, which the library that takes it does; the batch itself may go before. Such a tensor
  /// counts as a batch that is held. It may outlive the TensorLoader.
  /// \param stream on which it will be used (wait_on, and release_after when the deleter is called:
  ///     the stream must live that long)
  [[nodiscard]] DLManagedTensor* dlpack(std::string_view name, void* stream = nullptr) const;

  /// Behind which the tensors are there; nullptr in host memory. It lives as long as the batch.
  [[nodiscard]] void* event() const noexcept;
  /// Work that is put on the stream from now on begins when the tensors are there.
  void wait_on(void* stream) const;
  /// The batch's memory is used again only after the work that is on the stream now. May be called
  /// several times, for several streams.
  void release_after(void* stream);

  struct Impl;
  explicit TensorBatch(std::shared_ptr<Impl> impl) noexcept;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faro
