// `[tensors]` and `[[tensor]]` of a TOML file.
#include <toml++/toml.h>

#include <array>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/error.hpp"
#include "transform/transform.hpp"

namespace faro {
namespace {

template <class... Args>
[[noreturn]] void wrong(std::string_view file, const toml::node& node,
                        fmt::format_string<Args...> text, Args&&... args) {
  fail(ErrorCode::invalid_argument, "{}:{}: {}", file, node.source().begin.line,
       fmt::format(text, std::forward<Args>(args)...));
}

/// A table whose keys are taken one by one; what is left at the end is unknown.
class Keys {
 public:
  Keys(const toml::table& table, std::string_view file, std::string what)
      : table_(table), file_(file), what_(std::move(what)) {}

  void finish() const {
    for (const auto& [key, node] : table_) {
      if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
      std::string names;
      for (const auto& name : known_) names += " " + name;
      wrong(file_, node, "{} has no key '{}'; it has:{}", what_, key.str(), names);
    }
  }
  [[nodiscard]] const toml::node* find(const std::string& key) {
    known_.push_back(key);
    return table_.get(key);
  }
  void text(const std::string& key, std::string& value) {
    const auto* node = find(key);
    if (node == nullptr) return;
    if (!node->is_string()) wrong(file_, *node, "{}: a string is wanted", key);
    value = node->as_string()->get();
  }
  void flag(const std::string& key, bool& value) {
    const auto* node = find(key);
    if (node == nullptr) return;
    if (!node->is_boolean()) wrong(file_, *node, "{}: true or false is wanted", key);
    value = node->as_boolean()->get();
  }
  template <class T>
  void count(const std::string& key, T& value) {
    if (const auto* node = find(key)) value = whole<T>(*node, key);
  }
  void real(const std::string& key, double& value) {
    if (const auto* node = find(key)) value = number(*node, key);
  }
  template <class T>
  void counts(const std::string& key, std::vector<T>& values) {
    each(key, [&](const toml::node& node) { values.push_back(whole<T>(node, key)); });
  }
  void reals(const std::string& key, std::vector<double>& values) {
    each(key, [&](const toml::node& node) { values.push_back(number(node, key)); });
  }
  /// Exactly two.
  void pair(const std::string& key, double& first, double& second) {
    std::vector<double> values;
    reals(key, values);
    if (values.empty()) return;
    if (values.size() != 2) wrong(file_, *table_.get(key), "{}: two numbers are wanted", key);
    first = values[0];
    second = values[1];
  }
  void size(std::uint32_t& height, std::uint32_t& width) {
    std::vector<std::uint32_t> values;
    counts("size", values);
    if (values.size() != 2) {
      fail(ErrorCode::invalid_argument, "{}:{}: {} needs size = [height, width]", file_,
           table_.source().begin.line, what_);
    }
    height = values[0];
    width = values[1];
  }
  /// One of the names, as the value at its place.
  template <class T, std::size_t n>
  bool choice(const std::string& key, const std::array<std::string_view, n>& names, T& value) {
    std::string given;
    text(key, given);
    if (table_.get(key) == nullptr) return false;
    const auto found = std::find(names.begin(), names.end(), given);
    if (found == names.end()) {
      wrong(file_, *table_.get(key), "{} = '{}' is unknown: give one of {}", key, given,
            fmt::join(names, ", "));
    }
    value = static_cast<T>(found - names.begin());
    return true;
  }

 private:
  template <class Take>
  void each(const std::string& key, Take&& take) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    if (array == nullptr) wrong(file_, *node, "{}: an array of numbers is wanted", key);
    for (const auto& element : *array) take(element);
  }
  template <class T>
  [[nodiscard]] T whole(const toml::node& node, const std::string& key) const {
    const auto* integer = node.as_integer();
    if (integer == nullptr || !std::in_range<T>(integer->get())) {
      wrong(file_, node, "{}: a whole number from 0 to {} is wanted", key,
            std::min<std::uint64_t>(std::numeric_limits<T>::max(), INT64_MAX));
    }
    return static_cast<T>(integer->get());
  }
  [[nodiscard]] double number(const toml::node& node, const std::string& key) const {
    if (const auto* value = node.as_floating_point()) return value->get();
    if (const auto* value = node.as_integer()) return static_cast<double>(value->get());
    wrong(file_, node, "{}: a number is wanted", key);
  }

