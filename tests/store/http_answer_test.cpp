#include "store/http_answer.hpp"

#include <gtest/gtest.h>

namespace faro::store {
namespace {

TEST(ContentRange, WellFormed) {
  const auto range = parse_content_range("bytes 5-99/1000");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5u);
  EXPECT_EQ(range->last, 99u);
  EXPECT_EQ(range->total, 1000u);
  EXPECT_FALSE(parse_content_range("bytes 5-99/*")->total);
  EXPECT_FALSE(parse_content_range("bytes */1000")->first);
  EXPECT_EQ(parse_content_range("Bytes 0-0/18446744073709551615")->total, ~0ull);
}

TEST(ContentRange, Malformed) {
  for (const char* text :
       {"", "bytes", "bytes ", "bytes /", "bytes 5/10", "bytes 5-/10", "bytes -5/10",
        "bytes 9-5/10", "bytes 0-1/", "bytes 0-1/x", "bytes 0-1/18446744073709551616",
        "bytes 0--1/5", "bytes 0x1-2/5", "items 0-1/5", "bytes 0-1", "bytes +0-1/5"}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

TEST(HttpAnswer, NamesInAnyCaseAndRedirectsForgotten) {
  HttpAnswer answer;
  answer.take("HTTP/1.1 302 Found\r\n");
  answer.take("ETag: \"old\"\r\n");
  answer.take("HTTP/1.1 206 Partial Content\r\n");
  EXPECT_EQ(answer.etag, "");
  answer.take("content-LENGTH:  10 \r\n");
  answer.take("Etag: \"new\"\r\n");
  answer.take("Content-Range: nonsense\r\n");
  answer.take("no colon here\r\n");
  answer.take("\r\n");
  EXPECT_EQ(answer.status, 206);
  EXPECT_EQ(answer.content_length, 10u);
  EXPECT_EQ(answer.etag, "\"new\"");
  ASSERT_TRUE(answer.content_range);
  EXPECT_FALSE(answer.content_range->total);
  answer.take("HTTP/1.1");
  EXPECT_EQ(answer.status, 0);
}

TEST(ETag, StrongOnes) {
  EXPECT_TRUE(is_strong_etag("\"abc-2\""));
  EXPECT_FALSE(is_strong_etag("W/\"abc\""));
  EXPECT_FALSE(is_strong_etag("abc"));
  EXPECT_FALSE(is_strong_etag(""));
  EXPECT_FALSE(is_strong_etag("\""));
  EXPECT_FALSE(is_strong_etag("\"a\r\nX-Header: b\""));  // a manifest is no safe place
}

}  // namespace
}  // namespace faro::store
