// Tensors of a shuffled data set of PNG images and labels, on any number of ranks.
#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include "cuda/backend.hpp"
#include "images.hpp"

namespace faro::test {
namespace {

TEST(TensorLoader, DeliversEverySampleOnceAsItsPixelsAndLabel) {
  for (const std::uint32_t threads : {0U, 3U}) {
    Images data;
    data.config.epochs = 2;
    data.config.verify = true;
    data.tensors.transform_threads = threads;
    TensorLoader loader(data.config, data.tensors);
    while (loader.begin_epoch()) {
      std::vector<std::uint64_t> times(Images::samples);
      std::uint64_t steps = 0;
      while (const auto batch = loader.next()) {
        EXPECT_EQ(batch->step(), steps++);
        const auto& image = (*batch)["image"];
        EXPECT_EQ(image.shape, (std::vector<std::int64_t>{static_cast<std::int64_t>(batch->size()),
                                                          side, side, 1}));
        const auto values = image.values<float>();
        const auto labels = (*batch)["label"].values<std::int64_t>();
        ASSERT_EQ(labels.size(), batch->size());
        for (std::size_t i = 0; i < batch->size(); ++i) {
          const auto number = batch->numbers()[i];
          const auto expected = pixels(number, side, side);
          for (std::size_t p = 0; p < expected.size(); ++p) {
            ASSERT_EQ(values[i * expected.size() + p], static_cast<unsigned char>(expected[p]));
          }
          EXPECT_EQ(labels[i], static_cast<std::int64_t>(number % 10));
          if (batch->weights()[i] != 0) ++times[number];
        }
      }
      EXPECT_EQ(steps, loader.plan().steps);
      data.world->all_reduce(times, comm::Op::sum);
      EXPECT_EQ(times, std::vector<std::uint64_t>(Images::samples, 1)) << "pads weigh something";
    }
  }
}

/// A hash of every tensor of the run and its place in the global batch, over all ranks.
std::uint64_t hash_of_run(Images& data, MPI_Comm comm) {
  TensorLoader loader(data.config, data.tensors, comm);
  std::vector<std::uint64_t> sum(1);
  while (loader.begin_epoch()) {
    while (const auto batch = loader.next()) {
      const auto values = (*batch)["image"].values<std::uint16_t>();
      const auto each = batch->size() == 0 ? 0 : values.size() / batch->size();
      for (std::size_t i = 0; i < batch->size(); ++i) {
        std::uint64_t hash = batch->epoch() * 1000 + batch->step() * 100 + batch->first_slot() + i;
        for (std::size_t v = 0; v < each; ++v) hash = hash * 1099511628211U + values[i * each + v];
        sum[0] += hash;
      }
    }
  }
  comm::from_mpi(comm)->all_reduce(sum, comm::Op::sum);
  return sum[0];
}

TEST(TensorLoader, AugmentationIsTheSameOnAnyNumberOfRanksAndThreads) {
  Images data;
  data.config.epochs = 2;
  data.config.window = {Window::Kind::full, 0};  // what auto is follows from the ranks
  auto& image = data.tensors.tensors[0];
  image.type = Type::f16;
  image.layout = Layout::nchw;
  image.steps = {RandomResizedCrop{8, 8}, HorizontalFlip{}, Normalise{{0.5}, {0.5}, {}}};
  data.tensors.transform_threads = 0;
  const auto alone = hash_of_run(data, MPI_COMM_SELF);
  EXPECT_EQ(hash_of_run(data, MPI_COMM_WORLD), alone);
  data.tensors.transform_threads = 3;
  EXPECT_EQ(hash_of_run(data, MPI_COMM_WORLD), alone);
  data.config.seed = 6;
  EXPECT_NE(hash_of_run(data, MPI_COMM_WORLD), alone);
}

TEST(TensorLoader, ABadSampleIsTheSameErrorOnAllRanks) {
  for (const std::uint32_t threads : {0U, 2U}) {
    Images cut([](auto n, auto& fields) {
      if (n == 50) fields["png"].resize(90);
    });
    cut.tensors.transform_threads = threads;
    const auto text = error_of_run(cut);
    EXPECT_SAYS(text, "sample 50 (00050) of ");
    EXPECT_SAYS(text, "train-1.tar: field 'png', tensor 'image': not a whole PNG");
  }
  Images missing([](auto n, auto& fields) {
    if (n == 3) fields.erase("cls");
  });
  EXPECT_SAYS(
      error_of_run(missing),
      "train-0.tar: field 'cls', tensor 'label': the sample has no such field; it has: png");
  Images shaped([](auto n, auto& fields) {
    if (n == 110) fields["png"] = grey_png(pixels(n, 5, 6), 5, 6);
  });
  EXPECT_SAYS(error_of_run(shaped), "an image of 5 x 6 pixels, and the tensor's shape is 12 x 12");
  Images label([](auto n, auto& fields) {
    if (n == 110) fields["cls"] = "10";
  });
  EXPECT_SAYS(error_of_run(label), "label 10 is out of range: it must be from 0 to 9");
}

// Those who wait for it to agree on a batch do not wait for peer_timeout.
TEST(TensorLoader, ARankThatLeavesEndsTheRunOnAll) {
  Images images;
  images.config.epochs = 1000;
  const int last = images.world->size() - 1;
  std::optional<TensorLoader> loader(std::in_place, images.config, images.tensors);
  ASSERT_TRUE(loader->begin_epoch());
  ASSERT_TRUE(loader->next());
  if (images.world->rank() == last) {
    loader.reset();
    return;
  }
  const auto error = error_of([&] {
    for (;;) {
      while (loader->next()) {
      }
      loader->begin_epoch();
    }
  });
  EXPECT_EQ(error.code(), ErrorCode::stopped) << error.what();
  EXPECT_EQ(error.rank(), last);
}

TEST(TensorLoader, BadSamplesCanBeSkippedAndCounted) {
  const auto bad = [](std::uint64_t n) { return n % 7 == 3; };
  Images data([&](auto n, auto& fields) {
    if (bad(n)) fields["png"].resize(n);
  });
  data.tensors.on_bad_sample = BadSample::skip;
  data.tensors.transform_threads = 2;
  TensorLoader loader(data.config, data.tensors);
  std::vector<std::uint64_t> counts(2);  // skipped, weighing
  std::uint64_t steps = 0;
  while (loader.begin_epoch()) {
    while (const auto batch = loader.next()) {
      ++steps;
      const auto values = (*batch)["image"].values<float>();
      for (std::size_t i = 0; i < batch->size(); ++i) {
        const auto number = batch->numbers()[i];
        const bool weighs = batch->weights()[i] != 0;
        EXPECT_FALSE(weighs && bad(number));
        counts[1] += weighs ? 1 : 0;
        if (!weighs) continue;
        const auto expected = pixels(number, side, side);
        EXPECT_EQ(values[i * side * side + 5], static_cast<unsigned char>(expected[5]));
      }
    }
  }
  EXPECT_EQ(steps, loader.plan().steps);
  counts[0] = loader.tensor_stats().skipped;
  data.world->all_reduce(counts, comm::Op::sum);
  EXPECT_EQ(counts[0], 16U);  // 3, 10, ... 108
  EXPECT_EQ(counts[0] + counts[1], Images::samples);
}

TEST(TensorLoader, ABatchMayBeHeldAsLongAsLeasesAllow) {
  for (const std::uint32_t threads : {0U, 2U}) {
    Images data;
    data.config.leases = 2;
    data.tensors.transform_threads = threads;
    TensorLoader loader(data.config, data.tensors);
    ASSERT_TRUE(loader.begin_epoch());
    auto first = loader.next();
    ASSERT_TRUE(first);
    const std::vector<std::int64_t> labels((*first)["label"].values<std::int64_t>().begin(),
                                           (*first)["label"].values<std::int64_t>().end());
    const auto second = loader.next();
    ASSERT_TRUE(second);
    const auto now = (*first)["label"].values<std::int64_t>();
    EXPECT_TRUE(std::equal(now.begin(), now.end(), labels.begin(), labels.end()));
    const auto text = error_of(
        [&] {
          const auto third = loader.next();
          const auto fourth = loader.next();
        },
        ErrorCode::invalid_argument);
    EXPECT_SAYS(text, "tensor batches are held");
  }
}

TEST(TensorLoader, ADlpackTensorKeepsTheBatchsMemory) {
  Images data;
  data.tensors.transform_threads = 0;
  data.tensors.tensors[0].type = Type::bf16;
  DLManagedTensor* image = nullptr;
  std::vector<std::uint16_t> before;
  {
    TensorLoader loader(data.config, data.tensors);
    ASSERT_TRUE(loader.begin_epoch());
    auto batch = loader.next();
    ASSERT_TRUE(batch && batch->size() > 0);
    const auto values = (*batch)["image"].values<std::uint16_t>();
    before.assign(values.begin(), values.end());
    image = batch->dlpack("image");
    auto* label = batch->dlpack("label");
    const auto& tensor = image->dl_tensor;
    EXPECT_EQ(tensor.data, (*batch)["image"].data);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data) % 256, 0U);
    EXPECT_EQ(tensor.device.device_type, kDLCPU);
    EXPECT_EQ(tensor.dtype.code, kDLBfloat);
    EXPECT_EQ(tensor.dtype.bits, 16);
    EXPECT_EQ(tensor.dtype.lanes, 1);
    ASSERT_EQ(tensor.ndim, 4);
    EXPECT_EQ(tensor.shape[0], static_cast<std::int64_t>(batch->size()));
    EXPECT_EQ(tensor.strides[0], side * side);
    EXPECT_EQ(tensor.strides[1], side);
    EXPECT_EQ(tensor.byte_offset, 0U);
    EXPECT_EQ(label->dl_tensor.ndim, 1);
    EXPECT_EQ(label->dl_tensor.dtype.code, kDLInt);
    EXPECT_EQ(label->dl_tensor.dtype.bits, 64);
    label->deleter(label);
    EXPECT_SAYS(
        error_of([&] { static_cast<void>(batch->dlpack("x")); }, ErrorCode::invalid_argument),
        "no tensor is called 'x'; there are: image label");
    batch.reset();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(loader.next());  // in the ring's other memory
  }
  const auto* values = static_cast<const std::uint16_t*>(image->dl_tensor.data);
  EXPECT_EQ(std::vector<std::uint16_t>(values, values + before.size()), before);
  image->deleter(image);
}

