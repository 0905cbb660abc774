// Any bytes as an HTTP answer: its head ends where it ends, however it is cut, and what is believed
// of it must answer the question.
#include <string>

#include "fuzz.hpp"
#include "store/http_head.hpp"

using namespace faro;
using namespace faro::store;

namespace {

void check_request(const HttpAnswer& answer, const Request& request) {
  ObjectInfo info;
  const auto failure = check_read(answer, request, info);
  const auto end = request.range.offset + request.range.length;
  if (failure) {
    require(failure->text.find('\n') == std::string::npos, "a message is one line");
    require(failure->text.size() < 400, "a message is short");
  } else {
    require(answer.status == 200 || answer.status == 206, "only success is read");
    // "bytes 0-0/*" tells no size; where one is expected it must.
    const bool untold =
        !request.expect && answer.content_range && !answer.content_range->total && info.size == 0;
    require(info.size >= end || untold, "the range lies in the object");
    require(!request.expect || info.size == request.expect->size, "the object has its size");
    require(!request.expect || request.expect->etag.empty() || info.etag == request.expect->etag,
            "the object has its ETag");
    if (answer.status == 206) {
      require(answer.content_range && answer.content_range->first == request.range.offset &&
                  answer.content_range->last == end - 1,
              "a part is the one that was asked for");
    } else {
      require(request.range.offset == 0 && request.range.length == info.size,
              "the whole is what was asked for");
    }
  }
  ObjectInfo size;
  if (const auto refused = check_stat(answer, request, size)) {
    require(refused->text.find('\n') == std::string::npos, "a message is one line");
  } else {
    require(!request.expect || size.size == request.expect->size, "the object has its size");
  }
}

// The lines of the first head of an answer, taken in pieces of `piece` bytes.
struct Head {
  std::string lines;
  std::size_t bytes = 0;
  HttpHead head;

  Head(std::string_view text, std::size_t piece) {
    while (!text.empty() && !head.whole() && head.wrong() == nullptr) {
      const auto part = text.substr(0, piece);
      const auto taken = head.take(part, [&](std::string_view line) { lines += line; });
      require(taken <= part.size(), "no more is taken than is there");
      require(taken == part.size() || head.whole() || head.wrong() != nullptr, "all is taken");
      bytes += taken;
      text.remove_prefix(taken);
    }
  }
};

void check_head(std::string_view text) {
  const Head whole(text, text.size());
  const Head cut(text, 1);
  require(whole.head.whole() == cut.head.whole() && whole.head.wrong() == cut.head.wrong(),
          "a head is what it is, however it is cut");
  require(whole.lines == cut.lines, "its lines are the same");
  require(whole.head.wrong() != nullptr || whole.bytes == cut.bytes, "it ends in the same place");
  require(!whole.head.whole() || whole.bytes <= HttpHead::longest, "it has a limit");
  require(whole.lines.find('\0') == std::string::npos, "no line has a NUL");
  HttpAnswer answer;
  answer.take(whole.lines);
  static_cast<void>(framing_of(answer));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  check_head(text);
  HttpAnswer answer;
  while (!text.empty()) {
    const auto end = text.find('\n');
    answer.take(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  require(answer.retry_after >= 0 && answer.retry_after < 1e20, "a wait is a time");
  require(framing_of(answer) != Framing::length || answer.content_length, "a length is told");
  require(answer.etag.find('\n') == std::string::npos, "an ETag is one line");
  for (const ByteRange range :
       {ByteRange{0, 1}, ByteRange{0, 1000}, ByteRange{500, 100}, ByteRange{~0ull - 10, 10}}) {
    Request request;
    request.range = range;
    check_request(answer, request);
    request.expect = ObjectInfo{1000, "\"e\"", {}};
    check_request(answer, request);
    request.expect = ObjectInfo{1000, "", {}};
    check_request(answer, request);
  }
  return 0;
}
