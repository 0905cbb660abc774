#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

using Names = std::vector<std::string>;
namespace fs = std::filesystem;

Names expand(const std::string& data, const std::string& suffix) {
  return store::expand(data, suffix, quick_options());
}

ErrorCode refused(const std::string& data, const std::string& suffix = ".tar") {
  try {
    const auto shards = expand(data, suffix);
    ADD_FAILURE() << data << " gave " << shards.size() << " shards";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.code();
  }
  return ErrorCode::internal;
}

TEST(Expand, Braces) {
  EXPECT_EQ(expand("http://h/t-{008..011}.tar", ""),
            (Names{"http://h/t-008.tar", "http://h/t-009.tar", "http://h/t-010.tar",
                   "http://h/t-011.tar"}));
  EXPECT_EQ(expand("http://h/{9..10}", ""), (Names{"http://h/9", "http://h/10"}));
  EXPECT_EQ(expand("http://h/{0..10}", "").size(), 11u);
  EXPECT_EQ(expand("http://h/{a,b,}{1..2}x", ""),
            (Names{"http://h/a1x", "http://h/a2x", "http://h/b1x", "http://h/b2x", "http://h/1x",
                   "http://h/2x"}));
  EXPECT_EQ(expand("http://h/{5..5}", ""), (Names{"http://h/5"}));
  EXPECT_EQ(expand("http://h/{name}{}", ""), (Names{"http://h/{name}{}"}));
  EXPECT_EQ(expand("https://h/a%20b?sig=x/y*", ""), (Names{"https://h/a%20b?sig=x/y*"}));
  EXPECT_EQ(expand("/data/{train,val}-{00..01}.tar", ".tar"),
            (Names{"file:///data/train-00.tar", "file:///data/train-01.tar",
                   "file:///data/val-00.tar", "file:///data/val-01.tar"}));
  EXPECT_EQ(expand("http://h/{000001..100000}", "").back(), "http://h/100000");
}

TEST(Expand, AbsurdBraces) {
  for (const char* data :
       {"http://h/{2..1}", "http://h/{0..10000000}", "http://h/{0..9999}{0..9999}",
        "http://h/{0..99999999999999999999999}", "http://h/{0..18446744073709551615}",
        "http://h/{a..z}", "http://h/{1..}", "http://h/{..2}", "http://h/{-1..2}",
        "http://h/{1..9..2}", "http://h/{1..2", "http://h/{a,{b,c}}", "/x/{2..1}", "/x/{1..2"}) {
    EXPECT_EQ(refused(data), ErrorCode::invalid_argument) << data;
  }
}

TEST(Expand, OtherStores) {
  for (const char* data : {"", "gs://bucket/x", "http://h/dir/", "http://h", "http://h/*.tar",
                           "file://host/x", "@", "@http://h/list"}) {
    EXPECT_EQ(refused(data), ErrorCode::invalid_argument) << data;
  }
}

class ExpandFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"b.tar", "a.tar", "10.tar", ".hidden.tar", "note.txt", "sub/c.tar", "sub/d.tar",
          "other/e.tar", "a b%20#?.bin", "x[1].bin", "y{1,2}.bin"}) {
      write_text(dir_.path() / name, name);
    }
    fs::create_directory(dir_.path() / "none");
    fs::create_directory(dir_.path() / "dir.tar");
    fs::create_symlink(dir_.path() / "note.txt", dir_.path() / "link.tar");
    fs::create_symlink("/nowhere", dir_.path() / "dangling.tar");
  }
  [[nodiscard]] Names uris(const Names& names) const {
    Names out;
    for (const auto& name : names) out.push_back("file://" + dir_.file(name));
    return out;
  }
  TempDir dir_;
};

TEST_F(ExpandFiles, DirectoryIsSortedAndFiltered) {
  const auto expected = uris({"10.tar", "a.tar", "b.tar", "link.tar"});
  EXPECT_EQ(expand(dir_.path().string(), ".tar"), expected);
  EXPECT_EQ(expand(dir_.path().string() + "/", ".tar"), expected);
  EXPECT_EQ(expand("file://" + dir_.path().string(), ".tar"), expected);
  EXPECT_EQ(expand(dir_.path().string(), "").size(), 8u);
  EXPECT_EQ(refused(dir_.file("none")), ErrorCode::not_found);
  EXPECT_EQ(refused(dir_.file("none"), ""), ErrorCode::not_found);
  EXPECT_EQ(refused(dir_.path().string(), ".zip"), ErrorCode::not_found);
}

