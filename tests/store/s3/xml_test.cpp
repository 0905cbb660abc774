// What S3 stores answer with, and what they had better not.
#include <gtest/gtest.h>

#include "../../support/errors.hpp"
#include "store/s3/xml.hpp"

namespace faro::store::s3 {
namespace {

using test::error_of;

std::string listing(const std::string& inner) {
  return R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)" +
         inner + "</ListBucketResult>";
}

std::string object(const std::string& key, const std::string& size = "1") {
  return "<Contents><Key>" + key + "</Key><Size>" + size + "</Size></Contents>";
}

TEST(Listing, LastPage) {
  const auto page = parse_listing(listing(
      "<Name>b</Name><Prefix>p</Prefix><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>"
      "<Contents><Key>a&amp;b &lt;c&gt;</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
      "<ETag>&quot;d41d8cd9&quot;</ETag><Size>18446744073709551615</Size></Contents>" +
      object("z") + "<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes>"));
  ASSERT_EQ(page.objects.size(), 2u);
  EXPECT_EQ(page.objects[0].key, "a&b <c>");
  EXPECT_EQ(page.objects[0].size, ~0ull);
  EXPECT_EQ(page.objects[0].etag, "\"d41d8cd9\"");
  EXPECT_EQ(page.objects[1].etag, "");
  EXPECT_EQ(page.prefixes, std::vector<std::string>{"p/q/"});
  EXPECT_EQ(page.next, "");
}

TEST(Listing, EmptyAndWithoutDeclaration) {
  EXPECT_TRUE(parse_listing("<ListBucketResult/>").objects.empty());
}

TEST(Listing, GoesOn) {
  const auto page = parse_listing(listing(
      "<IsTruncated>true</IsTruncated><NextContinuationToken>1/a=b+&amp;</NextContinuationToken>"));
  EXPECT_EQ(page.next, "1/a=b+&");
}

TEST(Listing, EncodedNames) {
  const auto page =
      parse_listing(listing("<EncodingType>url</EncodingType>" + object("a+b%2Bc%0A%25%C3%A9") +
                            "<CommonPrefixes><Prefix>x%20y/</Prefix></CommonPrefixes>"));
  EXPECT_EQ(page.objects.at(0).key, "a b+c\n%\xC3\xA9");
  EXPECT_EQ(page.prefixes.at(0), "x y/");
  EXPECT_EQ(parse_listing(listing(object("a+b%2B"))).objects.at(0).key, "a+b%2B");
}

TEST(Listing, BlankIsAKey) {
  EXPECT_EQ(parse_listing(listing(object(" "))).objects.at(0).key, " ");
}

TEST(Listing, NoListing) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("<html>"), std::string("<Error/>"),
        std::string("<ListBucketResult>"), std::string("<a><ListBucketResult/></a>"),
        listing("").substr(0, 90), std::string("<ListBucketResult/>\0", 20),
        std::string(9U << 20, ' ') + "<ListBucketResult/>"}) {
    error_of([&] { static_cast<void>(parse_listing(text)); }, ErrorCode::format);
  }
}

TEST(Listing, AbsurdValues) {
  for (const std::string& inner :
       {object("a", ""), object("a", "-1"), object("a", "1x"), object("a", "18446744073709551616"),
        object(""), std::string("<Contents/>"), std::string("<CommonPrefixes/>"),
        std::string("<IsTruncated>true</IsTruncated>"),
        "<EncodingType>url</EncodingType>" + object("%4"), object("a&#0;b"), object("a&#x000;b"),
        object("&#4294967296;"), object("&#x100000000;")}) {
    error_of([&] { static_cast<void>(parse_listing(listing(inner))); }, ErrorCode::format);
  }
  EXPECT_EQ(parse_listing(listing(object("a&#10;b&#x41;&#"))).objects.at(0).key, "a\nbA&#");
}

TEST(Listing, NoEntityIsExpandedAndNoFileRead) {
  const auto page =
      parse_listing("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>" +
                    std::string("<ListBucketResult>") + object("&a;&f;") + "</ListBucketResult>");
  EXPECT_EQ(page.objects.at(0).key, "&a;&f;");
}

TEST(Listing, Deep) {
  std::string deep;
  for (int i = 0; i < 300000; ++i) deep += "<a>";
  error_of([&] { static_cast<void>(parse_listing(deep)); }, ErrorCode::format);
  for (int i = 0; i < 300000; ++i) deep += "</a>";
  EXPECT_TRUE(parse_listing(listing(deep)).objects.empty());
}

TEST(ErrorAnswer, WholeAndCutOff) {
  const std::string text =
      "<?xml version=\"1.0\"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>The difference "
      "is too large.</Message><ServerTime>2026-11-22T20:00:00Z</ServerTime><Region>eu-west-1"
      "</Region><HostId>abc</HostId></Error>";
  for (const auto& part : {text, text.substr(0, text.find("<HostId>") + 9)}) {
    const auto error = parse_error(part);
    EXPECT_EQ(error.code, "RequestTimeTooSkewed");
    EXPECT_EQ(error.message, "The difference is too large.");
    EXPECT_EQ(error.server_time, "2026-11-22T20:00:00Z");
    EXPECT_EQ(error.region, "eu-west-1");
  }
}

TEST(ErrorAnswer, OfAnotherKindIsEmpty) {
  for (const char* text : {"", "<html><body>502 Bad Gateway</body></html>", "<", "{}", "<Error>",
                           "<x><Error><Code>a</Code></Error></x>"}) {
    EXPECT_EQ(parse_error(text).code, "") << text;
  }
}

TEST(Upload, Answers) {
  EXPECT_EQ(parse_upload_id("<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>2~x"
                            "</UploadId></InitiateMultipartUploadResult>"),
            "2~x");
  for (const char* text : {"", "<Error/>", "<InitiateMultipartUploadResult/>"}) {
    error_of([&] { static_cast<void>(parse_upload_id(text)); }, ErrorCode::format);
  }
  EXPECT_TRUE(
      is_completed("<?xml version=\"1.0\"?>\n\n  <CompleteMultipartUploadResult "
                   "xmlns=\"x\"><ETag/></CompleteMultipartUploadResult>"));
  EXPECT_TRUE(is_completed("   \n<?xml version=\"1.0\"?><CompleteMultipartUploadResult/>"));
  for (const char* text : {"", "   ", "<Error><Code>InternalError</Code></Error>",
                           "<CompleteMultipartUploadResult>"}) {
    EXPECT_FALSE(is_completed(text)) << text;
  }
}

TEST(Upload, Completion) {
  EXPECT_EQ(completion({"\"a\"", "<&>"}),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>&lt;&amp;&gt;</ETag></Part>"
            "</CompleteMultipartUpload>");
}

}  // namespace
}  // namespace faro::store::s3
