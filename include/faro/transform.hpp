/// \file
/// From samples to tensors: which field becomes which tensor, and how. Plain values, as C++ or as
/// the `[[tensor]]` tables of a TOML file; checked when a TensorLoader is made.
///
/// A sample's way: decode -> crop -> flip -> normalise -> registered steps -> type -> layout, one
/// loop over the decoded image. Steps stand in this order and any of them may be left out.
///
/// Random draws are a function of (seed, epoch, sample number, kind of step) alone: Philox4x32-10
/// (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11). A sample
/// looks the same on any number of ranks and in a pad; tensors of one sample with the same steps
/// share their draws, so that an image and its mask are cut alike.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace faro {

/// What an element is. Numbers are little-endian in shards, the machine's own in tensors.
enum class Type { u8, i8, u16, i16, u32, i32, i64, f16, bf16, f32, f64 };

/// Bytes of an element.
[[nodiscard]] std::uint64_t size_of(Type type) noexcept;
/// "u8", "bf16", ...
[[nodiscard]] std::string_view to_string(Type type) noexcept;

/// How a field's bytes are read.
enum class Decode {
  image,  ///< PNG or JPEG, by its first bytes
  png,    ///< 8 bits a channel or less; alpha is dropped, gamma and profiles are not applied
  jpeg,   ///< grey, or any colours that libjpeg-turbo gives as RGB
  raw,    ///< elements of `stored`, in `shape`
  npy,    ///< NumPy's file format 1 or 2: the shape must be `shape`, C order, little-endian
  label,  ///< one integer: text ("7\n"), or bytes of `stored`
};

/// Where a sample's channels stand. Samples of other than three dimensions stay as they are stored.
enum class Layout {
  nhwc,  ///< as stored: height, width, channels
  nchw,
};

/// A part of the image, scaled to height x width: area and aspect ratio drawn uniformly (the ratio
/// in its logarithm), then its place; after ten draws that do not fit, the largest central part
/// within the ratios. Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section
/// 6; the procedure is torchvision's RandomResizedCrop.
///
/// Here and below, scaling is bilinear with half-pixel centres and without a low-pass filter, as
/// OpenCV's INTER_LINEAR, in integers: weights of 11 bits. Beyond the crop nothing is read.
struct RandomResizedCrop {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  double scale_min = 0.08;  ///< of the image's area
  double scale_max = 1.0;
  double ratio_min = 3.0 / 4.0;  ///< width over height
  double ratio_max = 4.0 / 3.0;
};

/// The whole image, scaled to height x width.
struct Resize {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
};

/// height x width from the middle of the image, as if its shorter side had been scaled to `resize`
/// before (0: as it is). Error where that is smaller than the crop.
struct CentreCrop {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::uint32_t resize = 0;
};

/// Mirrors left and right, with a probability.
struct HorizontalFlip {
  double probability = 0.5;
};

/// (x * scale - mean[c]) / std[c], as x * a + b with a and b rounded to f32 once, and each of the
/// two operations rounded. One mean and std for each channel (last dimension), or one for all.
struct Normalise {
  std::vector<double> mean;
  std::vector<double> std;
  std::optional<double> scale;  ///< 1/255 for u8, else 1
};

/// A step of the user's, by the name given to register_transform().
struct Registered {
  std::string name;
};

using Step =
    std::variant<RandomResizedCrop, Resize, CentreCrop, HorizontalFlip, Normalise, Registered>;

/// Samples that differ in their first dimension: sequences of tokens, point clouds, sound. One step
/// along it is a row. A batch has two tensors for it: NAME, the rows of all samples one behind the
/// other, and NAME.offsets, i64, one more than there are samples: sample i has the rows from
/// offsets[i] to offsets[i + 1]. Skipped samples (BadSample::skip) have none.
struct Ragged {
  std::uint64_t max_length = 0;  ///< rows of the longest sample; memory is planned for it
  bool truncate = false;         ///< a longer sample loses its end; else it is a bad sample
};

