#include <dlpack/dlpack.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "placement/tensor_batch.hpp"

namespace faro {
namespace {

template <class T>
bool holds(Type type) {
  if constexpr (std::is_same_v<T, float>) return type == Type::f32;
  if constexpr (std::is_same_v<T, std::uint8_t>) return type == Type::u8;
  if constexpr (std::is_same_v<T, std::int64_t>) return type == Type::i64;
  if constexpr (std::is_same_v<T, std::uint16_t>) return type == Type::f16 || type == Type::bf16;
}

DLDataType dlpack_type(Type type) {
  const bool real = type == Type::f16 || type == Type::f32 || type == Type::f64;
  const bool natural = type == Type::u8 || type == Type::u16 || type == Type::u32;
  const auto code = type == Type::bf16 ? kDLBfloat : real ? kDLFloat : natural ? kDLUInt : kDLInt;
  return {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(8 * size_of(type)), 1};
}

/// What a DLPack tensor keeps.
struct Managed {
  DLManagedTensor tensor{};
  std::shared_ptr<TensorBatch::Impl> batch;
  void* stream = nullptr;
};

void delete_managed(DLManagedTensor* self) {
  const std::unique_ptr<Managed> managed(static_cast<Managed*>(self->manager_ctx));
  try {
    managed->batch->place->release_after(managed->stream);
  } catch (const Error&) {  // a device that fails does so in the next call, too
  }
}

}  // namespace

std::uint64_t Tensor::elements() const noexcept {
  std::uint64_t count = 1;
  for (const auto size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

template <class T>
std::span<T> Tensor::values() const {
  check(holds<T>(type), ErrorCode::invalid_argument,
        "tensor '{}' is {}: ask for its values as such", name, to_string(type));
  check(device < 0, ErrorCode::invalid_argument,
        "tensor '{}' lies in the memory of device {}: its values are for kernels, or to be copied",
        name, device);
  return {static_cast<T*>(data), elements()};
}
template std::span<float> Tensor::values() const;
template std::span<std::uint8_t> Tensor::values() const;
template std::span<std::int64_t> Tensor::values() const;
template std::span<std::uint16_t> Tensor::values() const;

TensorBatch::TensorBatch(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
TensorBatch::TensorBatch(TensorBatch&&) noexcept = default;
TensorBatch& TensorBatch::operator=(TensorBatch&&) noexcept = default;
TensorBatch::~TensorBatch() = default;

std::uint64_t TensorBatch::epoch() const noexcept {
  return impl_->epoch;
}
std::uint64_t TensorBatch::step() const noexcept {
  return impl_->step;
}
std::uint64_t TensorBatch::first_slot() const noexcept {
  return impl_->first_slot;
}
std::size_t TensorBatch::size() const noexcept {
  return impl_->numbers.size();
}
std::span<const float> TensorBatch::weights() const noexcept {
  return impl_->weights;
}
std::span<const std::uint64_t> TensorBatch::numbers() const noexcept {
  return impl_->numbers;
}
std::span<const Tensor> TensorBatch::tensors() const noexcept {
  return impl_->tensors;
}

const Tensor& TensorBatch::operator[](std::string_view name) const {
  std::string names;
  for (const auto& tensor : impl_->tensors) {
    if (tensor.name == name) return tensor;
    names += " " + tensor.name;
  }
  fail(ErrorCode::invalid_argument, "no tensor is called '{}'; there are:{}", name, names);
}

void* TensorBatch::event() const noexcept {
  return impl_->place->event();
}

void TensorBatch::wait_on(void* stream) const {
  impl_->place->wait_on(stream);
}

void TensorBatch::release_after(void* stream) {
  impl_->place->release_after(stream);
}

DLManagedTensor* TensorBatch::dlpack(std::string_view name, void* stream) const {
  const auto& tensor = (*this)[name];
  auto managed = std::make_unique<Managed>();
  managed->batch = impl_;
  managed->stream = stream;
  wait_on(stream);
  auto& out = managed->tensor.dl_tensor;
  out.data = tensor.data;
  out.device = tensor.device < 0 ? DLDevice{kDLCPU, 0} : DLDevice{kDLCUDA, tensor.device};
  out.ndim = narrow<int>(tensor.shape.size());
  out.dtype = dlpack_type(tensor.type);
  // The batch's own, which lives as long; DLPack's pointers are not const.
  out.shape = const_cast<std::int64_t*>(tensor.shape.data());
  out.strides = const_cast<std::int64_t*>(tensor.strides.data());
  managed->tensor.manager_ctx = managed.get();
  managed->tensor.deleter = delete_managed;
  return &managed.release()->tensor;
}

}  // namespace faro
