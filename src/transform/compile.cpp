// What a TensorSpec must be, and a Program made of it.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "transform/transform.hpp"

namespace faro::transform {
namespace {

constexpr std::uint64_t most_elements = std::uint64_t{1} << 40;

/// What a tensor's errors begin with.
template <class... Args>
void need(bool condition, const TensorSpec& spec, fmt::format_string<Args...> text,
          Args&&... args) {
  check(condition, ErrorCode::invalid_argument, "tensor '{}': {}", spec.name,
        fmt::format(text, std::forward<Args>(args)...));
}

bool is_image(Decode decode) {
  return decode == Decode::image || decode == Decode::png || decode == Decode::jpeg;
}

/// Where a step stands among others.
int order_of(const Step& step) {
  constexpr std::array order{0, 0, 0, 1, 2, 3};
  return order.at(step.index());
}

std::uint64_t product(std::span<const std::uint64_t> shape, const TensorSpec& spec) {
  std::uint64_t count = 1;
  for (const auto size : shape) {
    need(size > 0 && size <= most_elements / count, spec, "shape {} is out of range",
         shape_text(shape));
    count *= size;
  }
  return count;
}

void check_size(const TensorSpec& spec, const Step& step, std::uint32_t height,
                std::uint32_t width) {
  need(height > 0 && width > 0 && height <= 65'535 && width <= 65'535, spec,
       "{}: a size of {} x {} is out of range: sides are from 1 to 65535", name_of(step), height,
       width);
}

void check_step(const TensorSpec& spec, const Step& step) {
  if (const auto* crop = std::get_if<RandomResizedCrop>(&step)) {
    check_size(spec, step, crop->height, crop->width);
    need(crop->scale_min > 0 && crop->scale_min <= crop->scale_max && crop->scale_max <= 1, spec,
         "random_resized_crop: scale = [{}, {}] is out of range: 0 < min <= max <= 1",
         crop->scale_min, crop->scale_max);
    need(crop->ratio_min >= 0.01 && crop->ratio_min <= crop->ratio_max && crop->ratio_max <= 100,
         spec, "random_resized_crop: ratio = [{}, {}] is out of range: 0.01 <= min <= max <= 100",
         crop->ratio_min, crop->ratio_max);
  } else if (const auto* resize = std::get_if<Resize>(&step)) {
    check_size(spec, step, resize->height, resize->width);
  } else if (const auto* centre = std::get_if<CentreCrop>(&step)) {
    check_size(spec, step, centre->height, centre->width);
    need(centre->resize <= 65'535, spec, "centre_crop: resize = {} is out of range: at most 65535",
         centre->resize);
    need(centre->resize == 0 ||
             (centre->height <= centre->resize && centre->width <= centre->resize),
         spec, "centre_crop: {} x {} is more than resize = {}", centre->height, centre->width,
         centre->resize);
  } else if (const auto* flip = std::get_if<HorizontalFlip>(&step)) {
    need(flip->probability >= 0 && flip->probability <= 1, spec,
         "horizontal_flip: probability = {} is out of range: from 0 to 1", flip->probability);
  }
}

bool finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

std::string_view name_of(const Step& step) {
  constexpr std::array<std::string_view, 5> names{"random_resized_crop", "resize", "centre_crop",
                                                  "horizontal_flip", "normalise"};
  const auto* registered = std::get_if<Registered>(&step);
  return registered != nullptr ? std::string_view(registered->name) : names.at(step.index());
}

Program::Program(TensorSpec spec, std::uint64_t max_pixels)
    : spec_(std::move(spec)), max_pixels_(max_pixels) {
  need(!spec_.name.empty(), spec_, "it needs a name");
  need(!spec_.field.empty(), spec_, "it needs a field, such as \"png\"");
  need(spec_.channels == 1 || spec_.channels == 3, spec_, "channels = {}: 1 or 3 are",
       spec_.channels);
  need(!is_image(spec_.decode) || spec_.shape.empty() || spec_.shape.size() == 2, spec_,
       "shape of an image is [height, width]");
  need(is_image(spec_.decode) || spec_.decode == Decode::label || !spec_.shape.empty() || ragged(),
       spec_, "raw and npy need shape, all dimensions of a sample");
  need(spec_.decode != Decode::label || spec_.shape.empty(), spec_, "a label has no shape");
  need(spec_.decode == Decode::label || spec_.classes == 0, spec_, "classes is for labels alone");
  need(!is_image(spec_.decode) || !spec_.stored, spec_, "stored is not for images");
  check_ragged();
  take_steps();
  set_type();
  set_shape();
  set_affine();
}

void Program::check_ragged() const {
  if (!ragged()) return;
  need(spec_.decode == Decode::raw || spec_.decode == Decode::npy, spec_,
       "ragged is for raw and npy");
  need(spec_.ragged->max_length > 0, spec_,
       "ragged needs max_length, the rows of the longest sample: memory is planned for it");
  need(spec_.layout == Layout::nhwc, spec_, "layout nchw is not for ragged samples");
}

bool Program::has_pixels() const noexcept {
  if (is_image(spec_.decode)) return true;
  if (ragged()) return false;
  if (spec_.shape.size() != 3 || spec_.shape[0] > 65'535 || spec_.shape[1] > 65'535) return false;
  return spec_.decode == Decode::raw ? spec_.stored.value_or(Type::u8) == Type::u8
                                     : spec_.decode == Decode::npy && spec_.stored == Type::u8;
}

void Program::take_steps() {
  need(spec_.decode != Decode::label || spec_.steps.empty(), spec_, "a label takes no steps");
  int last = -1;
  for (const auto& step : spec_.steps) {
    const int order = order_of(step);
    need(order > last || (order == 3 && last == 3), spec_,
         "step {} stands too late, or twice: a crop or resize comes first, then horizontal_flip, "
         "normalise, and registered steps",
         name_of(step));
    last = order;
    need(order > 1 || !ragged(), spec_,
         "step {} is not for ragged samples: normalise and registered steps are", name_of(step));
    need(order > 1 || has_pixels(), spec_,
         "step {} is for images, and u8 of shape [height, width, channels] (npy: stored = \"u8\")",
         name_of(step));
    check_step(spec_, step);
    if (order == 0) crop_ = step;
    if (const auto* flip = std::get_if<HorizontalFlip>(&step)) flip_ = flip->probability;
    if (const auto* named = std::get_if<Registered>(&step)) {
      registered_.push_back(find_registered(named->name));
      need(registered_.back() != nullptr, spec_,
           "no step is called '{}': random_resized_crop, resize, centre_crop, horizontal_flip and "
           "normalise are; others must be registered before the loader is made",
           named->name);
    }
  }
  need(registered_.size() < 256, spec_, "{} registered steps are too many", registered_.size());
  if (const auto* crop = crop_ ? std::get_if<RandomResizedCrop>(&*crop_) : nullptr) {
    range_ = {crop->scale_min,           crop->scale_max, std::log(crop->ratio_min),
              std::log(crop->ratio_max), crop->ratio_min, crop->ratio_max};
  }
}

void Program::set_type() {
  const bool label = spec_.decode == Decode::label;
  type_ = spec_.type.value_or(label ? Type::i64 : Type::f32);
  if (label) {
    need(type_ == Type::i64, spec_, "a label is i64, not {}", to_string(type_));
    need(!spec_.stored || is_integer(*spec_.stored), spec_, "a label is stored as an integer");
    return;
  }
  // Pixels are whole numbers, and stay so where nothing is computed.
  const bool exact = !crop_ || (std::holds_alternative<CentreCrop>(*crop_) &&
                                std::get<CentreCrop>(*crop_).resize == 0);
  const bool computed = !exact || std::any_of(spec_.steps.begin(), spec_.steps.end(),
                                              [](const Step& step) { return order_of(step) >= 2; });
  const auto stored = is_image(spec_.decode) ? Type::u8 : spec_.stored.value_or(Type::u8);
  const bool known = spec_.decode != Decode::npy || spec_.stored.has_value();
  const bool kept = !computed && (!known || type_ == stored);
  need(kept || is_output(type_), spec_,
       "type {} is for what is stored so: u8, f16, bf16, f32 and i64 are computed",
       to_string(type_));
  need(type_ != Type::i64 || (!computed && (!known || is_integer(stored))), spec_,
       "type i64 is for whole numbers that are not scaled or normalised");
}

void Program::set_shape() {
  if (spec_.decode == Decode::label) {
    bytes_ = sizeof(std::int64_t);
    return;
  }
  stored_shape_ = spec_.shape;
  if (is_image(spec_.decode)) {
    need(crop_.has_value() || spec_.shape.size() == 2, spec_,
         "it needs the images' size: shape = [height, width], or a crop or resize");
    stored_shape_.resize(2);
    stored_shape_.push_back(spec_.channels);
  }
  if (crop_) {
    std::visit(
        [this](const auto& step) {
          if constexpr (requires { step.height; }) {
            stored_shape_[0] = step.height;
            stored_shape_[1] = step.width;
          }
        },
        *crop_);
  }
  stored_elements_ = product(spec_.shape, spec_);
  shape_ = stored_shape_;
  if (ragged()) stored_shape_.insert(stored_shape_.begin(), spec_.ragged->max_length);
  const auto elements = product(stored_shape_, spec_);
  bytes_ = elements * size_of(type_);
  if (ragged()) {
    const auto last = shape_.empty() ? 1 : shape_.back();
    grid_ = Grid{1, elements / last, last}.stored();
    return;
  }
  if (shape_.size() != 3) {
    const auto last = shape_.back();
    grid_ = Grid{1, elements / last, last}.stored();
    return;
  }
  grid_ = Grid{shape_[0], shape_[1], shape_[2]}.stored();
  if (spec_.layout == Layout::nhwc) return;
  grid_.y_stride = grid_.width;
  grid_.x_stride = 1;
  grid_.c_stride = grid_.height * grid_.width;
  shape_ = {shape_[2], shape_[0], shape_[1]};
}

void Program::set_affine() {
  if (spec_.decode == Decode::label) return;
  const auto found = std::find_if(spec_.steps.begin(), spec_.steps.end(), [](const Step& step) {
    return std::holds_alternative<Normalise>(step);
  });
  if (found != spec_.steps.end()) {
    const auto& step = std::get<Normalise>(*found);
    const auto channels = grid_.channels;
    for (const auto* values : {&step.mean, &step.std}) {
      need((values->size() == 1 || values->size() == channels) && finite(*values), spec_,
           "normalise: {} has {} numbers: one, or one for each of {} channels",
           values == &step.mean ? "mean" : "std", values->size(), channels);
    }
    need(std::all_of(step.std.begin(), step.std.end(), [](double v) { return v > 0; }), spec_,
         "normalise: std must be above 0");
    need(step.scale || spec_.decode != Decode::npy || spec_.stored, spec_,
         "normalise of npy needs scale, or stored");
    const bool bytes = is_image(spec_.decode) || (spec_.stored.value_or(Type::u8) == Type::u8);
    const double scale = step.scale.value_or(bytes ? 1.0 / 255 : 1.0);
    need(std::isfinite(scale) && scale != 0, spec_, "normalise: scale = {} is out of range", scale);
    for (std::uint64_t c = 0; c < channels; ++c) {
      const double mean = step.mean[step.mean.size() == 1 ? 0 : c];
      const double std = step.std[step.std.size() == 1 ? 0 : c];
      affine_.a.push_back(static_cast<float>(scale / std));
      affine_.b.push_back(static_cast<float>(-mean / std));
    }
  }
  if (has_pixels() && (is_output(type_) || !registered_.empty())) {
    table_ = make_table(affine_, grid_.channels, registered_.empty() ? type_ : Type::f32);
  }
}

std::uint64_t Program::scratch_bytes() const noexcept {
  // An image in CMYK has a byte a pixel more than it is given out with.
  const auto pixels =
      is_image(spec_.decode) ? max_pixels_ * (spec_.channels == 1 ? 1U : 4U) : std::uint64_t{0};
  const auto values = registered_.empty() ? 0 : grid_.elements() * sizeof(float);
  return pixels + values + grid_.width * (sizeof(Tap) + 2 * grid_.channels * sizeof(std::uint32_t));
}

}  // namespace faro::transform

namespace faro {

std::uint64_t size_of(Type type) noexcept {
  constexpr std::array<std::uint64_t, 11> sizes{1, 1, 2, 2, 4, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<std::size_t>(type)];
}

std::string_view to_string(Type type) noexcept {
  constexpr std::array<std::string_view, 11> names{"u8",  "i8",  "u16",  "i16", "u32", "i32",
                                                   "i64", "f16", "bf16", "f32", "f64"};
  return names[static_cast<std::size_t>(type)];
}

void TensorConfig::validate() const {
  check(!tensors.empty(), ErrorCode::invalid_argument,
        "no tensors: declare one at least, with name, field and decode");
  check(device == "auto" || device == "host" || device == "cuda", ErrorCode::invalid_argument,
        "device = '{}' is unknown: give auto, host or cuda", device);
  check(arrivals == "host" || arrivals == "device", ErrorCode::invalid_argument,
        "arrivals = '{}' is unknown: give host or device", arrivals);
  check(transform_threads.value_or(0) <= 1024, ErrorCode::invalid_argument,
        "transform_threads = {} is out of range: at most 1024", transform_threads.value_or(0));
  check(max_pixels > 0 && max_pixels <= std::uint64_t{65'535} * 65'535, ErrorCode::invalid_argument,
        "max_pixels = {} is out of range: from 1 to 65535 x 65535", max_pixels);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const transform::Program program(tensors[i], max_pixels);
    for (std::size_t j = 0; j < i; ++j) {
      check(tensors[i].name != tensors[j].name, ErrorCode::invalid_argument,
            "two tensors are called '{}'", tensors[i].name);
    }
    for (const auto& other : tensors) {
      check(!tensors[i].ragged || other.name != transform::offsets_name(tensors[i].name),
            ErrorCode::invalid_argument, "tensor '{}': its name is that of the offsets of '{}'",
            other.name, tensors[i].name);
    }
  }
}

}  // namespace faro
