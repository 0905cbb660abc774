// What every store must do, run over each of them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class Conformance : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string kind = GetParam();
    if (kind == "file") {
      files_ = std::make_unique<TempDir>();
      root_ = files_->path();
      base_ = "file://" + root_.string();
    } else {
      base_ = kind == "http" ? nginx().http() : nginx().https();
      root_ = nginx().data();
      options_.ca_file = nginx().ca_file();
    }
    write_file(root_ / "object", object_);
  }

  [[nodiscard]] std::string uri(const std::string& name = "object") const {
    return base_ + "/" + name;
  }

  Completion read(const std::string& name, ByteRange range, std::byte* into,
                  std::optional<ObjectInfo> expect = std::nullopt) {
    return read_one(options_, {1, uri(name), range, into, std::move(expect)});
  }

  std::unique_ptr<TempDir> files_;
  fs::path root_;
  std::string base_;
  Options options_ = quick_options();
  const std::vector<std::byte> object_ = pattern(3'000'017);
};

TEST_P(Conformance, TellsSizeAndETag) {
  const auto done = stat_one(options_, uri());
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_EQ(done.info.size, object_.size());
  EXPECT_FALSE(done.info.etag.empty());
  EXPECT_EQ(done.attempts, 1u);
}

TEST_P(Conformance, ReadsExactlyTheRange) {
  const std::uint64_t size = object_.size();
  const auto expect = stat_one(options_, uri()).info;
  for (const ByteRange range : {ByteRange{0, 1}, ByteRange{0, size}, ByteRange{size - 1, 1},
                                ByteRange{12'345, 1'000'000}, ByteRange{size - 70'000, 70'000}}) {
    constexpr std::size_t margin = 64;
    std::vector<std::byte> memory(range.length + 2 * margin, std::byte{0xa5});
    const auto done = read("object", range, memory.data() + margin, expect);
    ASSERT_FALSE(done.error) << done.error->what();
    EXPECT_EQ(done.info.size, size);
    EXPECT_EQ(done.info.etag, expect.etag);
    EXPECT_TRUE(std::equal(memory.begin() + margin, memory.end() - margin,
                           object_.begin() + static_cast<std::ptrdiff_t>(range.offset)));
    for (std::size_t i = 0; i < margin; ++i) {
      EXPECT_EQ(memory[i], std::byte{0xa5});
      EXPECT_EQ(memory[memory.size() - 1 - i], std::byte{0xa5});
    }
  }
}

TEST_P(Conformance, ReadsManyRangesAtOnce) {
  options_.max_requests = 16;
  Client client(options_);
  std::vector<std::byte> memory(object_.size());
  constexpr std::uint64_t part = 10'007;
  std::uint64_t id = 0;
  for (std::uint64_t at = 0; at < memory.size(); at += part, ++id) {
    const auto length = std::min<std::uint64_t>(part, memory.size() - at);
    client.read({id, uri(), {at, length}, memory.data() + at, std::nullopt});
  }
  EXPECT_EQ(client.pending(), id);
  auto done = finish(client);
  ASSERT_EQ(done.size(), id);
  std::sort(done.begin(), done.end(), [](auto& a, auto& b) { return a.id < b.id; });
  for (std::uint64_t i = 0; i < id; ++i) {
    EXPECT_EQ(done[i].id, i);
    EXPECT_FALSE(done[i].error) << done[i].error->what();
  }
  EXPECT_EQ(memory, object_);
  EXPECT_EQ(client.counters().requests, id);
  EXPECT_EQ(client.counters().retries, 0u);
  EXPECT_EQ(client.counters().bytes, object_.size());
  EXPECT_EQ(client.counters().wasted_bytes, 0u);
}

TEST_P(Conformance, EmptyRangeNeedsNoRequest) {
  Client client(options_);
  client.read({7, uri("missing"), {0, 0}, nullptr, std::nullopt});
  EXPECT_EQ(client.pending(), 1u);
  const auto done = finish(client);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].id, 7u);
  EXPECT_FALSE(done[0].error);
  EXPECT_EQ(client.counters().requests, 0u);
}

