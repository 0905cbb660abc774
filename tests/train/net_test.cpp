// The GPU's net, with its kernels and products done by loops, is the host's; and the GPU's own is.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "../support/errors.hpp"
#include "cuda/backend.hpp"
#include "cuda/device.hpp"
#include "net_device.hpp"

namespace train {
namespace {

/// Runs at once what a GPU would run later.
class Loops {
 public:
  [[nodiscard]] int number() const { return 7; }
  [[nodiscard]] void* stream() const { return nullptr; }

  std::unique_ptr<float[]> allocate(std::size_t floats) {
    return std::make_unique<float[]>(floats);
  }
  template <class Body>
  void each(int count, Body body) {
    for (int i = count; i-- > 0;) body(i);
  }
  void multiply(const Product& p) {
    const auto at = [](const float* of, bool transposed, int rows, int columns, int i, int j) {
      return transposed ? of[i * columns + j] : of[j * rows + i];
    };
    for (int j = 0; j < p.n; ++j) {
      for (int i = 0; i < p.m; ++i) {
        double sum = 0;
        for (int l = 0; l < p.k; ++l) {
          sum += static_cast<double>(at(p.a, p.a_transposed, p.m, p.k, i, l)) *
                 static_cast<double>(at(p.b, p.b_transposed, p.k, p.n, l, j));
        }
        float& c = p.c[j * p.m + i];
        c = static_cast<float>(sum) + (p.beta == 0 ? 0 : p.beta * c);
      }
    }
  }
  void upload(float* to, std::span<const float> from) { std::copy(from.begin(), from.end(), to); }
  void copy(float* to, const float* from, std::size_t floats) { std::copy_n(from, floats, to); }
  void download(std::span<float> to, const float* from) {
    std::copy_n(from, to.size(), to.begin());
  }
};

/// A net with memory for its gradients.
struct Training {
  explicit Training(std::unique_ptr<Net> made) : net(std::move(made)) {
    std::vector<float*> where;
    for (const auto& parameter : parameters()) {
      gradients.emplace_back(parameter.elements, std::nanf(""));  // each is written in every step
      where.push_back(gradients.back().data());
    }
    net->set_gradients(where, &loss);
  }
  /// The order in which gradients came.
  std::vector<std::size_t> step(Images& images) {
    std::vector<std::size_t> order;
    net->forward(images);
    net->backward(images, [&](std::size_t parameter) { order.push_back(parameter); });
    net->keep_loss();
    net->update(0.05F, 0.9F);
    return order;
  }

