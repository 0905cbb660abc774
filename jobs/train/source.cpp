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
  explicit FaroSource(const SourceOptions& options) : loader_(config_of(options), tensors()) {}
  bool begin_epoch() override { return loader_.begin_epoch(); }
  std::optional<Images> next() override {
    const auto batch = loader_.next();
    return batch ? std::optional(images_of(*batch)) : std::nullopt;
  }
  std::uint64_t steps() const override { return loader_.plan().steps; }
  std::uint64_t samples() const override { return loader_.plan().samples_per_epoch; }

 private:
  faro::TensorLoader loader_;
};

class MemorySource final : public Source {
 public:
  explicit MemorySource(const SourceOptions& options) : options_(options) {
    auto once = options;
    once.epochs = 1;
    faro::TensorLoader loader(config_of(once), tensors(), MPI_COMM_SELF);
    all_.pixels.resize(pixels, static_cast<Eigen::Index>(loader.plan().samples));
    all_.labels.resize(loader.plan().samples);
    loader.begin_epoch();
    while (const auto batch = loader.next()) {
      const auto images = images_of(*batch);
      for (int i = 0; i < images.size(); ++i) {
        const auto number = batch->numbers()[static_cast<std::size_t>(i)];
        all_.pixels.col(static_cast<Eigen::Index>(number)) = images.pixels.col(i);
        all_.labels[number] = images.labels[static_cast<std::size_t>(i)];
      }
    }
    order_.resize(all_.labels.size());
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
    Images images;
    images.pixels.resize(pixels, static_cast<Eigen::Index>(last - first));
    for (auto at = first; at < last; ++at) {
      const auto number = order_[at % order_.size()];
      images.pixels.col(images.size()) = all_.pixels.col(static_cast<Eigen::Index>(number));
      images.labels.push_back(all_.labels[number]);
      images.weights.push_back(at < order_.size() ? 1.0F : 0.0F);
    }
    return images;
  }
  std::uint64_t steps() const override {
    return (order_.size() + options_.global_batch - 1) / options_.global_batch;
  }
  std::uint64_t samples() const override { return order_.size(); }

 private:
  SourceOptions options_;
  Images all_;
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
