// One shard: what other tools read in it, and what is left where it fails.
#include "pack/shard_writer.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "support.hpp"

namespace faro::pack::test {
namespace {

SourceSample sample(const std::string& key, const std::string& payload) {
  const auto* begin = reinterpret_cast<const std::byte*>(payload.data());
  SourceSample made{.key = key, .fields = {}};
  made.fields.push_back({"txt", {begin, begin + payload.size()}});
  made.fields.push_back({"empty", {}});
  return made;
}

/// A shard of a directory.
struct Shard {
  explicit Shard(const std::string& directory, const std::string& name = "a.tar")
      : target(open_directory(directory)), output(target->create(name)), writer(*output, name) {}

  std::unique_ptr<Target> target;
  std::unique_ptr<Output> output;
  ShardWriter writer;
};

TEST(ShardWriter, AppearsOnlyWhenCommitted) {
  const Directory dir;
  const std::string path = dir / "a.tar";
  {
    Shard shard(dir.path());
    shard.writer.add(sample("000000", "hello"));
    EXPECT_EQ(shard.writer.finish(), 512U + 512U + 512U + 1024U);  // headers, payload, the end
    EXPECT_FALSE(fs::exists(path));
    shard.target->commit();
  }
  EXPECT_EQ(fs::file_size(path), 2560U);
  {
    Shard abandoned(dir.path(), "b.tar");
    abandoned.writer.add(sample("000000", "hello"));
  }
  {
    Shard finished(dir.path(), "c.tar");
    finished.writer.finish();
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

TEST(ShardWriter, PythonReadsIt) {
  const Directory dir;
  Shard shard(dir.path());
  shard.writer.add(sample("000000", "hello"));
  shard.writer.add(sample("000001", std::string(3'000, 'x')));
  shard.writer.finish();
  shard.target->commit();
  const std::string script =
      "import sys, tarfile\n"
      "t = tarfile.open(sys.argv[1])\n"
      "m = t.getmembers()\n"
      "assert [(x.name, x.size) for x in m] == [('000000.txt', 5), ('000000.empty', 0),"
      " ('000001.txt', 3000), ('000001.empty', 0)], m\n"
      "assert all((x.mtime, x.uid, x.gid, x.mode) == (0, 0, 0, 0o644) for x in m)\n"
      "assert t.extractfile(m[0]).read() == b'hello'\n";
  write(dir / "check.py", script);
  EXPECT_EQ(std::system(("/usr/bin/python3 " + dir / "check.py" + " " + dir / "a.tar").c_str()), 0);
}

TEST(ShardWriter, RefusesNamesThatAShardCannotHold) {
  const Directory dir;
  Shard shard(dir.path());
  ShardWriter& writer = shard.writer;
  for (const char* key : {"", "a.b", "/a", "a/"}) {
    EXPECT_EQ(error_of([&] { writer.add(sample(key, "x")); }).code(), ErrorCode::invalid_argument)
        << key;
  }
  EXPECT_EQ(error_of([&] { writer.add(sample(std::string(300, 'k'), "x")); }).code(),
            ErrorCode::invalid_argument);
  SourceSample upper = sample("000000", "x");
  upper.fields[0].name = "PNG";
  EXPECT_EQ(error_of([&] { writer.add(upper); }).code(), ErrorCode::invalid_argument);
}

TEST(ShardWriter, SaysWhereItCannotWrite) {
  const Directory dir;
  const Error error = error_of([&] { const Shard shard(dir / "none"); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_NE(std::string(error.what()).find("none/a.tar"), std::string::npos) << error.what();
}

// A write that fails: a file size limit stands for a full disk, which needs root to make.
TEST(ShardWriter, LeavesNothingWhereWritingFails) {
  const Directory dir;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &small);
  const Error error = error_of([&] {
    Shard shard(dir.path());
    ShardWriter& writer = shard.writer;
    for (int i = 0; i < 40; ++i) writer.add(sample(padded(i, 40), std::string(100'000, 'x')));
    writer.finish();
  });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(error.code(), ErrorCode::io) << error.what();
  EXPECT_NE(std::string(error.what()).find("a.tar"), std::string::npos) << error.what();
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(ShardWriter, SaysThatTheDiskIsFull) {
  if (!fs::exists("/dev/full"))
    GTEST_SKIP() << "a full disk is acted by /dev/full, which this system does not have";
  const Directory dir;
  fs::create_symlink("/dev/full", dir / "a.tar.part");
  const Error error = error_of([&] {
    Shard shard(dir.path());
    shard.writer.add(sample("000000", "hello"));
    shard.writer.finish();
  });
  EXPECT_EQ(error.code(), ErrorCode::io);
  EXPECT_NE(std::string(error.what()).find("free some space"), std::string::npos) << error.what();
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

}  // namespace
}  // namespace faro::pack::test