/// One tensor of a batch.
struct TensorSpec {
  std::string name;   ///< unlike the others'
  std::string field;  ///< of the samples: "png", "cls", "data"
  Decode decode = Decode::image;
  std::uint32_t channels = 3;  ///< images: 1 or 3; grey is repeated for 3, colour never made grey
  /// Of one sample as decoded, exactly. Images: height, width; may be left out where a step gives
  /// the size. raw and npy: all dimensions; u8 of three (height, width, channels) takes all steps.
  /// Ragged: of one row, so none where rows are numbers.
  std::vector<std::uint64_t> shape;
  std::optional<Ragged> ragged;  ///< raw and npy; takes normalise and registered steps
  std::optional<Type> stored;    ///< raw: u8 if left out; label: text if left out
  std::uint64_t classes = 0;     ///< label: it must be below; 0: any that is not negative
  /// u8, f16, bf16, f32, i64, or what is stored; f32 if left out, and i64 for labels. Floats are
  /// rounded to nearest even, to u8 with saturation; i64 only from integers.
  std::optional<Type> type;
  Layout layout = Layout::nhwc;
  std::vector<Step> steps;
};

/// What becomes of a sample that cannot be decoded, lacks a field, or is not of its shape.
enum class BadSample {
  error,  ///< an Error on all ranks that names the sample, its shard and field
  /// Its slot holds a copy of another sample of the same local batch (zeros where there is none;
  /// no rows where ragged), its weight is 0, and it is counted: the numbers of steps and slots
  /// stay.
  skip,
};

/// The tensors of a batch, and how they are made.
struct TensorConfig {
  std::vector<TensorSpec> tensors;
  std::string device = "auto";  ///< auto (a GPU where every rank has one) | host | cuda
  /// Where other nodes' samples arrive when tensors are made on a GPU: host (page-locked memory),
  /// or device: the GPU's, where a message shows that MPI takes it, else the host's. For codes that
  /// do not use NCCL on that GPU, see GradientSync.
  std::string arrivals = "host";
  BadSample on_bad_sample = BadSample::error;
  /// Threads that work on the next batch while the consumer computes; 0: none, the work is done in
  /// next(); left out: the cores that the node's ranks leave free, 8 at most, and with a GPU one at
  /// least.
  std::optional<std::uint32_t> transform_threads;
  /// Pixels of the largest image that is decoded; a larger one is a bad sample before any memory is
  /// taken for it.
  std::uint64_t max_pixels = std::uint64_t{1} << 24;

  /// Throws Error(invalid_argument) that names tensor, key and the accepted range.
  void validate() const;
};

/// The `[tensors]` and `[[tensor]]` tables of a TOML file; see docs/operations.md. What else is in
/// it is passed over, so that one file may hold a run's settings too.
/// Errors: not_found, io, format (not TOML), invalid_argument (names file, line and key).
[[nodiscard]] TensorConfig load_tensors(const std::string& file);
/// The same from text. \param name stands for the file in messages
[[nodiscard]] TensorConfig parse_tensors(std::string_view text, std::string_view name);

/// Uniform draws for a step of the user's: the same for a sample on any rank count.
using UserDraw = std::function<double()>;  ///< the next in [0, 1), in steps of 2^-32

/// Works on one sample in place, after the built-in steps and before the type's rounding.
/// \param values in stored order (height, width, channels), as f32
/// \param shape of the sample, in stored order; where it is ragged its rows first, which may be 0
/// Called by several threads at once. What it throws makes the sample a bad one.
using UserTransform = std::function<void(
    std::span<float> values, std::span<const std::uint64_t> shape, const UserDraw& draw)>;

/// Makes a step known to TOML and C++ by a name. Before the TOML is read and the TensorLoader made,
/// on all ranks.
/// Error(invalid_argument): the name is empty, built in, or taken. Thread safe.
void register_transform(const std::string& name, UserTransform transform);

}  // namespace faro
