// Whether MPI carries device memory: what is said where it does, does not, or cannot be asked.
#include "loader/device_messages.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <thread>

#include "../support/errors.hpp"
#include "comm/threads.hpp"

namespace faro::loader {
namespace {

class HostMemory final : public cuda::Memory {
 public:
  explicit HostMemory(std::uint64_t bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes() const noexcept override { return bytes_; }

 private:
  mutable std::vector<std::byte> bytes_;
};

class AtOnce final : public cuda::Event {
 public:
  bool done() override { return true; }
  void wait() override {}
  void* native() const noexcept override { return nullptr; }
};

class Copies final : public cuda::Stream {
 public:
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void zero(std::byte* memory, std::uint64_t bytes) override { std::memset(memory, 0, bytes); }
  void gather(const cuda::Gather&) override {}
  void widen(const cuda::Widen&) override {}
  void narrow(const cuda::Narrow&) override {}
  void record(cuda::Event&) override {}
  void wait(cuda::Event&) override {}
  void* native() const noexcept override { return nullptr; }
};

/// A GPU whose memory everyone can reach, as if MPI were aware of CUDA.
class Reachable final : public cuda::Device {
 public:
  explicit Reachable(bool full = false) : full_(full) {}
  int number() const noexcept override { return 0; }
  std::string name() const override { return "reachable"; }
  std::unique_ptr<cuda::Memory> allocate(std::uint64_t bytes) override {
    check(!full_, ErrorCode::memory, "0 bytes are free");
    return std::make_unique<HostMemory>(bytes);
  }
  std::unique_ptr<cuda::Memory> allocate_pinned(std::uint64_t bytes) override {
    return std::make_unique<HostMemory>(bytes);
  }
  std::unique_ptr<cuda::Memory> lock_pages(std::span<std::byte>) override { return nullptr; }
  std::unique_ptr<cuda::Stream> make_stream() override { return std::make_unique<Copies>(); }
  std::unique_ptr<cuda::Event> make_event() override { return std::make_unique<AtOnce>(); }
  bool holds(const void*) const override { return false; }
  void with_current(const std::function<void()>& work) override { work(); }
  std::unique_ptr<cuda::Stream> borrow_stream(void*) override { return make_stream(); }

 private:
  bool full_;
};

/// What lies between ranks: messages that change on their way, or take long.
class Bad final : public comm::Network {
 public:
  Bad(bool changes, bool late) : changes_(changes), late_(late) {}
  Clock::duration delay(int from, int to) override {
    return late_ && from != to ? std::chrono::seconds(3600) : Clock::duration::zero();
  }
  bool eager(std::uint64_t) override { return false; }
  void call(int, const char*) override {}
  void arrived(int, int, std::span<std::byte> bytes) override {
    if (changes_) bytes.back() ^= std::byte{1};
  }

 private:
  bool changes_;
  bool late_;
};

using Devices = std::vector<std::shared_ptr<cuda::Device>>;

OpenDevice opener(const std::shared_ptr<cuda::Device>& device) {
  if (device == nullptr) return {};
  return [device] { return device; };
}

/// What all ranks say, which is the same. \param senders by rank; else the first sends to the
/// second
std::string said_by(const Devices& devices, const std::vector<std::optional<bool>>& says,
                    std::shared_ptr<comm::Network> network = nullptr,
                    std::vector<int> senders = {}) {
  if (senders.empty()) senders.assign(devices.size(), -1);
  if (devices.size() > 1 && senders[1] < 0) senders[1] = 0;
  auto comms = comm::make_threads({std::vector<int>(devices.size(), 0), true, network});
  std::vector<DeviceMessages> all(devices.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    threads.emplace_back([&, i] {
      all[i] = try_device_messages(*comms[i], says[i], opener(devices[i]), senders, 0.2);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& one : all) {
    EXPECT_EQ(one.text, all[0].text);
    EXPECT_EQ(one.carried, all[0].text.starts_with("yes"));
    EXPECT_EQ(one.left_behind, all[0].text.starts_with("no, although"));
  }
  return all[0].text;
}
std::string said(const Devices& devices, std::optional<bool> says,
                 std::shared_ptr<comm::Network> network = nullptr, std::vector<int> senders = {}) {
  return said_by(devices, std::vector(devices.size(), says), std::move(network),
                 std::move(senders));
}

const auto device = std::make_shared<Reachable>();

TEST(DeviceMessages, AreTriedWhereMpiSaysThatItTakesThem) {
  EXPECT_SAYS(said({device, device}, true), "yes: ");
  EXPECT_SAYS(said({device, device, device}, true), "yes: ");
  EXPECT_SAYS(said({device, device, device}, true, nullptr, {1, 2, 0}), "yes: ");
  EXPECT_SAYS(said({device, device, device}, true, nullptr, {2, 2, 0}), "yes: ");
}

TEST(DeviceMessages, AreNotSentWhereTheyCannotBe) {
  EXPECT_EQ(said({nullptr}, true), "not tried: no device");
  EXPECT_EQ(said({device, nullptr}, true), "not tried: no device");
  EXPECT_SAYS(said({device}, true), "two ranks");
  EXPECT_SAYS(said({device, device}, std::nullopt), "MPI does not say");
  EXPECT_SAYS(said({device, device}, false), "host memory alone");
  EXPECT_SAYS(said_by({device, device}, {true, false}), "host memory alone");
  EXPECT_SAYS(said_by({device, device}, {true, std::nullopt}), "MPI does not say");
}

TEST(DeviceMessages, WhatComesIsLookedAt) {
  EXPECT_SAYS(said({device, device}, true, std::make_shared<Bad>(true, false)),
              "no, although MPI says so: wrong bytes");
  EXPECT_SAYS(said({device, device}, true, std::make_shared<Bad>(false, true)),
              "no, although MPI says so: a message does not come");
}

TEST(DeviceMessages, AFullDeviceIsNoError) {
  const auto full = std::make_shared<Reachable>(true);
  EXPECT_SAYS(said({device, full}, true), "not tried: 0 bytes are free");
}

}  // namespace
}  // namespace faro::loader
