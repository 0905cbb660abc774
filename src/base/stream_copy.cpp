#include "base/stream_copy.hpp"

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace faro {

void stream_copy(std::byte* to, const std::byte* from, std::size_t size) noexcept {
#ifdef __SSE2__
  constexpr std::size_t line = 64;
  constexpr std::size_t worthwhile = 4096;  // below, the fence costs more than it saves
  if (size >= worthwhile) {
    // A line of the cache is written whole, or it is read first.
    const auto head = (line - reinterpret_cast<std::uintptr_t>(to) % line) % line;
    std::memcpy(to, from, head);
    to += head;
    from += head;
    size -= head;
    for (; size >= line; to += line, from += line, size -= line) {
      const auto* in = reinterpret_cast<const __m128i*>(from);
      auto* out = reinterpret_cast<__m128i*>(to);
      const auto a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
      const auto c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
      _mm_stream_si128(out, a);
      _mm_stream_si128(out + 1, b);
      _mm_stream_si128(out + 2, c);
      _mm_stream_si128(out + 3, d);
    }
    _mm_sfence();  // for those who are told of the bytes through ordinary memory
  }
#endif
  std::memcpy(to, from, size);
}

}  // namespace faro
