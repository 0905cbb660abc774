// Indexing over several ranks: the same manifest on all, whatever their number, and the same
// errors.
#include <cstring>

#include "base/crc32c.hpp"
#include "comm/comm.hpp"
#include "comm/mpi.hpp"
#include "support.hpp"
#include "tar_bytes.hpp"

namespace faro::test {
namespace {

using manifest::Block;

/// A data set in a folder that rank 0 makes and all see.
class Build : public testing::Test {
 protected:
  Build() {
    if (comm->rank() == 0) folder_.emplace();
    path_ = comm::broadcast_text(*comm, folder_ ? folder_->path() : "", 0);
    config.data = path_;
    config.checksums = true;
  }
  ~Build() override { comm->barrier(); }

  void put(const std::string& name, const std::string& bytes) {
    if (comm->rank() == 0) spill(path_ + name, bytes);
    comm->barrier();
  }
  /// Builds on all ranks, and on each alone: all must be equal. Returns the manifest.
  manifest::Manifest build(manifest::IndexCost* cost = nullptr) {
    auto together = manifest::build(config, *comm, cost);
    EXPECT_EQ(serialise(manifest::build(config, *alone)), serialise(together));
    const auto digest = together.digest();
    EXPECT_EQ(comm::broadcast_text(*comm, digest, 0), digest);
    return together;
  }
  /// The error that all ranks get, the same text on each.
  std::string build_error(ErrorCode code) {
    const auto text = error_of([&] { return manifest::build(config, *comm); }, code);
    EXPECT_EQ(comm::broadcast_text(*comm, text, 0), text);
    return text;
  }
  void many_shards() {
    for (int s = 0; s < 7; ++s) {
      TarBytes t;
      for (int i = 0; i < 20 * s; ++i) {
        const auto key = std::to_string(s) + "-" + std::to_string(i);
        t.add(key + ".png", std::string(static_cast<std::size_t>(1000 * i), 'x'))
            .add(key + ".cls", "1");
      }
      put("s" + std::to_string(s) + ".tar", t.end().bytes);
    }
  }

  std::unique_ptr<comm::Communicator> comm = comm::from_mpi(MPI_COMM_WORLD);
  std::unique_ptr<comm::Communicator> alone = comm::from_mpi(MPI_COMM_SELF);
  Config config;

 private:
  std::optional<Folder> folder_;