TEST_P(Conformance, EmptyObjectHasSizeZero) {
  write_file(root_ / "empty", {});
  const auto done = stat_one(options_, uri("empty"));
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_EQ(done.info.size, 0u);
  std::byte byte{};
  const auto read_past = read("empty", {0, 1}, &byte);
  ASSERT_TRUE(read_past.error);
}

TEST_P(Conformance, MissingObject) {
  std::byte byte{};
  for (const auto& done : {stat_one(options_, uri("missing")), read("missing", {0, 1}, &byte)}) {
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code(), ErrorCode::not_found);
    EXPECT_EQ(done.attempts, 1u);
    EXPECT_NE(std::string(done.error->what()).find("/missing"), std::string::npos);
    EXPECT_EQ(std::string(done.error->what()).find('\n'), std::string::npos);
  }
}

TEST_P(Conformance, RefusedObject) {
  write_file(root_ / "denied/object", object_);
  if (files_) {
    if (geteuid() == 0)
      GTEST_SKIP() << "root may read any file, so none is refused to it; http and https test it";
    fs::permissions(root_ / "denied/object", fs::perms::none);
  }
  std::byte byte{};
  for (const auto& done :
       {stat_one(options_, uri("denied/object")), read("denied/object", {0, 1}, &byte)}) {
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code(), ErrorCode::access_denied);
  }
}

TEST_P(Conformance, RangePastTheEnd) {
  std::vector<std::byte> memory(200, std::byte{0xa5});
  for (const std::uint64_t offset : {object_.size() - 100, object_.size(), object_.size() + 1000}) {
    const auto done = read("object", {offset, 101}, memory.data());
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code(), ErrorCode::changed) << done.error->what();
    EXPECT_EQ(memory, std::vector<std::byte>(200, std::byte{0xa5}));
  }
}

TEST_P(Conformance, AnotherObjectThanExpected) {
  write_file(root_ / "replaced", object_);
  const auto expect = stat_one(options_, uri("replaced")).info;
  std::vector<std::byte> memory(100);
  EXPECT_FALSE(read("replaced", {5, 100}, memory.data(), expect).error);

  // Same size, later: nginx's ETag is made of size and mtime in seconds.
  write_file(root_ / "replaced", pattern(object_.size(), 1));
  fs::last_write_time(root_ / "replaced", fs::file_time_type::clock::now() + 10s);
  auto done = read("replaced", {5, 100}, memory.data(), expect);
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::changed) << done.error->what();
  EXPECT_EQ(done.attempts, 1u);

  write_file(root_ / "replaced", pattern(1000));
  done = read("replaced", {5, 100}, memory.data(), ObjectInfo{expect.size, ""});
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::changed) << done.error->what();
}

TEST_P(Conformance, DestroyedInFlight) {
  constexpr std::uint64_t part = 1 << 17;
  write_file(root_ / "large", pattern(16 * part));
  for (int round = 0; round < 6; ++round) {
    std::vector<std::byte> memory(64 * part);
    {
      Client client(options_);
      for (std::uint64_t i = 0; i < 64; ++i) {
        client.read({i, uri("large"), {i % 16 * part, part}, memory.data() + i * part, {}});
      }
      std::vector<Completion> done;
      for (int i = 0; i < round; ++i) client.poll(done, 1ms);
    }
    const std::vector<std::byte> untouched(memory.size(), std::byte{0x5a});
    memory = untouched;
    std::this_thread::sleep_for(2ms);
    EXPECT_EQ(memory, untouched);
  }
}

TEST_P(Conformance, ReturnsAfterWake) {
  options_.stall_timeout = 30;
  Client client(options_);
  std::vector<std::byte> memory(object_.size());
  std::atomic<bool> stop = false;
  std::thread waker([&] {
    while (!stop) client.wake();
  });
  for (std::uint64_t i = 0; i < 20; ++i) {
    client.read({i, uri(), {0, memory.size()}, memory.data(), {}});
    EXPECT_EQ(finish(client).size(), 1u);
  }
  stop = true;
  waker.join();
  EXPECT_EQ(memory, object_);
}

INSTANTIATE_TEST_SUITE_P(Stores, Conformance, ::testing::Values("file", "http", "https"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace faro::store::testing
