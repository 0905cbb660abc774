// Interface of transform/: one tensor's program, from the bytes of a field to a sample's elements.
// It knows neither batches nor ranks; what it draws is keyed by the caller.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "faro/transform.hpp"
#include "transform/decode.hpp"
#include "transform/draws.hpp"
#include "transform/fused.hpp"

namespace faro::transform {

/// A thread's memory for one sample after another.
struct Scratch {
  PixelMemory pixels;
  JpegDecoder jpeg;
  std::vector<float> values;  ///< for registered steps
  ScaleMemory scaling;
};

/// An image, and the part of it that the sample's draws have chosen.
struct Image {
  Pixels pixels;
  View view;
};

/// A sample that is decoded and checked, before the loop over its elements: a label, or what that
/// loop reads, in the field itself or in the thread's Scratch.
using Decoded = std::variant<std::int64_t, Image, Array>;

/// A TensorSpec that has been checked and made ready. Thread safety: const members.
class Program {
 public:
  /// Errors: invalid_argument that names the tensor and the key.
  Program(TensorSpec spec, std::uint64_t max_pixels);

  [[nodiscard]] const std::string& name() const noexcept { return spec_.name; }
  [[nodiscard]] const std::string& field() const noexcept { return spec_.field; }
  [[nodiscard]] Type type() const noexcept { return type_; }
  /// Whether samples differ in their number of rows.
  [[nodiscard]] bool ragged() const noexcept { return spec_.ragged.has_value(); }
  /// Of a sample, or of a row where they are ragged, in the tensor's order; empty for a number.
  [[nodiscard]] const std::vector<std::uint64_t>& shape() const noexcept { return shape_; }
  /// Of a sample; of the longest where they are ragged.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  /// Ragged: of a row.
  [[nodiscard]] std::uint64_t row_bytes() const noexcept {
    return stored_elements_ * size_of(type_);
  }
  /// That a thread's Scratch takes at most.
  [[nodiscard]] std::uint64_t scratch_bytes() const noexcept;

  /// Ragged: the rows that write() will write. Looks at the field's head and size alone.
  /// Error(format): the field is not what was declared.
  [[nodiscard]] std::uint64_t length(Bytes field) const;

  /// Writes one sample's bytes() to `out`, or its length() rows, all of them where it returns.
  /// Error(format): the field is not what was declared; without the sample's name.
  void run(Bytes field, const Draws& draws, Scratch& scratch, std::byte* out) const {
    write(decode(field, draws, scratch), draws, scratch, out);
  }
  /// The two halves of run().
  [[nodiscard]] Decoded decode(Bytes field, const Draws& draws, Scratch& scratch) const;
  void write(const Decoded& sample, const Draws& draws, Scratch& scratch, std::byte* out) const;

  // For a kernel that does what write() does.

  /// Labels, ragged samples, and what takes steps of the user's, are written by write() alone.
  [[nodiscard]] bool needs_host() const noexcept {
    return spec_.decode == Decode::label || ragged() || !registered_.empty();
  }
  /// Whether that kernel reads the field itself, and not what decode() makes of it.
  [[nodiscard]] bool reads_in_place() const noexcept;
  /// The bytes at the field's start that decode() looks at all the same; nothing where it looks at
  /// all of them, or the field is not what was declared.
  [[nodiscard]] std::optional<std::uint64_t> looked_at(Bytes field) const;
  /// Whether the sample's elements are the tensor's, byte for byte.
  [[nodiscard]] bool is_copy(const Decoded& sample) const noexcept;
  /// What decode() gives, in bytes, at most.
  [[nodiscard]] std::uint64_t most_decoded_bytes() const noexcept;
  [[nodiscard]] const Grid& grid() const noexcept { return grid_; }
  [[nodiscard]] const Affine& affine() const noexcept { return affine_; }
  [[nodiscard]] const Table& table() const noexcept { return table_; }

 private:
  void check_ragged() const;
  void take_steps();
  void set_type();
  void set_shape();
  void set_affine();
  [[nodiscard]] bool has_pixels() const noexcept;

  [[nodiscard]] Pixels decode_image(Bytes field, Scratch& scratch) const;
  [[nodiscard]] Array decode_array(Bytes field) const;
  [[nodiscard]] Array read_npy(Bytes field) const;
  [[nodiscard]] Array read_raw(Bytes field) const;
  [[nodiscard]] View choose_view(const Pixels& pixels, const Draws& draws) const;
  void write_image(const Image& image, const Draws& draws, Scratch& scratch, std::byte* out) const;
  void write_array(const Array& array, const Draws& draws, Scratch& scratch, std::byte* out) const;
  void run_registered(const Draws& draws, std::span<const std::uint64_t> shape,
                      std::span<float> values) const;

  TensorSpec spec_;
  std::uint64_t max_pixels_;
  Type type_ = Type::f32;
  std::optional<Step> crop_;
  CropRange range_;
  double flip_ = 0;
  std::vector<std::shared_ptr<const UserTransform>> registered_;
  std::vector<std::uint64_t> stored_shape_;  ///< after the crop, in stored order
  std::uint64_t stored_elements_ = 0;        ///< raw and npy; of a row where they are ragged
  std::vector<std::uint64_t> shape_;
  std::uint64_t bytes_ = 0;
  Grid grid_;  ///< of a sample's elements, in the tensor's order; of the longest one's
  Affine affine_;
  Table table_;  ///< pixels: what each byte becomes
};

/// Of the tensor that says where a ragged tensor's samples begin.
[[nodiscard]] inline std::string offsets_name(const std::string& name) {
  return name + ".offsets";
}

/// The step registered by that name, or nullptr.
[[nodiscard]] std::shared_ptr<const UserTransform> find_registered(const std::string& name);

/// Names, as TOML has them.
[[nodiscard]] std::string_view name_of(const Step& step);

}  // namespace faro::transform
