#include "transform/fused.hpp"

namespace faro::transform {
namespace {

template <class Make>
void write_exact(const Pixels& pixels, const View& view, const Grid& grid, const Table& table,
                 typename Make::Bits* out) {
  using Bits = typename Make::Bits;
  const auto* values = reinterpret_cast<const Bits*>(table.data());
  const auto row_bytes = std::uint64_t{pixels.width} * pixels.channels;
  const auto top = static_cast<std::uint64_t>(view.y.begin >> 16);
  const auto left = static_cast<std::uint64_t>(view.x.begin >> 16);
  for (std::uint64_t y = 0; y < grid.height; ++y) {
    const auto* row = pixels.data + (top + y) * row_bytes + left * grid.channels;
    for (std::uint64_t c = 0; c < grid.channels; ++c) {
      const auto* value = values + c * 256;
      auto* to = out + y * grid.y_stride + c * grid.c_stride;
      if (view.flip) {
        for (std::uint64_t x = 0; x < grid.width; ++x) {
          to[x * grid.x_stride] = value[row[(grid.width - 1 - x) * grid.channels + c]];
        }
      } else {
        for (std::uint64_t x = 0; x < grid.width; ++x) {
          to[x * grid.x_stride] = value[row[x * grid.channels + c]];
        }
      }
    }
  }
}

template <class Make>
void write_scaled(const Pixels& pixels, const View& view, const Grid& grid, const Affine& affine,
                  std::vector<Tap>& taps, typename Make::Bits* out) {
  const auto width = static_cast<std::uint32_t>(grid.width);
  const auto channels = static_cast<std::uint32_t>(grid.channels);
  taps.resize(width);
  for (std::uint32_t x = 0; x < width; ++x) {
    auto& at = taps[view.flip ? width - 1 - x : x] = tap(x, width, view.x, pixels.width);
    at.first *= channels;
    at.second *= channels;
  }
  const auto row_bytes = std::uint64_t{pixels.width} * channels;
  for (std::uint64_t y = 0; y < grid.height; ++y) {
    const auto rows = tap(static_cast<std::uint32_t>(y), static_cast<std::uint32_t>(grid.height),
                          view.y, pixels.height);
    const auto* upper = pixels.data + rows.first * row_bytes;
    const auto* lower = pixels.data + rows.second * row_bytes;
    for (std::uint32_t c = 0; c < channels; ++c) {
      auto* to = out + y * grid.y_stride + c * grid.c_stride;
      for (std::uint32_t x = 0; x < width; ++x) {
        const auto& at = taps[x];
        const float value =
            value_of(blend(upper[at.first + c], upper[at.second + c], lower[at.first + c],
                           lower[at.second + c], at.weight, rows.weight));
        to[x * grid.x_stride] = Make::of(affine.none() ? value : affine(value, c));
      }
    }
  }
}

/// Calls `write(element, channel, to)` for each stored element and its place in the tensor.
template <class Write>
void for_each(const Grid& grid, Write&& write) {
  std::uint64_t element = 0;
  for (std::uint64_t y = 0; y < grid.height; ++y) {
    for (std::uint64_t x = 0; x < grid.width; ++x) {
      const auto at = y * grid.y_stride + x * grid.x_stride;
      for (std::uint64_t c = 0; c < grid.channels; ++c) {
        write(element++, c, at + c * grid.c_stride);
      }
    }
  }
}

void copy_elements(Bytes elements, Type type, const Grid& grid, std::byte* out) {
  const auto size = size_of(type);
  for_each(grid, [&](std::uint64_t element, std::uint64_t, std::uint64_t to) {
    std::memcpy(out + to * size, elements.data() + element * size, size);
  });
}

}  // namespace

Table make_table(const Affine& affine, std::uint64_t channels, Type type) {
  return with_maker(type, [&](auto make) {
    using Make = decltype(make);
    using Bits = typename Make::Bits;
    Table table(channels * 256 * sizeof(Bits));
    auto* bits = reinterpret_cast<Bits*>(table.data());
    for (std::uint64_t c = 0; c < channels; ++c) {
      for (std::uint32_t byte = 0; byte < 256; ++byte) {
        const auto value = static_cast<float>(byte);
        bits[c * 256 + byte] = Make::of(affine.none() ? value : affine(value, c));
      }
    }
    return table;
  });
}

void write_pixels(const Pixels& pixels, const View& view, const Grid& grid, const Table& table,
                  const Affine& affine, Type type, std::vector<Tap>& taps, std::byte* out) {
  with_maker(type, [&](auto make) {
    using Make = decltype(make);
    auto* to = reinterpret_cast<typename Make::Bits*>(out);
    if (is_exact(view, grid)) {
      write_exact<Make>(pixels, view, grid, table, to);
    } else {
      write_scaled<Make>(pixels, view, grid, affine, taps, to);
    }
  });
}

void write_elements(Bytes elements, Type stored, const Grid& grid, const Affine& affine, Type type,
                    std::byte* out) {
  if (stored == type && affine.none()) return copy_elements(elements, type, grid, out);
  check(type != Type::i64 || is_integer(stored), ErrorCode::format,
        "{} is stored where the tensor is i64", to_string(stored));
  const auto size = size_of(stored);
  with_loader(stored, [&](auto load_one) {
    with_maker(type, [&](auto make) {
      using Make = decltype(make);
      auto* bits = reinterpret_cast<typename Make::Bits*>(out);
      for_each(grid, [&](std::uint64_t element, std::uint64_t channel, std::uint64_t to) {
        const auto value = load_one(elements.data() + element * size);
        if constexpr (std::is_same_v<Make, AsI64>) {
          bits[to] = static_cast<std::int64_t>(value);  // never through a float
        } else {
          const auto real = static_cast<float>(value);
          bits[to] = Make::of(affine.none() ? real : affine(real, channel));
        }
      });
    });
  });
}

}  // namespace faro::transform
