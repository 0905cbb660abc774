#include "transform/fused.hpp"

#include <cstdint>
#include <type_traits>
#include <utility>

namespace faro::transform {
namespace {

/// Calls `use` with the number of channels, as a constant where it is a usual one, so that the loop
/// over them is unrolled.
template <class Use>
void with_channels(std::uint64_t channels, Use&& use) {
  switch (channels) {
    case 1: return use(std::integral_constant<std::uint64_t, 1>());
    case 3: return use(std::integral_constant<std::uint64_t, 3>());
    default: return use(channels);
  }
}

void copy_pixels(const Pixels& pixels, const View& view, const Grid& grid, std::byte* out) {
  const auto row_bytes = std::uint64_t{pixels.width} * pixels.channels;
  const auto* from = pixels.data + static_cast<std::uint64_t>(view.y.begin >> 16) * row_bytes +
                     static_cast<std::uint64_t>(view.x.begin >> 16) * pixels.channels;
  const auto bytes = grid.width * grid.channels;
  if (bytes == row_bytes) {
    std::memcpy(out, from, bytes * grid.height);
    return;
  }
  for (std::uint64_t y = 0; y < grid.height; ++y) {
    std::memcpy(out + y * bytes, from + y * row_bytes, bytes);
  }
}

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
    auto* to = out + y * grid.y_stride;
    with_channels(grid.channels, [&](auto channels) {
      const auto write = [&](std::uint64_t x, std::uint64_t from) {
        for (std::uint64_t c = 0; c < channels; ++c) {
          to[x * grid.x_stride + c * grid.c_stride] = values[c * 256 + row[from * channels + c]];
        }
      };
      if (view.flip) {
        for (std::uint64_t x = 0; x < grid.width; ++x) write(x, grid.width - 1 - x);
      } else {
        for (std::uint64_t x = 0; x < grid.width; ++x) write(x, x);
      }
    });
  }
}

/// A row of the image at the grid's width, channel by channel, in 2^-11.
void scale_row(const std::uint8_t* row, std::span<const Tap> taps, std::uint64_t all_channels,
               std::uint32_t* out) {
  with_channels(all_channels, [&](auto channels) {
    for (std::size_t x = 0; x < taps.size(); ++x) {
      const auto& at = taps[x];
      for (std::uint64_t c = 0; c < channels; ++c) {
        out[c * taps.size() + x] = mix(row[at.first + c], row[at.second + c], at.weight);
      }
    }
  });
}

/// Rows first, each once however many of the grid's lie between it and another; then between two of
/// them, in loops that become vector code. The same as blend() of each element.
template <class Make>
void write_scaled(const Pixels& pixels, const View& view, const Grid& grid, const Affine& affine,
                  ScaleMemory& memory, typename Make::Bits* out) {
  const auto width = static_cast<std::uint32_t>(grid.width);
  const auto channels = static_cast<std::uint32_t>(grid.channels);
  auto& taps = memory.taps;
  taps.resize(width);
  for (std::uint32_t x = 0; x < width; ++x) {
    auto& at = taps[view.flip ? width - 1 - x : x] = tap(x, width, view.x, pixels.width);
    at.first *= channels;
    at.second *= channels;
  }
  const auto row_bytes = std::uint64_t{pixels.width} * channels;
  const auto row_elements = std::size_t{width} * channels;
  memory.rows.resize(2 * row_elements);
  auto* upper = memory.rows.data();
  auto* lower = upper + row_elements;
  constexpr std::uint32_t none = UINT32_MAX;  // a side has 65,535 pixels at most
  std::uint32_t upper_row = none;
  std::uint32_t lower_row = none;
  for (std::uint64_t y = 0; y < grid.height; ++y) {
    const auto rows = tap(static_cast<std::uint32_t>(y), static_cast<std::uint32_t>(grid.height),
                          view.y, pixels.height);
    if (rows.first == lower_row) {
      std::swap(upper, lower);
      std::swap(upper_row, lower_row);
    }
    if (rows.first != upper_row) {
      scale_row(pixels.data + rows.first * row_bytes, taps, channels, upper);
    }
    if (rows.second != lower_row) {
      scale_row(pixels.data + rows.second * row_bytes, taps, channels, lower);
    }
    upper_row = rows.first;
    lower_row = rows.second;
    for (std::uint32_t c = 0; c < channels; ++c) {
      const auto* above = upper + c * width;
      const auto* below = lower + c * width;
      auto* to = out + y * grid.y_stride + c * grid.c_stride;
      const float a = affine.none() ? 1 : affine.a[c];
      const float b = affine.none() ? 0 : affine.b[c];
      const auto write = [=, weight = rows.weight](auto stride) {
        for (std::uint32_t x = 0; x < width; ++x) {
          const float product = value_of(mix(above[x], below[x], weight)) * a;
          to[x * stride] = Make::of(product + b);
        }
      };
      if (grid.x_stride == 1) {
        write(std::integral_constant<std::uint64_t, 1>());
      } else {
        write(grid.x_stride);
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
  if (grid.is_stored()) {
    if (!elements.empty()) std::memcpy(out, elements.data(), elements.size());
    return;
  }
  with_loader(type, [&](auto load) {
    for_each(grid, [&](std::uint64_t element, std::uint64_t, std::uint64_t to) {
      std::memcpy(out + to * load.size, elements.data() + element * load.size, load.size);
    });
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
                  const Affine& affine, Type type, ScaleMemory& memory, std::byte* out) {
  const bool exact = is_exact(view, grid);
  if (exact && type == Type::u8 && affine.none() && grid.is_stored() && !view.flip) {
    return copy_pixels(pixels, view, grid, out);
  }
  with_maker(type, [&](auto make) {
    using Make = decltype(make);
    auto* to = reinterpret_cast<typename Make::Bits*>(out);
    if (exact) {
      write_exact<Make>(pixels, view, grid, table, to);
    } else {
      write_scaled<Make>(pixels, view, grid, affine, memory, to);
    }
  });
}

void write_elements(Bytes elements, Type stored, const Grid& grid, const Affine& affine, Type type,
                    std::byte* out) {
  if (stored == type && affine.none()) return copy_elements(elements, type, grid, out);
  check(type != Type::i64 || is_integer(stored), ErrorCode::format,
        "{} is stored where the tensor is i64", to_string(stored));
  with_loader(stored, [&](auto load) {
    with_maker(type, [&](auto make) {
      using Make = decltype(make);
      auto* bits = reinterpret_cast<typename Make::Bits*>(out);
      const auto* from = elements.data();
      const auto convert = [&](std::uint64_t element) {
        const auto value = load(from + element * load.size);
        if constexpr (std::is_same_v<Make, AsI64>) {
          return static_cast<std::int64_t>(value);  // never through a float
        } else {
          return Make::of(static_cast<float>(value));
        }
      };
      if (affine.none() && grid.is_stored()) {
        for (std::uint64_t i = 0, count = grid.elements(); i < count; ++i) bits[i] = convert(i);
      } else if (affine.none()) {
        for_each(grid, [&](std::uint64_t element, std::uint64_t, std::uint64_t to) {
          bits[to] = convert(element);
        });
      } else {
        for_each(grid, [&](std::uint64_t element, std::uint64_t channel, std::uint64_t to) {
          const auto value = static_cast<float>(load(from + element * load.size));
          bits[to] = Make::of(affine(value, channel));
        });
      }
    });
  });
}

}  // namespace faro::transform