TEST(TensorLoader, TensorsArePartOfTheBudget) {
  Images data;
  data.config.memory = 10'000;
  EXPECT_SAYS(error_of([&] { TensorLoader loader(data.config, data.tensors); }, ErrorCode::memory),
              "and its budget is 10000");
  data.config.memory = 1U << 30;
  data.tensors.tensors[0].shape = {60'000, 60'000};
  data.config.global_batch = std::uint64_t{1} << 32;
  EXPECT_SAYS(error_of([&] { TensorLoader loader(data.config, data.tensors); }, ErrorCode::memory),
              "overflows 64 bits");
}

TEST(TensorLoader, WithoutAGpuCudaIsAClearErrorAndAutoTheHost) {
  const auto backend = cuda::probe();
  if (backend.usable) GTEST_SKIP() << "there is a GPU: " << backend.why;
  Images data;
  data.tensors.device = "cuda";
  const auto text =
      error_of([&] { TensorLoader loader(data.config, data.tensors); }, ErrorCode::device);
  EXPECT_SAYS(text, "device = cuda: rank 0 has no GPU to place tensors on");
  EXPECT_SAYS(text, backend.why);
  data.tensors.device = "auto";
  const TensorLoader loader(data.config, data.tensors);
  EXPECT_EQ(loader.device(), -1);
  EXPECT_SAYS(loader.tensor_plan().device, "host (" + backend.why);
  EXPECT_EQ(loader.tensor_plan().pinned_bytes, 0U);
}

}  // namespace
}  // namespace faro::test
