#include "source.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace train {
namespace {

faro::Config config_of(const SourceOptions& options) {
  faro::Config config;
  config.data = options.data;
  config.epochs = options.epochs;
  config.seed = options.seed;  // the order depends on this and on the epoch, not on the ranks
  config.global_batch = options.global_batch;  // over all ranks; each gets its share of it
  config.end = faro::EndPolicy::pad;           // every sample once an epoch; pads weigh nothing
  return config;
}

class FaroSource final : public Source {
 public:
  explicit FaroSource(const SourceOptions& options)
      : loader_(config_of(options), tensors(options.device)) {}
  bool begin_epoch() override { return loader_.begin_epoch(); }
  std::optional<Images> next() override {
    auto batch = loader_.next();
    return batch ? std::optional<Images>(std::move(*batch)) : std::nullopt;
  }
  std::uint64_t steps() const override { return loader_.plan().steps; }
  std::uint64_t samples() const override { return loader_.plan().samples_per_epoch; }
  int device() const override { return loader_.device(); }
  std::string place() const override { return loader_.tensor_plan().device; }

 private:
  faro::TensorLoader loader_;
};

class MemorySource final : public Source {
 public:
  explicit MemorySource(const SourceOptions& options) : options_(options) {
    if (options.device == "cuda") {
      throw faro::Error(faro::ErrorCode::invalid_argument,
                        "--shuffle memory trains on the host: give --device auto or host");
    }
    auto once = options;
    once.epochs = 1;
    faro::TensorLoader loader(config_of(once), tensors("host"), MPI_COMM_SELF);
    pixels_.resize(loader.plan().samples * pixels);
    labels_.resize(loader.plan().samples);
    loader.begin_epoch();
    while (auto batch = loader.next()) {
      const auto numbers = batch->numbers();
      const Images images(std::move(*batch));
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        std::copy_n(images.pixels() + i * pixels, pixels, &pixels_[numbers[i] * pixels]);
        labels_[numbers[i]] = images.labels()[i];
      }
    }
    order_.resize(labels_.size());
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }
  bool begin_epoch() override {
    if (epoch_ == options_.epochs) return false;
    std::iota(order_.begin(), order_.end(), 0);
    std::seed_seq seed{options_.seed, epoch_++};
    std::mt19937_64 random(seed);
    std::shuffle(order_.begin(), order_.end(), random);
    step_ = 0;
    return true;
  }
  std::optional<Images> next() override {
    if (step_ == steps()) return std::nullopt;
    const auto ranks = static_cast<std::uint64_t>(ranks_);
    const auto rank = static_cast<std::uint64_t>(rank_);
    const auto base = step_++ * options_.global_batch;
    const auto first = base + options_.global_batch * rank / ranks;
    const auto last = base + options_.global_batch * (rank + 1) / ranks;
    batch_pixels_.clear();
    batch_labels_.clear();
    std::vector<float> weights;
    for (auto at = first; at < last; ++at) {
      const auto number = order_[at % order_.size()];
      const auto image = std::span(pixels_).subspan(number * pixels, pixels);
      batch_pixels_.insert(batch_pixels_.end(), image.begin(), image.end());
      batch_labels_.push_back(labels_[number]);
      weights.push_back(at < order_.size() ? 1.0F : 0.0F);
    }
    return Images(batch_pixels_.data(), batch_labels_.data(), std::move(weights));
  }
  std::uint64_t steps() const override {
    return (order_.size() + options_.global_batch - 1) / options_.global_batch;
  }
  std::uint64_t samples() const override { return order_.size(); }
  int device() const override { return -1; }
  std::string place() const override { return "host (--shuffle memory)"; }

 private:
  SourceOptions options_;
  std::vector<float> pixels_;
  std::vector<std::int64_t> labels_;
  std::vector<float> batch_pixels_;
  std::vector<std::int64_t> batch_labels_;
  std::vector<std::size_t> order_;
  std::uint64_t epoch_ = 0;
  std::uint64_t step_ = 0;
  int rank_ = 0;
  int ranks_ = 1;
};

}  // namespace

std::unique_ptr<Source> from_faro(const SourceOptions& options) {
  return std::make_unique<FaroSource>(options);
}

std::unique_ptr<Source> from_memory(const SourceOptions& options) {
  return std::make_unique<MemorySource>(options);
}

}  // namespace train
