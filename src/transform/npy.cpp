#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "transform/decode.hpp"

namespace faro::transform {
namespace {

constexpr std::size_t most_dimensions = 32;  // NumPy's own limit

[[noreturn]] void malformed(std::string_view what) {
  fail(ErrorCode::format, "not a whole .npy file: {}", what);
}

/// Reads the header: a Python dictionary of three keys, each once, in any order.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Array parse() {
    expect('{');
    while (!accept('}')) {
      const auto key = quoted();
      expect(':');
      if (key == "descr" && !type_) {
        type_ = type_of(quoted());
      } else if (key == "fortran_order" && !order_) {
        order_ = true;
        c_order();
      } else if (key == "shape" && !shape_) {
        shape_ = dimensions();
      } else {
        malformed("its header has another key, or one twice");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty() || !type_ || !order_ || !shape_) malformed("its header is not complete");
    return {*type_, std::move(*shape_), {}};
  }

 private:
  void skip_space() {
    const auto next = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(next == rest_.npos ? rest_.size() : next);
  }
  bool accept(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) malformed("its header is no dictionary of descr, fortran_order and shape");
  }
  std::string_view quoted() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"') malformed("its header lacks a quoted text");
    const auto end = rest_.find(quote, 1);
    if (end == rest_.npos) malformed("a text of its header does not end");
    const auto text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  void c_order() {
    skip_space();
    check(!rest_.starts_with("True"), ErrorCode::format,
          "an .npy file in Fortran order: save it in C order (numpy.ascontiguousarray)");
    if (!rest_.starts_with("False")) malformed("fortran_order is neither True nor False");
    rest_.remove_prefix(5);
  }
  std::vector<std::uint64_t> dimensions() {
    std::vector<std::uint64_t> shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::uint64_t size = 0;
      const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (code != std::errc() || shape.size() == most_dimensions) malformed("its shape is none");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      shape.push_back(size);
      if (!accept(',')) {
        expect(')');
        if (shape.size() == 1) malformed("its shape is no tuple");
        break;
      }
    }
    return shape;
  }
  static Type type_of(std::string_view descr) {
    constexpr std::array<std::pair<std::string_view, Type>, 12> types{{{"|u1", Type::u8},
                                                                       {"|i1", Type::i8},
                                                                       {"|b1", Type::u8},
                                                                       {"<u2", Type::u16},
                                                                       {"<i2", Type::i16},
                                                                       {"<u4", Type::u32},
                                                                       {"<i4", Type::i32},
                                                                       {"<i8", Type::i64},
                                                                       {"<f2", Type::f16},
                                                                       {"<f4", Type::f32},
                                                                       {"<f8", Type::f64},
                                                                       {"<u1", Type::u8}}};
    for (const auto& [name, type] : types) {
      if (name == descr) return type;
    }
    fail(ErrorCode::format,
         "an .npy file of a dtype that is not taken: little-endian u1, i1, u2, i2, u4, i4, i8, f2, "
         "f4, f8 and bool are");
  }

  std::string_view rest_;
  std::optional<Type> type_;
  bool order_ = false;
  std::optional<std::vector<std::uint64_t>> shape_;
};

}  // namespace

Array decode_npy(Bytes bytes) {
  constexpr std::string_view magic = "\x93NUMPY";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(magic)) malformed("its first bytes are others");
  if (text.size() < 10) malformed("it ends in its header");
  const auto byte = [&](std::size_t at) { return std::to_integer<std::uint64_t>(bytes[at]); };
  const auto version = byte(6);
  check((version == 1 || version == 2) && byte(7) == 0, ErrorCode::format,
        "an .npy file of format {}.{}: 1.0 and 2.0 are taken", version, byte(7));
  std::uint64_t start = 10;
  std::uint64_t length = byte(8) | byte(9) << 8;
  if (version == 2) {
    if (text.size() < 12) malformed("it ends in its header");
    start = 12;
    length |= byte(10) << 16 | byte(11) << 24;
  }
  if (length > text.size() - start) malformed("it ends in its header");
  auto array = HeaderParser(text.substr(start, length)).parse();
  std::uint64_t wanted = size_of(array.type);
  for (const auto size : array.shape) wanted = checked_mul(wanted, size, ErrorCode::format);
  array.elements = bytes.subspan(start + length);
  check(array.elements.size() == wanted, ErrorCode::format,
        "not a whole .npy file: its shape {} of {} has {} bytes, and {} follow its header",
        shape_text(array.shape), to_string(array.type), wanted, array.elements.size());
  return array;
}

}  // namespace faro::transform