  const toml::table& table_;
  std::string_view file_;
  std::string what_;
  std::vector<std::string> known_;
};

constexpr std::array<std::string_view, 11> types{"u8",  "i8",  "u16",  "i16", "u32", "i32",
                                                 "i64", "f16", "bf16", "f32", "f64"};

void parse_type(Keys& keys, const std::string& key, std::optional<Type>& type) {
  Type given{};
  if (keys.choice(key, types, given)) type = given;
}

Step parse_step(const toml::table& table, std::string_view file) {
  const auto op = table["op"].value_or(std::string());
  Keys keys(table, file, op.empty() ? "a step" : op);
  if (keys.find("op") == nullptr || op.empty()) {
    fail(ErrorCode::invalid_argument, "{}:{}: a step needs op, its name", file,
         table.source().begin.line);
  }
  Step step = Registered{op};
  if (op == "random_resized_crop") {
    RandomResizedCrop crop;
    keys.size(crop.height, crop.width);
    keys.pair("scale", crop.scale_min, crop.scale_max);
    keys.pair("ratio", crop.ratio_min, crop.ratio_max);
    step = crop;
  } else if (op == "resize") {
    Resize resize;
    keys.size(resize.height, resize.width);
    step = resize;
  } else if (op == "centre_crop") {
    CentreCrop crop;
    keys.size(crop.height, crop.width);
    keys.count("resize", crop.resize);
    step = crop;
  } else if (op == "horizontal_flip") {
    HorizontalFlip flip;
    keys.real("probability", flip.probability);
    step = flip;
  } else if (op == "normalise") {
    Normalise normalise;
    keys.reals("mean", normalise.mean);
    keys.reals("std", normalise.std);
    if (double scale = 0; table.contains("scale")) {
      keys.real("scale", scale);
      normalise.scale = scale;
    } else {
      static_cast<void>(keys.find("scale"));
    }
    step = std::move(normalise);
  }
  keys.finish();
  return step;
}

Ragged parse_ragged(const toml::node& node, std::string_view file) {
  if (!node.is_table()) wrong(file, node, "ragged: a table {{ max_length = ... }} is wanted");
  Ragged ragged;
  Keys keys(*node.as_table(), file, "ragged");
  keys.count("max_length", ragged.max_length);
  keys.flag("truncate", ragged.truncate);
  keys.finish();
  return ragged;
}

TensorSpec parse_tensor(const toml::table& table, std::string_view file) {
  TensorSpec spec;
  Keys keys(table, file, "[[tensor]]");
  keys.text("name", spec.name);
  keys.text("field", spec.field);
  constexpr std::array<std::string_view, 6> decoders{"image", "png", "jpeg", "raw", "npy", "label"};
  keys.choice("decode", decoders, spec.decode);
  keys.count("channels", spec.channels);
  keys.counts("shape", spec.shape);
  if (const auto* node = keys.find("ragged")) spec.ragged = parse_ragged(*node, file);
  parse_type(keys, "stored", spec.stored);
  keys.count("classes", spec.classes);
  parse_type(keys, "type", spec.type);
  constexpr std::array<std::string_view, 2> layouts{"nhwc", "nchw"};
  keys.choice("layout", layouts, spec.layout);
  if (const auto* node = keys.find("steps")) {
    const auto* steps = node->as_array();
    if (steps == nullptr) wrong(file, *node, "steps: an array of tables with op is wanted");
    for (const auto& step : *steps) {
      if (!step.is_table()) wrong(file, step, "steps: an array of tables with op is wanted");
      spec.steps.push_back(parse_step(*step.as_table(), file));
    }
  }
  keys.finish();
  try {
    const transform::Program checked(spec, TensorConfig{}.max_pixels);
  } catch (const Error& error) {
    fail(error.code(), "{}:{}: {}", file, table.source().begin.line, error.what());
  }
  return spec;
}

void parse_common(const toml::table& table, std::string_view file, TensorConfig& config) {
  Keys keys(table, file, "[tensors]");
  keys.text("device", config.device);
  keys.text("arrivals", config.arrivals);
  constexpr std::array<std::string_view, 2> policies{"error", "skip"};
  keys.choice("on_bad_sample", policies, config.on_bad_sample);
  if (const auto* node = table.get("transform_threads"); node != nullptr && node->is_string()) {
    constexpr std::array<std::string_view, 1> automatic{"auto"};
    int unused = 0;
    keys.choice("transform_threads", automatic, unused);
  } else {
    std::uint32_t threads = 0;
    keys.count("transform_threads", threads);
    if (node != nullptr) config.transform_threads = threads;
  }
  keys.count("max_pixels", config.max_pixels);
  keys.finish();
}

}  // namespace

TensorConfig parse_tensors(std::string_view text, std::string_view name) {
  toml::table document;
  try {
    document = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::format, "{}:{}: not TOML: {}", name, error.source().begin.line,
         error.description());
  }
  TensorConfig config;
  if (const auto* node = document.get("tensors")) {
    if (!node->is_table()) wrong(name, *node, "tensors: a table is wanted");
    parse_common(*node->as_table(), name, config);
  }
  if (const auto* node = document.get("tensor")) {
    if (!node->is_array_of_tables()) wrong(name, *node, "tensor: tables [[tensor]] are wanted");
    for (const auto& tensor : *node->as_array()) {
      config.tensors.push_back(parse_tensor(*tensor.as_table(), name));
    }
  }
  try {
    config.validate();
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", name, error.what());
  }
  return config;
}

TensorConfig load_tensors(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  check(in.good(), ErrorCode::not_found, "{}: no such configuration file, or not readable", file);
  std::ostringstream text;
  text << in.rdbuf();
  check(!in.bad(), ErrorCode::io, "{}: cannot be read", file);
  return parse_tensors(text.str(), file);
}

}  // namespace faro