 protected:
  std::string path_;
};

TEST_F(Build, TheSameOnAnyNumberOfRanks) {
  many_shards();
  manifest::IndexCost cost;
  const auto m = build(&cost);
  EXPECT_EQ(m.format.name, "tar");
  EXPECT_EQ(m.shards.size(), 7U);
  EXPECT_EQ(m.samples, 20U * (1 + 2 + 3 + 4 + 5 + 6));
  EXPECT_GT(m.blocks.size(), 60U);
  EXPECT_EQ(m.blocks.front().shard, 1U);  // the first one is empty
  std::uint64_t bytes = 0;
  for (const auto& shard : m.shards) bytes += shard.size;
  EXPECT_EQ(m.bytes, bytes - 1024);
  // Every byte once (the empty shard's too), one stat a shard.
  EXPECT_EQ(cost.bytes, bytes);
  EXPECT_GE(cost.requests, 14U);
  std::vector<std::string> shards;
  for (int i = 0; i < 7; ++i) shards.push_back(slurp(path_ + "s" + std::to_string(i) + ".tar"));
  for (const Block& b : m.blocks) {
    EXPECT_EQ(b.flags, Block::has_crc);
    EXPECT_EQ(b.crc32c, crc32c(bytes_of(shards[b.shard]).subspan(b.offset, b.length)));
  }
}

TEST_F(Build, HeadersAlone) {
  many_shards();
  TarBytes t;
  for (int i = 0; i < 6; ++i) t.add(std::to_string(i) + ".bin", std::string(8'000'000, 'x'));
  put("large.tar", t.end().bytes);
  const auto whole = build();
  config.checksums = false;
  manifest::IndexCost cost;
  const auto m = build(&cost);
  EXPECT_LT(cost.bytes, m.bytes / 2);
  ASSERT_EQ(m.blocks.size(), whole.blocks.size());
  for (std::size_t i = 0; i < m.blocks.size(); ++i) {
    EXPECT_EQ(m.blocks[i].offset, whole.blocks[i].offset);
    EXPECT_EQ(m.blocks[i].length, whole.blocks[i].length);
    if (m.blocks[i].flags != 0) {
      EXPECT_EQ(m.blocks[i].crc32c, whole.blocks[i].crc32c);
    }
  }
  EXPECT_EQ(m.blocks.front().flags, 0U);  // of large.tar
}

TEST_F(Build, BlockSize) {
  many_shards();
  config.block_size = 1;
  EXPECT_EQ(build().blocks.size(), 420U);
  config.block_size = 1U << 30U;
  EXPECT_EQ(build().blocks.size(), 6U);
}

TEST_F(Build, Raw) {
  for (int s = 0; s < 5; ++s) {
    put("r" + std::to_string(s),
        s == 3 ? "" : "head" + std::string(static_cast<std::size_t>(s) * 800'000, 'r'));
  }
  config.format = "raw";
  config.raw_header = 4;
  config.raw_record = 100;
  const auto m = build();
  EXPECT_EQ(m.samples, 8000U * (1 + 2 + 4));
  EXPECT_EQ(m.shards.size(), 5U);
  config.checksums = false;
  manifest::IndexCost cost;
  EXPECT_EQ(build(&cost).samples, m.samples);
  EXPECT_EQ(cost.bytes, 0U);
}

TEST_F(Build, TellsItsProgress) {
  many_shards();
  std::uint64_t done = 0;
  std::uint64_t all = 0;
  std::uint64_t bytes = 0;
  const auto m = manifest::build(config, *comm, nullptr,
                                 {.progress =
                                      [&](auto d, auto a, auto b) {
                                        EXPECT_GE(d, done);
                                        done = d;
                                        all = a;
                                        bytes = b;
                                      },
                                  .log = {}});
  EXPECT_EQ(done, comm->rank() == 0 ? 7U : 0U);
  EXPECT_EQ(all, done);
  EXPECT_EQ(bytes, comm->rank() == 0 ? m.bytes + 1024 : 0U);
}

TEST_F(Build, ErrorsAreTheSameOnAllRanksAndNameTheShard) {
  EXPECT_SAYS(build_error(ErrorCode::not_found), path_.substr(0, path_.size() - 1));
  put("e.tar", TarBytes().end().bytes);
  EXPECT_SAYS(build_error(ErrorCode::format), "no samples in the 1 shards");
  many_shards();

  TarBytes good;
  good.add("a.x", "1").add("b.x", std::string(5000, '2')).end();
  put("zz.tar", good.bytes.substr(0, 4096));
  for (const bool checksums : {true, false}) {
    config.checksums = checksums;
    const auto text = build_error(ErrorCode::format);
    EXPECT_SAYS(text, "zz.tar: tar, byte 1024: a member of 5000 bytes where 2560 are left");
  }
  put("zz.tar", good.bytes.substr(0, good.bytes.size() - 1024));
  EXPECT_SAYS(build_error(ErrorCode::format), "zz.tar: tar, byte 6656: the shard is cut short");
  put("zz.tar", "");
  EXPECT_SAYS(build_error(ErrorCode::format), "zz.tar: tar, byte 0: the shard is cut short");
  auto hostile = TarBytes::header("a.x", 0);
  TarBytes::base256(hostile, std::uint64_t{1} << 63U);
  TarBytes::checksum(hostile);
  put("zz.tar", hostile + std::string(4096, '\0'));
  EXPECT_SAYS(build_error(ErrorCode::format),
              "a member of 9223372036854775808 bytes where 4096 are left");
  put("zz.tar", std::string(4096, 'x'));
  EXPECT_SAYS(build_error(ErrorCode::format), "zz.tar: tar, byte 0: no tar header");

  config.data = path_ + "{s1,gone,s2}.tar";
  EXPECT_SAYS(build_error(ErrorCode::not_found), "gone.tar");
  config.data = path_ + "zz.tar";
  config.format = "raw";
  EXPECT_SAYS(build_error(ErrorCode::invalid_argument), "--raw-record");
  config.raw_record = 1000;
  EXPECT_SAYS(build_error(ErrorCode::format),
              "zz.tar: raw, byte 4000: 96 bytes after the last whole record");
  config.format = "zip";
  EXPECT_SAYS(build_error(ErrorCode::invalid_argument), "zip");
}

}  // namespace
}  // namespace faro::test
