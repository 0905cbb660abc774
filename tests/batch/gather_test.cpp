// Batch::gather on batches made by hand.
#include <cstring>
#include <string>
#include <vector>

#include "../support/errors.hpp"
#include "batch/batch.hpp"
#include "tar_bytes.hpp"

namespace faro::test {
namespace {

/// A batch of tar samples, each a list of members.
class TarBatch {
 public:
  using Members = std::vector<std::pair<std::string, std::string>>;

  explicit TarBatch(const std::vector<Members>& samples) {
    for (const auto& members : samples) {
      TarBytes tar;
      for (const auto& [name, data] : members) tar.add(name, data);
      stored_.push_back(std::move(tar.bytes));
    }
    exchange::LocalBatch local;
    for (const auto& bytes : stored_) {
      local.samples.push_back({bytes_of(bytes), 100 + local.samples.size(), false, false});
    }
    batch_.emplace(batch::make(std::move(local), 0, *format::make_format({"tar", 0, 0}), {}));
  }
  const Batch* operator->() const { return &*batch_; }

 private:
  std::vector<std::string> stored_;
  std::optional<Batch> batch_;
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string big(char c) {
  return std::string(70'001, c);
}

TEST(Gather, PutsAFieldOfEverySampleInSlotOrderWithoutGaps) {
  const TarBatch batch({{{"a.png", big('a')}, {"a.cls", "1"}},
                        {{"b.cls", ""}, {"b.png", "bb"}},
                        {{"c.png", big('c')}, {"c.cls", "333"}}});
  EXPECT_EQ(batch->bytes("cls"), 4U);
  EXPECT_EQ(batch->bytes("png"), 2 * 70'001U + 2);
  std::vector<std::byte> into(batch->bytes("png"));
  std::vector<std::uint64_t> offsets(4);
  EXPECT_EQ(batch->gather("png", into, offsets), into.size());
  EXPECT_EQ(text_of(into), big('a') + "bb" + big('c'));
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{0, 70'001, 70'003, 140'004}));
  into.resize(10, std::byte{'x'});
  std::fill(into.begin(), into.end(), std::byte{'x'});
  EXPECT_EQ(batch->gather("cls", into, offsets), 4U);
  EXPECT_EQ(text_of(into), "1333xxxxxx");  // nothing behind what was asked for
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{0, 1, 1, 4}));
}

TEST(Gather, TakesAllFieldsWhereNoneIsNamed) {
  const TarBatch batch({{{"a.png", "AA"}, {"a.cls", "1"}}, {{"b.cls", "22"}}});
  std::vector<std::byte> into(batch->bytes(""));
  EXPECT_EQ(batch->gather("", into), 5U);
  EXPECT_EQ(text_of(into), "AA122");
}

TEST(Gather, OfAnEmptyBatchIsEmpty) {
  const TarBatch batch({});
  std::vector<std::uint64_t> offsets{7};
  EXPECT_EQ(batch->bytes("png"), 0U);
  EXPECT_EQ(batch->gather("png", {}, offsets), 0U);
  EXPECT_EQ(offsets[0], 0U);
}

TEST(Gather, SaysWhatIsMissingOrTooSmallAndWritesNothing) {
  const TarBatch batch({{{"a.png", "AA"}}, {{"b.jpg", "B"}}});
  std::vector<std::byte> into(2, std::byte{'x'});
  auto text = error_of([&] { batch->gather("png", into); }, ErrorCode::format);
  EXPECT_SAYS(text, "sample 101 (b) has no field 'png'; it has: jpg");
  EXPECT_SAYS(error_of([&] { static_cast<void>(batch->bytes("cls")); }, ErrorCode::format), "cls");
  text = error_of([&] { batch->gather("", into); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(text, "a buffer of 2 bytes for 3");
  std::vector<std::uint64_t> offsets(2);
  into.resize(3, std::byte{'x'});
  text = error_of([&] { batch->gather("", into, offsets); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(text, "2 offsets for 2 samples");
  EXPECT_EQ(text_of(into), "xxx");
}

}  // namespace
}  // namespace faro::test
