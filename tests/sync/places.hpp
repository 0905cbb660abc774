// A GradientSync in each kind of memory, for tests that keep their gradients on the host.
#pragma once

#include <gtest/gtest.h>
#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

#include "../support/emulated_collective.hpp"
#include "../support/emulated_device.hpp"
#include "support.hpp"
#include "sync/session.hpp"

namespace faro::sync {

/// Where gradients are, and what sums them.
struct Where {
  enum class Kind { host, emulated, nccl };
  Kind kind = Kind::host;
  std::uint64_t seed = 0;  // of an emulated device

  [[nodiscard]] std::string name() const;
  /// Why it is not to be had here; empty where it is.
  [[nodiscard]] std::string missing() const;
  /// Of devices that run late, and more or less early.
  static std::vector<Where> emulations();
  /// Host, emulations, and the first GPU of the machine.
  static std::vector<Where> all();
};

/// A test in a place; skipped, and says why, where that is missing.
class InEach : public testing::TestWithParam<Where> {
 protected:
  void SetUp() override {
    if (const auto why = GetParam().missing(); !why.empty()) GTEST_SKIP() << why;
  }
};

inline std::string where_name(const testing::TestParamInfo<Where>& info) {
  return info.param.name();
}

/// What GradientSync is, by the same names. On a device a gradient goes there before its ready(),
/// by a copy on the stream that the GradientSync is told of, and comes back behind wait() on the
/// same stream; the host does not wait in between.
class Sync {
 public:
  Sync(const Where& where, std::vector<GradientParameter> parameters, GradientSyncOptions options);
  Sync(const Sync&) = delete;
  Sync& operator=(const Sync&) = delete;

  void set_weight(std::uint64_t weight) { session_->set_weight(weight); }
  void ready(std::size_t parameter);
  void wait();
  void fail(const Error& error) { session_->fail(error); }
  [[nodiscard]] std::size_t buckets() const { return session_->buckets(); }
  [[nodiscard]] std::string describe() const { return session_->describe(); }
  /// Of memory of the place.
  template <class T>
  void broadcast(std::span<T> values, int root = 0) {
    broadcast_bytes(std::as_writable_bytes(values), root);
  }
  /// While what it returns lives.
  [[nodiscard]] std::shared_ptr<unsigned> no_sync();
  /// Of a parameter that lives in its bucket.
  [[nodiscard]] std::vector<float> gradient(std::size_t parameter);
  void set_gradient(std::size_t parameter, std::span<const float> values);

  /// The first half of ready(): brings a gradient to the device.
  void upload(std::size_t parameter);
  [[nodiscard]] Session& session() { return *session_; }
  /// Of emulations.
  [[nodiscard]] test::EmulatedDevice& emulated() { return *emulated_; }
  [[nodiscard]] test::EmulatedCollective& collective() { return *collective_; }

 private:
  /// A gradient of the test's.
  struct Mirror {
    std::span<std::byte> here;
    std::unique_ptr<cuda::Memory> there;
    std::unique_ptr<cuda::Memory> pinned;
  };

  void to_device(std::byte* there, std::span<const std::byte> here, cuda::Memory& pinned);
  void to_host(std::span<std::byte> here, const std::byte* there, cuda::Memory& pinned);
  void broadcast_bytes(std::span<std::byte> bytes, int root);
  std::unique_ptr<Backend> make_emulated(std::span<const GradientParameter> parameters,
                                         const Layout& layout, const GradientSyncOptions& options,
                                         comm::Communicator& comm);

  test::EmulatedDevice* emulated_ = nullptr;
  test::EmulatedCollective* collective_ = nullptr;
  std::shared_ptr<cuda::Device> device_;  // none: host
  std::unique_ptr<cuda::Stream> stream_;
  std::vector<Mirror> mirrors_;                      // by parameter
  std::vector<std::unique_ptr<cuda::Memory>> kept_;  // of copies that may still be on the stream
  std::unique_ptr<Session> session_;
};

}  // namespace faro::sync