TEST_F(ExpandFiles, Globs) {
  EXPECT_EQ(expand(dir_.file("?.tar"), ".tar"), uris({"a.tar", "b.tar"}));
  EXPECT_EQ(expand(dir_.file("[0-9]*.tar"), ".tar"), uris({"10.tar"}));
  EXPECT_EQ(expand(dir_.file("*/*.tar"), ".tar"), uris({"other/e.tar", "sub/c.tar", "sub/d.tar"}));
  EXPECT_EQ(expand(dir_.file("{sub,other}/*.tar"), ".tar"),
            uris({"sub/c.tar", "sub/d.tar", "other/e.tar"}));
  EXPECT_EQ(expand(dir_.file("*.txt"), ".tar"), uris({"note.txt"}));
  EXPECT_EQ(refused(dir_.file("*.zip")), ErrorCode::not_found);
  EXPECT_EQ(refused(dir_.file("su*")), ErrorCode::not_found);
}

TEST_F(ExpandFiles, NamesThatExistAreLiteral) {
  for (const char* name : {"a.tar", "a b%20#?.bin", "x[1].bin", "y{1,2}.bin"}) {
    EXPECT_EQ(expand(dir_.file(name), ".tar"), uris({name}));
  }
  EXPECT_EQ(refused(dir_.file("missing.tar")), ErrorCode::not_found);
  EXPECT_EQ(refused(dir_.file("missing{1}.tar")), ErrorCode::not_found);
}

TEST_F(ExpandFiles, BracesOfDirectories) {
  EXPECT_EQ(expand(dir_.file("{sub,other}"), ".tar"),
            uris({"sub/c.tar", "sub/d.tar", "other/e.tar"}));
}

TEST_F(ExpandFiles, RelativePathsBecomeAbsolute) {
  const auto before = fs::current_path();
  fs::current_path(dir_.path());
  const auto here = fs::current_path().string();
  EXPECT_EQ(expand("a.tar", ""), (Names{"file://" + here + "/a.tar"}));
  EXPECT_EQ(expand("./a.tar", ""), (Names{"file://" + here + "/a.tar"}));
  EXPECT_EQ(expand("sub", ""),
            (Names{"file://" + here + "/sub/c.tar", "file://" + here + "/sub/d.tar"}));
  EXPECT_EQ(expand(".", ".txt"), (Names{"file://" + here + "/note.txt"}));
  EXPECT_EQ(expand("x{1..2}", ""), (Names{"file://" + here + "/x1", "file://" + here + "/x2"}));
  EXPECT_EQ(expand("*.txt", ""), (Names{"file://" + here + "/note.txt"}));
  write_text(dir_.path() / "list", "a.tar\n");
  EXPECT_EQ(expand("@list", ""), (Names{"file://" + here + "/a.tar"}));
  fs::current_path(before);
}

TEST_F(ExpandFiles, Lists) {
  write_text(dir_.path() / "sub/list",
             "# shards\n\n c.tar \r\n../a.tar\n/abs/x.tar\nhttp://h/y{1}.tar\nfile:///z 1.tar");
  EXPECT_EQ(expand("@" + dir_.file("sub/list"), ".tar"),
            (Names{"file://" + dir_.file("sub/c.tar"), "file://" + dir_.file("sub/../a.tar"),
                   "file:///abs/x.tar", "http://h/y{1}.tar", "file:///z 1.tar"}));
  write_text(dir_.path() / "empty", "# nothing\n\n");
  EXPECT_EQ(refused("@" + dir_.file("empty")), ErrorCode::not_found);
  EXPECT_EQ(refused("@" + dir_.file("missing")), ErrorCode::not_found);
  EXPECT_EQ(refused("@" + dir_.file("sub")), ErrorCode::io);
  write_text(dir_.path() / "bad", "gs://bucket/key\n");
  EXPECT_EQ(refused("@" + dir_.file("bad")), ErrorCode::invalid_argument);
}

