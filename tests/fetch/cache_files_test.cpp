// A cache's directory: its limit, what dead writers leave behind, and that nothing else is touched.
#include "fetch/cache_directory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <random>
#include <thread>

#include "../support/errors.hpp"
#include "blocks.hpp"

namespace faro::fetch {
namespace {

namespace fs = std::filesystem;
using test::error_of;
constexpr std::uint64_t page = 4096;

Key key_of(std::uint64_t n) {
  return {n * 0x9e3779b97f4a7c15, n};
}

CacheFiles::Room put(CacheFiles& files, std::uint64_t n, std::uint64_t bytes, std::uint64_t limit) {
  File file;
  std::string name;
  const auto room = files.make(key_of(n), bytes, limit, file, name);
  if (room == CacheFiles::Room::made) files.publish(key_of(n), name, bytes);
  return room;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(CacheFiles, TheLimitHolds) {
  const test::TemporaryDirectory directory;
  CacheFiles files(directory.path());
  EXPECT_TRUE(files.mend(10 * page).empty());
  using enum CacheFiles::Room;
  for (std::uint64_t n = 0; n < 9; ++n) EXPECT_EQ(put(files, n, 100, 10 * page), made) << n;
  EXPECT_EQ(put(files, 9, 100, 10 * page), full);
  EXPECT_EQ(put(files, 3, 100, 10 * page), present);
  EXPECT_EQ(directory.bytes(), 10 * page);
  EXPECT_TRUE(files.remove(key_of(4)));
  EXPECT_FALSE(files.remove(key_of(4)));
  EXPECT_EQ(put(files, 9, page + 1, 10 * page), full);
  EXPECT_EQ(put(files, 9, page, 10 * page), made);
  EXPECT_EQ(put(files, 10, 100, 5), full);
  EXPECT_EQ(put(files, 10, UINT64_MAX / 2, 10 * page), full);
}

TEST(CacheFiles, MendsWhatTheDeadLeave) {
  const test::TemporaryDirectory directory;
  File live;
  std::string live_name;
  CacheFiles writer(directory.path());
  static_cast<void>(writer.mend(100 * page));
  ASSERT_EQ(writer.make(key_of(1), 100, 100 * page, live, live_name), CacheFiles::Room::made);
  ASSERT_EQ(put(writer, 2, 3 * page, 100 * page), CacheFiles::Room::made);

  const auto root = directory.path() + "/faro-cache-1";
  const auto entry = writer.path(key_of(2));
  const auto folder = entry.substr(0, entry.find_last_of('/'));
  const auto left = entry + ".123.4.part";
  write(left, std::string(5 * page, 'x'));
  // What is not a cache's.
  const std::array others{directory.path() + "/mine", root + "/notes", folder + "/notes",
                          folder + "/0123.part", entry + "x"};
  for (const auto& other : others) write(other, "x");
  write(root + "/lock", "nonsense");

  CacheFiles files(directory.path());
  const auto found = files.mend(100 * page);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key, key_of(2));
  EXPECT_EQ(found[0].bytes, 3 * page);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(live_name));
  for (const auto& other : others) EXPECT_TRUE(fs::exists(other)) << other;
  // The lock, the live writer's and the entry are counted: 5 pages.
  EXPECT_EQ(put(files, 3, 5 * page + 1, 10 * page), CacheFiles::Room::full);
  EXPECT_EQ(put(files, 3, 5 * page, 10 * page), CacheFiles::Room::made);
  writer.discard(live_name, 100);
  EXPECT_EQ(put(files, 4, page, 10 * page), CacheFiles::Room::made);
  EXPECT_EQ(put(files, 5, 1, 10 * page), CacheFiles::Room::full);
}

TEST(CacheFiles, ALowerLimitRemovesTheOldest) {
  const test::TemporaryDirectory directory;
  CacheFiles files(directory.path());
  static_cast<void>(files.mend(100 * page));
  for (std::uint64_t n = 0; n < 6; ++n) {
    put(files, n, page, 100 * page);
    const std::array<timespec, 2> times{{{0, 0}, {static_cast<time_t>(1000 + n), 0}}};
    utimensat(AT_FDCWD, files.path(key_of(n)).c_str(), times.data(), 0);
  }
  files.touch(key_of(0));
  const auto found = files.mend(4 * page);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].key, key_of(4));
  EXPECT_EQ(found[1].key, key_of(5));
  EXPECT_EQ(found[2].key, key_of(0));
  EXPECT_EQ(directory.bytes(), 4 * page);
  // One that was touched since it was listed is in use.
  files.touch(key_of(4));
  EXPECT_FALSE(files.remove(key_of(4), &found[0].touched));
  EXPECT_TRUE(files.remove(key_of(5), &found[1].touched));
}

