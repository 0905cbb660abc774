// Uploads: what a store ends up with, and what is left in it where one fails.
#include "store/upload.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/errors.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

using faro::test::error_of;

/// A part of the test's own bytes.
std::vector<std::byte> bytes_of(std::size_t size) {
  return pattern(size, 3);
}

class Uploads : public ::testing::Test {
 protected:
  void SetUp() override { use_credentials("key", "secret"); }

  static Options options() {
    auto options = s3_options(fault_server().endpoint());
    options.attempts = 4;
    options.outage_deadline = 1;
    return options;
  }

  static std::string path(const std::string& spec) {
    return "/" + spec + "/" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  /// The kinds of the requests that an object has had: "init part part complete head".
  static std::string kinds(const std::string& spec) {
    std::string all;
    for (const auto& request : fault_server().log(path(spec))) {
      all += (all.empty() ? "" : " ") + request["kind"].get<std::string>();
    }
    return all;
  }

  static Finished send(Uploader& uploader, const std::string& spec, std::size_t parts = 2) {
    Finished object{uploader.begin({FaultServer::s3(path(spec))}).front(), {}, 0};
    object.etags.resize(parts);
    for (std::uint64_t i = 0; i < parts; ++i) {
      uploader.send(object.upload, {0, i + 1, 0, {}}, bytes_of(1000 + i));
      object.size += 1000 + i;
    }
    for (auto& part : uploader.stored(true)) object.etags[part.number - 1] = part.etag;
    return object;
  }

  /// The error that an upload of two parts ends in.
  static Error fails(const std::string& spec) {
    return error_of([&] {
      Uploader uploader(options());
      uploader.commit({send(uploader, spec)});
    });
  }

  static std::vector<std::byte> stored(const std::string& spec, std::size_t size) {
    std::vector<std::byte> out(size);
    const auto done =
        read_one(options(), {0, FaultServer::s3(path(spec)), {0, size}, out.data(), {}});
    EXPECT_FALSE(done.error) << done.error->what();
    return out;
  }
};

TEST_F(Uploads, PartsInOrderBecomeTheObject) {
  {
    Uploader uploader(options());
    uploader.commit({send(uploader, "ok", 3)});
  }
  std::vector<std::byte> expected;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto part = bytes_of(1000 + i);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(kinds("ok"), "init part part part complete head");
  EXPECT_EQ(stored("ok", 3003), expected);
}

TEST_F(Uploads, NothingIsSeenOrLeftWithoutCommit) {
  {
    Uploader uploader(options());
    (void)send(uploader, "ok");
  }
  EXPECT_EQ(kinds("ok"), "init part part abort");
}

TEST_F(Uploads, FilesAreCopiedAsTheyAre) {
  const TempDir dir;
  write_file(dir.file("a"), bytes_of(3000));
  const std::string uri = "file://" + dir.file("a");
  Uploader uploader(options());
  const auto info = uploader.stat({uri}).front();
  EXPECT_EQ(info.size, 3000U);
  Finished object{uploader.begin({FaultServer::s3(path("ok"))}).front(), {"", ""}, 3000};
  uploader.copy(object.upload, {7, 1, 2000, {}}, uri, 0, info);
  uploader.copy(object.upload, {7, 2, 1000, {}}, uri, 2000, info);
  for (const auto& part : uploader.stored(true)) {
    EXPECT_EQ(part.object, 7U);
    object.etags[part.number - 1] = part.etag;
  }
  uploader.commit({object});
  EXPECT_EQ(stored("ok", 3000), bytes_of(3000));

  write_file(dir.file("a"), bytes_of(2999));
  const auto changed = error_of([&] {
    const auto upload = uploader.begin({FaultServer::s3(path("ok"))}).front();
    uploader.copy(upload, {0, 1, 2000, {}}, uri, 0, info);
    (void)uploader.stored(true);
  });
  EXPECT_EQ(changed.code(), ErrorCode::changed) << changed.what();
}

TEST_F(Uploads, ObjectsWithoutBytes) {
  {
    Uploader uploader(options());
    uploader.commit({send(uploader, "ok", 0)});
    EXPECT_EQ(uploader.stat({FaultServer::s3(path("ok"))}).front().size, 0U);
  }
  EXPECT_EQ(kinds("ok"), "init put head head abort");
}

TEST_F(Uploads, EveryRequestIsTriedAgain) {
  const std::string spec = "init:s503,ok;part:reset,s500,ok;complete:s503,reset,ok";
  {
    Uploader uploader(options());
    uploader.commit({send(uploader, spec, 1)});
  }
  EXPECT_EQ(kinds(spec), "init init part part part complete complete complete head");
  EXPECT_EQ(stored(spec, 1000), bytes_of(1000));
}

// S3 begins its answer with 200 before it knows how it ends.
TEST_F(Uploads, ACompletionMayFailAfterItsHead) {
  const std::string spec = "complete:late_error,late_error,ok";
  Uploader uploader(options());
  uploader.commit({send(uploader, spec)});
  EXPECT_EQ(kinds(spec), "init part part complete complete complete head");

  const auto error = fails("complete:late_error");
  EXPECT_EQ(error.code(), ErrorCode::network) << error.what();
  EXPECT_EQ(kinds("complete:late_error"),
            "init part part complete complete complete complete abort");
}

TEST_F(Uploads, ACompletionWhoseAnswerWasLostIsFoundOut) {
  const std::string spec = "complete:lost,ok";
  {
    Uploader uploader(options());
    uploader.commit({send(uploader, spec)});
  }
  // The second one finds no upload any more, and no abort is needed.
  EXPECT_EQ(kinds(spec), "init part part complete complete head head");
}

TEST_F(Uploads, AnUploadThatIsGoneIsNoSuccess) {
  const std::string spec = "complete:code=NoSuchUpload";  // its HEAD finds another object
  const auto error = fails(spec);
  EXPECT_EQ(error.code(), ErrorCode::not_found) << error.what();
  EXPECT_NE(std::string(error.what()).find("NoSuchUpload"), std::string::npos) << error.what();
  EXPECT_EQ(kinds(spec), "init part part complete head abort");
}

TEST_F(Uploads, RefusalsAreOneErrorAndLeaveNothing) {
  const auto denied = fails("init:code=AccessDenied");
  EXPECT_EQ(denied.code(), ErrorCode::access_denied) << denied.what();
  EXPECT_EQ(kinds("init:code=AccessDenied"), "init");
  EXPECT_EQ(std::string(denied.what()).find('\n'), std::string::npos);
  EXPECT_EQ(fails("part:code=AccessDenied").code(), ErrorCode::access_denied);
  EXPECT_TRUE(kinds("part:code=AccessDenied").ends_with(" abort"));
  EXPECT_EQ(fails("part:s503").code(), ErrorCode::network);
  EXPECT_TRUE(kinds("part:s503").ends_with(" abort"));
}

TEST_F(Uploads, APartWithoutETagIsAnError) {
  const auto error = fails("part:no_answer");
  EXPECT_EQ(error.code(), ErrorCode::network);
  EXPECT_NE(std::string(error.what()).find("ETag"), std::string::npos) << error.what();
  EXPECT_TRUE(kinds("part:no_answer").ends_with(" abort"));
}

TEST_F(Uploads, AnAnswerThatNamesNoUploadIsAnError) {
  EXPECT_EQ(fails("init:no_xml").code(), ErrorCode::format);
  EXPECT_EQ(kinds("init:no_xml"), "init");
}

// A signal comes while the store takes its time.
TEST_F(Uploads, ACheckpointEndsTheWait) {
  const std::string spec = "part:stall";
  bool stop = false;
  const auto error = error_of([&] {
    Uploader uploader(options(), [&] {
      if (stop) throw Error(ErrorCode::stopped, "enough");
      stop = true;
    });
    (void)send(uploader, spec, 1);
  });
  EXPECT_EQ(error.code(), ErrorCode::stopped) << error.what();
  // Twice: the part may have come in after the first.
  EXPECT_EQ(kinds(spec), "init part abort abort");
}

TEST_F(Uploads, AnAbortThatFailsIsToldWithinSeconds) {
  const auto start = std::chrono::steady_clock::now();
  Uploader uploader(options());
  (void)send(uploader, "abort:stall");
  EXPECT_EQ(uploader.abort(), 1U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(uploader.abort(), 0U);  // not tried again
}

TEST(PartSizes, TenThousandPartsAreEnough) {
  EXPECT_EQ(part_size_for(0, ""), usual_part);
  EXPECT_EQ(part_size_for(usual_part * most_parts, ""), usual_part);
  for (const std::uint64_t size :
       {usual_part * most_parts + 1, largest_object - 1, largest_object}) {
    const auto part = part_size_for(size, "");
    EXPECT_EQ(part % (1U << 20), 0U);
    EXPECT_LE((size + part - 1) / part, most_parts);
  }
  EXPECT_EQ(error_of([] { (void)part_size_for(largest_object + 1, "big"); }).code(),
            ErrorCode::invalid_argument);
  std::uint64_t all = 0;
  for (std::uint64_t i = 1; i <= most_parts; ++i) all += part_size_at(i);
  EXPECT_GT(all, largest_object);
  EXPECT_LE(part_size_at(most_parts), std::uint64_t{5} << 30);  // S3's limit of a part
}

}  // namespace
}  // namespace faro::store::testing
