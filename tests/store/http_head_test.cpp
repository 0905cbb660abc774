#include "store/http_head.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace faro::store {
namespace {

const std::string head =
    "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: \"e\"\n\tfolded\r\n\r\n";

struct Taken {
  std::vector<std::string> lines;
  std::size_t bytes = 0;
  HttpHead head;

  void take(std::string_view text) {
    bytes += head.take(text, [&](std::string_view line) { lines.emplace_back(line); });
  }
};

TEST(HttpHead, CutAtEveryByte) {
  const auto text = head + "hello";
  for (std::size_t cut = 0; cut <= head.size(); ++cut) {
    Taken taken;
    taken.take(std::string_view(text).substr(0, cut));
    EXPECT_EQ(taken.head.empty(), cut == 0);
    EXPECT_EQ(taken.head.whole(), cut == head.size());
    taken.take(std::string_view(text).substr(cut));
    ASSERT_TRUE(taken.head.whole()) << cut;
    EXPECT_EQ(taken.bytes, head.size());
    EXPECT_EQ(taken.lines,
              (std::vector<std::string>{"HTTP/1.1 206 Partial Content\r\n", "Content-Length: 5\r\n",
                                        "ETag: \"e\"\n", "\tfolded\r\n"}));
  }
}

TEST(HttpHead, WhatIsNoHead) {
  const auto long_line = "HTTP/1.1 200 OK\r\nX: " + std::string(HttpHead::longest, 'x');
  std::string many = "HTTP/1.1 200 OK\r\n";
  while (many.size() <= HttpHead::longest) many += "X: y\r\n";
  for (const auto& text :
       {std::string("\r\n"), std::string("HTTP/2 200\r\n\r\n"), std::string("HTTP/0.9 200\r\n"),
        std::string("ICY 200 OK\r\n"), std::string(" HTTP/1.1 200 OK\r\n"),
        std::string("HTTP/1.1 200 OK\r\nHTTP/1.1 206 X\r\n"),
        std::string("HTTP/1.1 200 OK\r\n HTTP/1.1 206 X\r\n"),
        std::string("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", 24), long_line, many}) {
    Taken taken;
    taken.take(text);
    EXPECT_NE(taken.head.wrong(), nullptr) << text.substr(0, 40);
    EXPECT_FALSE(taken.head.whole());
  }
}

TEST(HttpHead, InterimAnswersShareItsLength) {
  Taken taken;
  while (taken.head.wrong() == nullptr) {
    taken.take("HTTP/1.1 100 Continue\r\n\r\n");
    if (taken.head.whole()) taken.head.next();
  }
  EXPECT_LE(taken.bytes, HttpHead::longest + 100);
}

Framing framing(const std::string& lines) {
  HttpAnswer answer;
  Taken taken;
  taken.take(lines + "\r\n");
  for (const auto& line : taken.lines) answer.take(line);
  return framing_of(answer);
}

TEST(HttpHead, WhereTheBodyEnds) {
  EXPECT_EQ(framing("HTTP/1.1 206 X\r\ncontent-length: 5\r\n"), Framing::length);
  EXPECT_EQ(framing("HTTP/1.1 503 X\r\nContent-Length: 0\r\n"), Framing::length);
  EXPECT_EQ(framing("HTTP/1.1 206 X\r\nContent-Length: 5\r\nContent-Length: 5\r\n"),
            Framing::length);
  EXPECT_EQ(framing("HTTP/1.1 100 X\r\n"), Framing::interim);
  EXPECT_EQ(framing("HTTP/1.1 204 X\r\n"), Framing::none);
  for (const char* more :
       {"", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: -5\r\n",
        "Content-Length: 5, 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: x\r\n", "Content-Length: 18446744073709551616\r\n"}) {
    EXPECT_EQ(framing(std::string("HTTP/1.1 206 X\r\n") + more), Framing::unusual) << more;
  }
  EXPECT_EQ(framing("HTTP/1.1 101 X\r\nContent-Length: 5\r\n"), Framing::unusual);
  EXPECT_EQ(framing("HTTP/1.1 000 X\r\n"), Framing::unusual);
}

}  // namespace
}  // namespace faro::store
