#include "pack/idx.hpp"

#include <filesystem>
#include <span>

#include "base/error.hpp"
#include "pack/os_error.hpp"
#include "pack/png.hpp"

namespace faro::pack {
namespace {

namespace fs = std::filesystem;

class IdxSource final : public Source {
 public:
  IdxSource(IdxFile images, IdxFile labels)
      : images_(std::move(images)), labels_(std::move(labels)) {
    check(images_.sizes[0] == labels_.sizes[0], ErrorCode::format,
          "{} holds {} images but {} holds {} labels: these are not of one data set", images_.path,
          images_.sizes[0], labels_.path, labels_.sizes[0]);
    for (std::size_t i = 1; i < images_.sizes.size(); ++i) {
      check(images_.sizes[i] > 0 && images_.sizes[i] <= max_png_side, ErrorCode::format,
            "{}: images of {} x {} pixels; 1 to {} a side can be packed", images_.path,
            images_.sizes[1], images_.sizes[2], max_png_side);
    }
  }

  [[nodiscard]] std::uint64_t count() const override { return images_.sizes[0]; }

  [[nodiscard]] SourceSample sample(std::uint64_t i) const override {
    check(i < count(), ErrorCode::internal, "sample {} of {}", i, count());
    const std::uint64_t pixels = std::uint64_t{images_.sizes[1]} * images_.sizes[2];
    const auto image = std::span(images_.data).subspan(i * pixels, pixels);
    const std::string label = std::to_string(std::to_integer<unsigned>(labels_.data[i]));
    const auto text = std::as_bytes(std::span(label));
    SourceSample sample{.key = padded(i, count()), .fields = {}};
    sample.fields.push_back({"png", encode_png(image, images_.sizes[2], images_.sizes[1])});
    sample.fields.push_back({"cls", {text.begin(), text.end()}});
    return sample;
  }

 private:
  IdxFile images_;
  IdxFile labels_;
};

// Debian and the authors name the files with '-', older copies with '.'.
std::string find(const fs::path& directory, const std::string& stem, const std::string& kind) {
  std::error_code error;
  for (const char* separator : {"-", "."}) {
    for (const char* suffix : {"", ".gz"}) {
      const fs::path path = directory / (stem + separator + kind + suffix);
      if (fs::exists(path, error)) return path.string();
      check(!error, code_of(error.value()), "cannot look into {}: {}", directory.string(),
            error.message());
    }
  }
  fail(ErrorCode::not_found,
       "{} holds no {}-{}[.gz]; give the directory of the data set's IDX files", directory.string(),
       stem, kind);
}

}  // namespace

std::unique_ptr<Source> open_idx(const std::string& directory, const std::string& split) {
  check(split == "train" || split == "t10k", ErrorCode::invalid_argument,
        "an IDX data set has the splits train and t10k, not '{}'", split);
  check(!directory.empty(), ErrorCode::invalid_argument,
        "pack needs the directory of the data set's IDX files as its input");
  return std::make_unique<IdxSource>(read_idx(find(directory, split + "-images", "idx3-ubyte"), 3),
                                     read_idx(find(directory, split + "-labels", "idx1-ubyte"), 1));
}

}  // namespace faro::pack
