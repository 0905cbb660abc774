// The emulated device finds the faults that it is there for.
#include "../support/emulated_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "../support/errors.hpp"

namespace faro::test {
namespace {

constexpr std::uint64_t bytes = 512;

/// Device memory filled from one stream and read from another, with an event between them or none.
std::byte through_two_streams(std::uint64_t seed, bool with_event) {
  EmulatedDevice device(seed);
  const auto from = device.allocate_pinned(bytes);
  const auto there = device.allocate(bytes);
  const auto back = device.allocate_pinned(bytes);
  const auto first = device.make_stream();
  const auto second = device.make_stream();
  const auto filled = device.make_event();
  const auto end = device.make_event();
  std::ranges::fill(from->bytes(), std::byte{7});
  first->zero(there->bytes().data(), bytes);
  first->copy(there->bytes().data(), from->bytes().data(), bytes);
  if (with_event) {
    first->record(*filled);
    second->wait(*filled);
  }
  second->copy(back->bytes().data(), there->bytes().data(), bytes);
  second->record(*end);
  end->wait();
  const auto value = back->bytes()[bytes - 1];
  device.synchronise();
  return value;
}

TEST(EmulatedDevice, EventsOrderStreams) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    EXPECT_EQ(through_two_streams(seed, true), std::byte{7}) << seed;
  }
}

TEST(EmulatedDevice, AMissingEventShows) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    wrong += through_two_streams(seed, false) == std::byte{7} ? 0 : 1;
  }
  EXPECT_GT(wrong, 10);
  EXPECT_LT(wrong, 60);
}

TEST(EmulatedDevice, MemoryUsedAgainTooEarlyShows) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    EmulatedDevice device(seed);
    const auto from = device.allocate_pinned(bytes);
    const auto there = device.allocate(bytes);
    const auto stream = device.make_stream();
    std::ranges::fill(from->bytes(), std::byte{7});
    stream->copy(there->bytes().data(), from->bytes().data(), bytes);
    std::ranges::fill(from->bytes(), std::byte{8});
    device.synchronise();
    wrong += device.read(there->bytes().data(), 1)[0] == std::byte{7} ? 0 : 1;
  }
  EXPECT_GT(wrong, 10);
}

TEST(EmulatedDevice, AnEventIsItsLastRecord) {
  EmulatedDevice device(3);  // runs nothing before it is asked
  const auto event = device.make_event();
  EXPECT_TRUE(event->done());
  event->wait();
  const auto stream = device.make_stream();
  const auto memory = device.allocate(bytes);
  stream->record(*event);
  event->wait();
  stream->zero(memory->bytes().data(), bytes);
  stream->record(*event);
  event->wait();
  EXPECT_EQ(device.works(), 1);
  EXPECT_TRUE(event->done());
}

TEST(EmulatedDevice, AnEventThatIsAskedForComes) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    EmulatedDevice device(seed);
    const auto event = device.make_event();
    const auto memory = device.allocate(bytes);
    {
      const auto stream = device.make_stream();  // goes before its work
      stream->zero(memory->bytes().data(), bytes);
      stream->record(*event);
    }
    int asked = 0;
    while (!event->done()) ASSERT_LT(++asked, 1000);
  }
}

TEST(EmulatedDevice, StreamsAreBorrowedByTheirHandles) {
  EmulatedDevice device(3);
  const auto stream = device.make_stream();
  const auto event = device.make_event();
  const auto memory = device.allocate(bytes);
  bool ran = false;
  device.put(*device.borrow_stream(stream->native()), [&] { return ran = true; });
  stream->record(*event);
  event->wait();
  EXPECT_TRUE(ran);
  EXPECT_EQ(device.borrow_stream(nullptr)->native(), nullptr);
  int other = 0;
  error_of([&] { static_cast<void>(device.borrow_stream(&other)); }, ErrorCode::device);
}

TEST(EmulatedDevice, TakesAddressesThatItKnowsAlone) {
  EmulatedDevice device(3);
  const auto there = device.allocate(bytes);
  const auto stream = device.make_stream();
  alignas(4096) static std::byte plain[4096];
  const auto put = [&] { stream->copy(there->bytes().data(), plain, bytes); };
  EXPECT_SAYS(error_of(put, ErrorCode::device), "neither the device's, pinned nor locked");
  {
    const auto locked = device.lock_pages(plain);
    put();
    error_of([&] { static_cast<void>(device.lock_pages(plain)); }, ErrorCode::memory);
  }
  // Given back before the work has run.
  error_of([&] { device.synchronise(); }, ErrorCode::device);
  error_of([&] { static_cast<void>(device.make_event()); }, ErrorCode::device);
}

TEST(EmulatedDevice, DeviceMemoryIsNotTheHosts) {
  EmulatedDevice device(1);
  const auto there = device.allocate(bytes);
  EXPECT_EQ(device.device_bytes(), bytes);
  EXPECT_EQ(device.pinned_bytes(), 0);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(there->bytes()[0] = std::byte{1}, "");
}

TEST(EmulatedDevice, FailsAsItIsTold) {
  EmulatedDevice device(3);
  device.fail_allocation(2);
  const auto there = device.allocate(bytes);
  error_of([&] { static_cast<void>(device.allocate_pinned(bytes)); }, ErrorCode::memory);
  const auto pinned = device.allocate_pinned(bytes);
  device.refuse_locks();
  alignas(4096) static std::byte plain[4096];
  error_of([&] { static_cast<void>(device.lock_pages(plain)); }, ErrorCode::memory);

  const auto stream = device.make_stream();
  const auto event = device.make_event();
  device.fail_work(2);
  stream->zero(there->bytes().data(), bytes);
  stream->zero(there->bytes().data(), bytes);
  stream->record(*event);
  error_of([&] { event->wait(); }, ErrorCode::device);
  error_of([&] { static_cast<void>(event->done()); }, ErrorCode::device);
  error_of([&] { stream->zero(there->bytes().data(), bytes); }, ErrorCode::device);
}

}  // namespace
}  // namespace faro::test