TEST(Redacted, HidesSecretsOnly) {
  EXPECT_EQ(redacted("http://user:pass@h:80/p"), "http://h:80/p");
  EXPECT_EQ(redacted("https://h/p?X-Amz-Signature=abc&b=&c"),
            "https://h/p?X-Amz-Signature=***&b=***&***");
  EXPECT_EQ(redacted("http://h/a@b"), "http://h/a@b");
  EXPECT_EQ(redacted("http://u:p@h"), "http://h");
  EXPECT_EQ(redacted("http://u:p@q@h?x=1"), "http://h?x=***");
  EXPECT_EQ(redacted("file:///a@b/c?d=e"), "file:///a@b/c?d=e");
  EXPECT_EQ(redacted("/a@b/c?d=e"), "/a@b/c?d=e");
  EXPECT_EQ(redacted("a\nb"), "a?b");
  EXPECT_EQ(redacted(""), "");
}

// A bucket's listing, by a real store: pages are of 1,000 keys.
TEST(ExpandS3, Listings) {
  if (!Radosgw::installed()) GTEST_SKIP() << Radosgw::missing;
  use_credentials(Radosgw::key, Radosgw::secret);
  radosgw().bucket("listed");
  const std::vector<std::byte> one(1);
  for (const char* name :
       {"set/b.tar", "set/a.tar", "set/.hidden.tar", "set/readme", "set/deep/c.tar",
        "set/o+d d/&=é.tar", "set[1].tar", "set1.tar", "settee/d.tar"}) {
    radosgw().put(std::string("listed/") + name, one);
  }
  const auto options = s3_options(radosgw().http());
  const auto list = [&](const std::string& data, const std::string& suffix = ".tar") {
    return store::expand("s3://listed" + data, suffix, options);
  };
  EXPECT_EQ(list("/set/"), (Names{"s3://listed/set/a.tar", "s3://listed/set/b.tar"}));
  EXPECT_EQ(list("/set"), list("/set/"));
  EXPECT_EQ(list("/set/", "").size(), 3u);
  EXPECT_EQ(list("/set/[ab].tar"), list("/set/"));
  EXPECT_EQ(list("/s?t/*/*.tar", ""),
            (Names{"s3://listed/set/deep/c.tar", "s3://listed/set/o+d d/&=é.tar"}));
  EXPECT_EQ(list("/set[1].tar"), (Names{"s3://listed/set[1].tar"}));  // a name before a pattern
  EXPECT_EQ(list("/set/{a,b}.tar"), list("/set/"));
  EXPECT_EQ(list("/set/a.tar"), (Names{"s3://listed/set/a.tar"}));
  for (const char* data : {"/none/", "/none", "/none*", "/set/deep/*.png"}) {
    EXPECT_SAYS(test::error_of([&] { static_cast<void>(list(data)); }, ErrorCode::not_found), data);
  }
  EXPECT_SAYS(
      test::error_of([&] { static_cast<void>(store::expand("s3://nosuch/set/", "", options)); },
                     ErrorCode::not_found),
      "nosuch");
}

TEST(ExpandS3, PagesAreFollowed) {
  use_credentials("AKIDFAROFAULTTEST", "hiddenSecret");
  auto options = s3_options(fault_server().endpoint());
  options.attempts = 2;
  options.outage_deadline = 0.3;
  const auto list = [&](const std::string& spec) {
    return store::expand(FaultServer::s3("/" + spec + "/listed/"), ".bin", options);
  };
  for (const char* spec : {"ok", "pages=1", "pages=2", "s503,pages=1", "code=SlowDown,ok"}) {
    Names expected;
    for (int i = 0; i < 3; ++i) {
      expected.push_back(FaultServer::s3(fmt::format("/{}/listed/shard-00{}.bin", spec, i)));
    }
    EXPECT_EQ(list(spec), expected) << spec;
  }
  for (const char* spec :
       {"no_token", "same_token", "bad_xml", "no_xml", "huge_xml", "nasty_xml", "entities",
        "no_answer", "code=AccessDenied", "code=SlowDown", "s500", "cut=10", "reset"}) {
    const std::string message = test::error_of([&] { static_cast<void>(list(spec)); }).what();
    EXPECT_SAYS(message, "s3://store");
    EXPECT_EQ(message.find("hidden"), std::string::npos) << message;
    EXPECT_LT(message.size(), 1200u);
    EXPECT_TRUE(std::none_of(message.begin(), message.end(), [](unsigned char c) {
      return c < 0x20 || c == 0x7f;
    })) << message;
  }
}

}  // namespace
}  // namespace faro::store::testing
