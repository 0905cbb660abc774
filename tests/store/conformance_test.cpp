// What every store must do, run over each of them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string percent_encoded(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

class Conformance : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string kind = GetParam();
    if (kind == "file") {
      files_ = std::make_unique<TempDir>();
      root_ = files_->path();
      base_ = "file://" + root_.string();
    } else if (kind == "http" || kind == "https") {
      base_ = kind == "http" ? nginx().http() : nginx().https();
      root_ = nginx().data();
      options_.ca_file = nginx().ca_file();
    } else {
      if (!Radosgw::installed()) GTEST_SKIP() << Radosgw::missing;
      base_ = "s3://bucket";
      options_ = s3_options(kind == "s3" ? radosgw().http() : radosgw().https());
      options_.ca_file = radosgw().ca_file();
      use_credentials(Radosgw::key, Radosgw::secret);
    }
    put("object", object_);
  }

  [[nodiscard]] bool is_s3() const { return base_ == "s3://bucket"; }

  [[nodiscard]] std::string uri(const std::string& name = "object") const {
    return base_ + "/" + name;
  }

  void put(const std::string& name, const std::vector<std::byte>& bytes) {
    if (is_s3()) {
      radosgw().put("bucket/" + name, bytes);
    } else {
      write_file(root_ / name, bytes);
    }
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

// Names are bytes: none of them means anything on the way to the store, or is encoded twice.
TEST_P(Conformance, NamesHoldWhateverTheyHold) {
  for (const std::string name : {"a b/c+d=e&f", "quote'(x):e,%25.bin", "größe/~tilde_-.*!$;@"}) {
    put(name, pattern(100, 3));
    const bool encoded = !files_ && !is_s3();  // http:// takes URLs as they are
    const auto read_name = encoded ? percent_encoded(name) : name;
    std::vector<std::byte> memory(100);
    const auto done = read(read_name, {0, 100}, memory.data());
    ASSERT_FALSE(done.error) << done.error->what();
    EXPECT_EQ(memory, pattern(100, 3)) << name;
  }
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
  put("empty", {});
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
  put("denied/object", object_);
  if (is_s3()) use_credentials(Radosgw::stranger, Radosgw::stranger_secret);
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
  put("replaced", object_);
  const auto expect = stat_one(options_, uri("replaced")).info;
  std::vector<std::byte> memory(100);
  EXPECT_FALSE(read("replaced", {5, 100}, memory.data(), expect).error);

  // Same size, later: nginx's ETag is made of size and mtime in seconds.
  put("replaced", pattern(object_.size(), 1));
  if (!is_s3()) {
    fs::last_write_time(root_ / "replaced", fs::file_time_type::clock::now() + 10s);
  }
  auto done = read("replaced", {5, 100}, memory.data(), expect);
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::changed) << done.error->what();
  EXPECT_EQ(done.attempts, 1u);

  put("replaced", pattern(1000));
  done = read("replaced", {5, 100}, memory.data(), ObjectInfo{expect.size, "", {}});
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::changed) << done.error->what();
}

TEST_P(Conformance, DestroyedInFlight) {
  constexpr std::uint64_t part = 1 << 17;
  put("large", pattern(16 * part));
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

INSTANTIATE_TEST_SUITE_P(Stores, Conformance,
                         ::testing::Values("file", "http", "https", "s3", "s3_tls"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace faro::store::testing