  std::unique_ptr<Net> net;
  std::vector<std::vector<float>> gradients;
  float loss = -1;
};

/// A batch in host memory.
struct Drawn {
  std::vector<float> pixels;
  std::vector<std::int64_t> labels;
  std::vector<float> weights;
  [[nodiscard]] Images images() const { return {pixels.data(), labels.data(), weights}; }
};

Drawn draw(std::mt19937& random, std::size_t samples, std::size_t pads) {
  Drawn drawn{std::vector<float>(samples * pixels), std::vector<std::int64_t>(samples),
              std::vector<float>(samples, 1.0F)};
  for (auto& label : drawn.labels) label = static_cast<std::int64_t>(random() % classes);
  for (std::size_t i = 0; i < drawn.pixels.size(); ++i) {
    // What can be learnt: some pixels go with the class.
    const auto label = static_cast<std::size_t>(drawn.labels[i / pixels]);
    drawn.pixels[i] = static_cast<float>(random() % 1000) / 1000.0F - 0.5F +
                      (i % pixels / 79 == label ? 1.0F : 0.0F);
  }
  std::fill_n(drawn.weights.rbegin(), pads, 0.0F);
  return drawn;
}

void expect_near(std::span<const float> one, std::span<const float> other, float tolerance,
                 const std::string& what) {
  ASSERT_EQ(one.size(), other.size());
  float worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    ASSERT_TRUE(std::isfinite(other[i])) << what << " " << i;
    worst = std::max(worst, std::abs(one[i] - other[i]));
  }
  EXPECT_LE(worst, tolerance) << what;
}

TEST(DeviceNet, IsTheHostsNet) {
  Training host(make_host_net(3));
  Training device(std::make_unique<DeviceNet<Loops>>(Loops(), 3));
  EXPECT_EQ(host.net->device(), -1);
  EXPECT_EQ(device.net->device(), 7);
  expect_near(host.net->values(), device.net->values(), 0, "first values");
  std::mt19937 random(1);
  // Batches of several sizes, pads in some, pads alone, and nothing at all.
  const std::vector<std::pair<std::size_t, std::size_t>> batches{{16, 0}, {5, 2}, {33, 0}, {1, 0},
                                                                 {4, 4},  {0, 0}, {16, 1}, {16, 0}};
  for (const auto& [samples, pads] : batches) {
    SCOPED_TRACE(std::to_string(samples) + " samples, " + std::to_string(pads) + " pads");
    const auto drawn = draw(random, samples, pads);
    auto images = drawn.images();
    const auto order = host.step(images);
    EXPECT_EQ(order, (std::vector<std::size_t>{5, 4, 3, 2, 1, 0}));
    EXPECT_EQ(device.step(images), order);
    EXPECT_NEAR(host.loss, device.loss, 1e-5);
    EXPECT_EQ(samples > pads, device.loss > 0);
    for (std::size_t p = 0; p < parameters().size(); ++p) {
      expect_near(host.gradients[p], device.gradients[p], 1e-5F, parameters()[p].name);
    }
    expect_near(host.net->values(), device.net->values(), 1e-5F, "values");
  }
  const auto losses = device.net->take_losses();
  EXPECT_EQ(losses.size(), batches.size());
  expect_near(host.net->take_losses(), losses, 1e-5F, "losses");
  EXPECT_TRUE(device.net->take_losses().empty());
}

TEST(DeviceNet, CountsWhatIsRight) {
  Training host(make_host_net(3));
  Training device(std::make_unique<DeviceNet<Loops>>(Loops(), 3));
  std::mt19937 random(2);
  for (int step = 0; step < 40; ++step) {
    const auto drawn = draw(random, 32, 0);
    auto images = drawn.images();
    host.step(images);
    device.step(images);
  }
  EXPECT_EQ(device.net->take_losses().size(), 40U);
  std::uint64_t counted = 0;
  for (int i = 0; i < 3; ++i) {
    const auto drawn = draw(random, 50, 7);
    auto images = drawn.images();
    counted += images.counted();
    host.net->count_right(images);
    device.net->count_right(images);
  }
  const auto right = device.net->take_right();
  EXPECT_EQ(right, host.net->take_right());
  EXPECT_EQ(counted, 129U);
  EXPECT_GT(right, counted * 3 / 4);
  EXPECT_LE(right, counted);
  EXPECT_EQ(device.net->take_right(), 0U);
  EXPECT_EQ(host.net->take_right(), 0U);
}

TEST(DeviceNet, KeepsMoreLossesThanFitOnTheDevice) {
  Training device(std::make_unique<DeviceNet<Loops>>(Loops(), 3));
  for (int i = 0; i < 2500; ++i) {
    device.loss = static_cast<float>(i);
    device.net->keep_loss();
  }
  const auto losses = device.net->take_losses();
  ASSERT_EQ(losses.size(), 2500U);
  for (int i = 0; i < 2500; ++i) ASSERT_EQ(losses[static_cast<std::size_t>(i)], i);
}

// ---- a GPU, where there is one

/// Memory of it, and copies that are waited for.
class OnGpu {
 public:
  explicit OnGpu(std::uint64_t bytes)
      : memory_(gpu().allocate(bytes)),
        pinned_(gpu().allocate_pinned(bytes)),
        stream_(gpu().make_stream()),
        event_(gpu().make_event()) {}