TEST(CacheFiles, BadDirectories) {
  const test::TemporaryDirectory directory;
  const auto file = directory.path() + "/file";
  write(file, "x");
  const auto text = error_of([&] { CacheFiles files(file); }, ErrorCode::io);
  EXPECT_SAYS(text, file);
  EXPECT_SAYS(text, "cannot be made");
  error_of([] { CacheFiles files("/proc/cache"); });
  error_of([] { CacheFiles files("/sys/cache"); });
}

TEST(CacheFiles, SomethingElseInAnEntrysPlace) {
  const test::TemporaryDirectory directory;
  CacheFiles files(directory.path());
  static_cast<void>(files.mend(100 * page));
  put(files, 1, page, 100 * page);
  files.remove(key_of(1));
  fs::create_directory(files.path(key_of(1)));
  EXPECT_EQ(put(files, 1, page, 100 * page), CacheFiles::Room::present);
  EXPECT_TRUE(files.remove(key_of(1)));
  EXPECT_EQ(put(files, 1, page, 100 * page), CacheFiles::Room::made);
  fs::remove_all(directory.path());
  error_of([&] { put(files, 2, page, 100 * page); }, ErrorCode::io);
}

/// Writes and removes at random until it is killed.
[[noreturn]] void churn(const std::string& directory, std::uint64_t limit, unsigned seed) {
  CacheFiles files(directory);
  std::mt19937 random(seed);
  for (;;) {
    const std::uint64_t n = random() % 40;
    const std::uint64_t bytes = 1 + random() % (3 * page);
    if (random() % 3 == 0) {
      files.remove(key_of(n));
      continue;
    }
    File file;
    std::string name;
    if (files.make(key_of(n), bytes, limit, file, name) != CacheFiles::Room::made) continue;
    const std::vector<std::byte> content(bytes);
    static_cast<void>(file.write(content, 0, {}, 0));
    if (random() % 4 == 0) {
      files.discard(name, bytes);
    } else {
      files.publish(key_of(n), name, bytes);
    }
  }
}

TEST(CacheFiles, KilledWritersNeverTakeItPastItsLimit) {
  const test::TemporaryDirectory directory;
  constexpr std::uint64_t limit = 30 * page;
  static_cast<void>(CacheFiles(directory.path()).mend(limit));
  std::mt19937 random(7);
  for (unsigned round = 0; round < 12; ++round) {
    std::array<pid_t, 3> writers{};
    for (auto& writer : writers) {
      const auto seed = static_cast<unsigned>(random());
      writer = fork();
      if (writer == 0) churn(directory.path(), limit, seed);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 20));
    // One dies while the others go on, and another job begins beside them.
    kill(writers[0], SIGKILL);
    waitpid(writers[0], nullptr, 0);
    static_cast<void>(CacheFiles(directory.path()).mend(limit));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_LE(directory.bytes(), limit);
    for (const auto writer : {writers[1], writers[2]}) {
      kill(writer, SIGKILL);
      waitpid(writer, nullptr, 0);
    }
    EXPECT_LE(directory.bytes(), limit);
    CacheFiles files(directory.path());
    std::uint64_t counted = page;
    for (const auto& found : files.mend(limit)) counted += (found.bytes + page - 1) / page * page;
    EXPECT_EQ(directory.bytes(), counted) << "leftovers";
    // What is free is known exactly: after mending it can be filled up.
    for (std::uint64_t n = 1000 + round * 100;; ++n) {
      if (put(files, n, 1, limit) != CacheFiles::Room::made) break;
    }
    EXPECT_EQ(directory.bytes(), limit);
    for (const auto& found : files.mend(limit)) {
      if (found.key.low >= 1000) files.remove(found.key);
    }
  }
}

}  // namespace
}  // namespace faro::fetch
