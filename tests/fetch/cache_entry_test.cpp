// Names and headers of cached blocks: the same for the same content, different for any other.
#include "fetch/cache_entry.hpp"

#include <gtest/gtest.h>

#include <set>

#include "blocks.hpp"

namespace faro::fetch {
namespace {

Key key_of_first(const manifest::Manifest& m) {
  return *Keys(m).of(0);
}

TEST(Key, TellsContentApart) {
  const auto original = test::make_blocks(10);
  std::set<Key> keys;
  for (std::uint64_t b = 0; b < 10; ++b) keys.insert(*Keys(original).of(b));
  const auto differs = [&](const auto& change) {
    auto m = original;
    change(m);
    EXPECT_TRUE(keys.insert(key_of_first(m)).second);
  };
  differs([](auto& m) { m.shards[0].uri = "https://store/c.bin"; });
  differs([](auto& m) { m.shards[0].uri = "http://store/a.bin"; });
  differs([](auto& m) { m.shards[0].uri = "https://store2/a.bin"; });
  differs([](auto& m) { ++m.shards[0].size; });
  differs([](auto& m) { m.shards[0].etag = "\"other\""; });
  differs([](auto& m) {
    m.shards[0].etag = "";
    m.blocks[0].flags = 1;
  });
  differs([](auto& m) { ++m.blocks[0].offset; });
  differs([](auto& m) { ++m.blocks[0].length; });
  differs([](auto& m) { m.blocks[0].flags = manifest::Block::has_crc; });
  differs([](auto& m) {
    m.blocks[0].flags = manifest::Block::has_crc;
    m.blocks[0].crc32c = 1;
  });
}

TEST(Key, HasNoSecretInIt) {
  const auto first = test::make_blocks(2);
  auto second = first;
  second.shards[0].uri = "https://other:password@store/a.bin?sign=another";
  EXPECT_EQ(key_of_first(first), key_of_first(second));
}

TEST(Key, IsNotThereWhereNothingTellsOfAChange) {
  auto m = test::make_blocks(2);
  m.shards[0].etag = "";
  EXPECT_FALSE(Keys(m).of(0));
  EXPECT_TRUE(Keys(m).of(1));
}

TEST(Key, Text) {
  const Key key{0x0123456789abcdef, 1};
  EXPECT_EQ(key.text(), "0123456789abcdef0000000000000001");
  EXPECT_EQ(Key::parse(key.text()), key);
  for (const auto* text :
       {"", "0123", "0123456789abcdef000000000000000g", "0123456789ABCDEF0000000000000001",
        "-123456789abcdef0000000000000001", "0123456789abcdef00000000000000011"}) {
    EXPECT_FALSE(Key::parse(text)) << text;
  }
}

TEST(EntryHeader, EveryBitCounts) {
  const Entry entry{3, {5, 6}, 1000};
  const auto good = EntryHeader::make(entry, 77);
  EXPECT_TRUE(good.is_of(entry));
  for (std::size_t bit = 0; bit < 8 * sizeof(good); ++bit) {
    auto bad = good;
    std::as_writable_bytes(std::span(&bad, 1))[bit / 8] ^= std::byte(1U << bit % 8);
    EXPECT_FALSE(bad.is_of(entry)) << bit;
  }
  EXPECT_FALSE(good.is_of({3, {5, 7}, 1000}));
  EXPECT_FALSE(good.is_of({3, {5, 6}, 1001}));
  EXPECT_FALSE(EntryHeader{}.is_of(entry));
  EXPECT_FALSE(EntryHeader{}.is_of({}));
}

}  // namespace
}  // namespace faro::fetch