  template <class T>
  T* put(const std::vector<T>& values) {
    std::memcpy(pinned_->bytes().data(), values.data(), values.size() * sizeof(T));
    copy(memory_->bytes().data(), pinned_->bytes().data(), values.size() * sizeof(T));
    return reinterpret_cast<T*>(memory_->bytes().data());
  }
  /// Of any memory of the GPU's.
  std::vector<float> read(const float* from, std::size_t count) {
    copy(pinned_->bytes().data(), reinterpret_cast<const std::byte*>(from), count * sizeof(float));
    std::vector<float> values(count);
    std::memcpy(values.data(), pinned_->bytes().data(), count * sizeof(float));
    return values;
  }
  [[nodiscard]] float* floats() const { return reinterpret_cast<float*>(memory_->bytes().data()); }

 private:
  static faro::cuda::Device& gpu() {
    static const auto opened = faro::cuda::open_device(0);
    return *opened;
  }
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) {
    stream_->copy(to, from, bytes);
    stream_->record(*event_);
    event_->wait();
  }

  std::unique_ptr<faro::cuda::Memory> memory_;
  std::unique_ptr<faro::cuda::Memory> pinned_;
  std::unique_ptr<faro::cuda::Stream> stream_;
  std::unique_ptr<faro::cuda::Event> event_;
};

TEST(CudaNet, IsTheHostsNet) {
  const auto backend = faro::cuda::probe();
  if (!backend.usable) GTEST_SKIP() << backend.why;
  Training host(make_host_net(3));
  const auto net = make_cuda_net(3, 0);
  EXPECT_EQ(net->device(), 0);
  std::vector<OnGpu> gradients;
  std::vector<float*> where;
  for (const auto& parameter : parameters()) {
    gradients.emplace_back(parameter.elements * sizeof(float));
    where.push_back(gradients.back().floats());
  }
  OnGpu loss(sizeof(float));
  net->set_gradients(where, loss.floats());
  std::mt19937 random(1);
  const std::vector<std::pair<std::size_t, std::size_t>> batches{{16, 0}, {5, 2}, {33, 0}, {1, 0},
                                                                 {4, 4},  {0, 0}, {64, 1}, {16, 0}};
  OnGpu pixels_there(std::size_t{64} * pixels * sizeof(float));
  OnGpu labels_there(64 * sizeof(std::int64_t));
  for (const auto& [samples, pads] : batches) {
    SCOPED_TRACE(std::to_string(samples) + " samples, " + std::to_string(pads) + " pads");
    const auto drawn = draw(random, samples, pads);
    auto images = drawn.images();
    host.step(images);
    host.net->count_right(images);
    Images there(pixels_there.put(drawn.pixels), labels_there.put(drawn.labels), drawn.weights);
    net->forward(there);
    net->backward(there, [](std::size_t) {});
    net->keep_loss();
    net->update(0.05F, 0.9F);
    net->count_right(there);
    EXPECT_NEAR(net->take_losses().at(0), host.net->take_losses().at(0), 1e-4);
    EXPECT_EQ(net->take_right(), host.net->take_right());
    for (std::size_t p = 0; p < parameters().size(); ++p) {
      expect_near(host.gradients[p], gradients[p].read(where[p], parameters()[p].elements), 1e-4F,
                  parameters()[p].name);
    }
    const auto values = net->values();
    OnGpu reader(values.size_bytes());
    expect_near(host.net->values(), reader.read(values.data(), values.size()), 1e-4F, "values");
  }
}

TEST(CudaNet, IsAnErrorWithoutCuda) {
  if (faro::cuda::probe().usable)
    GTEST_SKIP() << "there is a GPU, and this is what is said without one";
  EXPECT_EQ(faro::test::error_of([] { (void)make_cuda_net(3, 0); }).code(),
            faro::ErrorCode::device);
}

}  // namespace
}  // namespace train
