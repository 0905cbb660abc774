// Whole runs with tensors on an emulated device: the same bytes as on the host, on any number of
// ranks, and a device that fails is an error on all of them.
#include "loader/tensor_session.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "../support/emulated_device.hpp"
#include "../transform/images.hpp"

namespace faro::test {
namespace {

struct Job {
  explicit Job(std::uint64_t given_seed) : seed(given_seed) {
    data.config.epochs = 2;
    auto& image = data.tensors.tensors[0];
    image.type = Type::f16;
    image.steps = {RandomResizedCrop{8, 9}, HorizontalFlip{}, Normalise{{0.5}, {0.25}, {}}};
    TensorSpec raw;
    raw.name = "raw";
    raw.field = "raw";
    raw.decode = Decode::raw;
    raw.shape = {51};
    raw.type = Type::u8;
    data.tensors.tensors.push_back(raw);
  }

  loader::TensorSession open() {
    return loader::TensorSession(
        data.config, data.tensors, comm::from_mpi(MPI_COMM_WORLD), {},
        [this](comm::Communicator& world) { return loader::open_dataset(data.config, world, {}); },
        [this](const std::string&, comm::Communicator&, comm::Communicator&) {
          device = std::make_shared<EmulatedDevice>(seed, 2);
          if (mpi_reaches) device->let_mpi_reach();
          stream = device->make_stream();
          return loader::Place{{2, "cuda 2: emulated"}, device, mpi_reaches};
        });
  }

  std::vector<std::byte> read(TensorBatch& batch, const Tensor& tensor) {
    const auto bytes = tensor.elements() * size_of(tensor.type);
    const auto to = device->allocate_pinned(bytes);
    const auto end = device->make_event();
    batch.wait_on(stream->native());
    stream->copy(to->bytes().data(), static_cast<std::byte*>(tensor.data), bytes);
    batch.release_after(stream->native());
    stream->record(*end);
    end->wait();
    return {to->bytes().begin(), to->bytes().begin() + static_cast<std::ptrdiff_t>(bytes)};
  }

  std::uint64_t seed;
  bool mpi_reaches = false;
  Images data{[](auto number, auto& fields) { fields["raw"] = pixels(number, 3, 17); }};
  std::shared_ptr<EmulatedDevice> device;
  std::unique_ptr<cuda::Stream> stream;
};

/// All tensors of a run, one after the other, by whoever reads them.
template <class Loader, class Read>
std::vector<std::vector<std::byte>> all_tensors(Loader& loader, Read read) {
  std::vector<std::vector<std::byte>> all;
  while (loader.begin_epoch()) {
    while (auto batch = loader.next()) {
      for (const auto& tensor : batch->tensors()) all.push_back(read(*batch, tensor));
    }
  }
  return all;
}

TEST(TensorSession, OnADeviceTensorsHaveTheHostsBytes) {
  for (const std::uint32_t threads : {0U, 2U}) {
    std::vector<std::vector<std::byte>> right;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      Job job(seed);
      job.data.tensors.transform_threads = threads;
      job.data.config.node_ranks = seed == 3 ? 1 : 0;  // samples that come by messages
      if (right.empty()) {
        TensorLoader host(job.data.config, job.data.tensors);
        EXPECT_EQ(host.device(), -1);
        right = all_tensors(host, [](auto&, const Tensor& tensor) {
          const auto* from = static_cast<const std::byte*>(tensor.data);
          return std::vector<std::byte>(from, from + tensor.elements() * size_of(tensor.type));
        });
      }
      auto session = job.open();
      EXPECT_EQ(session.device(), 2);
      const auto& plan = session.tensor_plan();
      EXPECT_SAYS(plan.device, "cuda 2: emulated; samples are read by the GPU where they lie");
      EXPECT_EQ(plan.host_bytes, plan.pinned_bytes + plan.scratch_bytes);
      EXPECT_EQ(job.device->pinned_bytes(), plan.pinned_bytes);
      EXPECT_EQ(all_tensors(session,
                            [&](TensorBatch& batch, const Tensor& tensor) {
                              EXPECT_EQ(tensor.device, 2);
                              return job.read(batch, tensor);
                            }),
                right);
    }
  }
}

TEST(TensorSession, OnADeviceOneThreadAtLeastWorksAhead) {
  Job job(1);
  EXPECT_FALSE(job.data.tensors.transform_threads);
  EXPECT_GE(job.open().tensor_plan().threads, 1U);
}

/// Other nodes' samples come into the device's memory: the pixels that a kernel reads, while the
/// host sees what it decodes.
TEST(TensorSession, SamplesMayArriveOnTheDevice) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Job job(seed);
    job.mpi_reaches = true;
    job.data.tensors.arrivals = "device";
    job.data.config.node_ranks = 1;
    TensorLoader host(job.data.config, job.data.tensors);
    const auto right = all_tensors(host, [](auto&, const Tensor& tensor) {
      const auto* from = static_cast<const std::byte*>(tensor.data);
      return std::vector<std::byte>(from, from + tensor.elements() * size_of(tensor.type));
    });
    auto session = job.open();
    const auto& plan = session.tensor_plan();
    if (job.data.world->size() == 1) {
      EXPECT_EQ(plan.arrival_bytes, 0U);
      EXPECT_EQ(plan.device.find("arrive"), std::string::npos) << plan.device;
    } else {
      EXPECT_GT(plan.arrival_bytes, 0U);
      EXPECT_GE(job.device->device_bytes(), plan.ring_bytes + plan.arrival_bytes);
      EXPECT_SAYS(plan.device, "other nodes' arrive in device memory, by MPI (yes: ");
    }
    EXPECT_EQ(all_tensors(session, [&](TensorBatch& batch,
                                       const Tensor& tensor) { return job.read(batch, tensor); }),
              right);
    EXPECT_EQ(session.stats().remote_bytes > 0, job.data.world->size() > 1);
  }
}

TEST(TensorSession, WhereSamplesArriveIsSaid) {
  const auto text = [](const auto& change) {
    Job job(1);
    job.mpi_reaches = true;
    job.data.tensors.arrivals = "device";
    job.data.config.node_ranks = 1;
    change(job);
    const auto session = job.open();
    EXPECT_EQ(session.tensor_plan().arrival_bytes, 0U);
    return session.tensor_plan().device;
  };
  const auto unchanged = [](Job&) {};
  if (comm::from_mpi(MPI_COMM_WORLD)->size() == 1) {
    EXPECT_EQ(text(unchanged).find("arrive"), std::string::npos);
    return;
  }
  EXPECT_SAYS(text([](Job& job) { job.data.tensors.arrivals = "host"; }),
              "arrive in the host's memory (arrivals = host)");
  EXPECT_SAYS(text([](Job& job) { job.mpi_reaches = false; }), "MPI says that it takes host");
  EXPECT_SAYS(text([](Job& job) { job.data.config.verify = true; }), "verify reads them there");
  EXPECT_SAYS(text([](Job& job) { job.data.config.exchange = "gathered"; }), "exchange = gathered");
  EXPECT_SAYS(text([](Job& job) { job.data.tensors.tensors.pop_back(); }),
              "every field is decoded");
  const cuda::Claim nccl(2, cuda::Claim::By::nccl);
  EXPECT_SAYS(text(unchanged), "NCCL has device 2");
}

TEST(TensorSession, MpiAndNcclDoNotShareADevice) {
  using cuda::Claim;
  const Claim mpi(7, Claim::By::mpi);
  const Claim again(7, Claim::By::mpi);
  const Claim other(8, Claim::By::nccl);
  EXPECT_SAYS(error_of([] { const Claim nccl(7, Claim::By::nccl); }).what(),
              "give arrivals = host");
  EXPECT_SAYS(error_of([] { const Claim late(8, Claim::By::mpi); }).what(), "NCCL has device 8");
  { const Claim ends(9, Claim::By::mpi); }
  const Claim next(9, Claim::By::nccl);
}

TEST(TensorSession, WhoHidesWhatOthersReadIsRefused) {
  const int ranks = comm::from_mpi(MPI_COMM_WORLD)->size();
  if (ranks == 1) GTEST_SKIP() << "needs a peer of other settings: run it on 2 ranks or more";
  const auto refused = [&](const auto& change) {
    Job job(1);
    job.mpi_reaches = true;
    job.data.tensors.arrivals = "device";
    job.data.config.node_ranks = 1;
    if (job.data.world->rank() == ranks - 1) change(job);
    const auto error = error_of([&] { job.open(); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
    EXPECT_SAYS(error.what(), "are not the same as rank 0's");
  };
  refused([](Job& job) { job.data.tensors.arrivals = "host"; });
  refused([](Job& job) { job.data.tensors.tensors.pop_back(); });
  refused([](Job& job) { job.data.config.verify = true; });
}

/// What is left of an epoch is passed over, though the device still reads its last batch: it waits
/// for the consumer's work on one that had the same memory.
TEST(TensorSession, AnEpochMayBeLeft) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Job job(seed);
    job.data.tensors.transform_threads = 0;
    job.data.config.leases = 1;  // one place, which all batches have
    auto session = job.open();
    ASSERT_TRUE(session.begin_epoch());
    std::atomic<bool> may_go = false;
    {
      auto batch = session.next();
      ASSERT_TRUE(batch);
      job.device->put(*job.stream, [&] { return may_go.load(); });
      batch->release_after(job.stream->native());
    }
    ASSERT_TRUE(session.next());
    const std::jthread consumer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      may_go = true;
    });
    EXPECT_TRUE(session.begin_epoch());
    std::uint64_t steps = 0;
    while (session.next()) ++steps;
    EXPECT_EQ(steps, session.plan().steps);
    EXPECT_FALSE(session.begin_epoch());
  }
}

TEST(TensorSession, ADeviceThatFailsIsTheSameErrorOnAllRanks) {
  for (const std::uint32_t threads : {0U, 1U}) {
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      Job job(seed);
      job.data.config.epochs = 50;
      job.data.tensors.transform_threads = threads;
      const int last = job.data.world->size() - 1;
      auto session = job.open();
      if (job.data.world->rank() == last) job.device->fail_work(20);
      const auto error = error_of([&] {
        while (session.begin_epoch()) {
          while (session.next()) {
          }
        }
      });
      EXPECT_EQ(error.code(), ErrorCode::device) << error.what();
      EXPECT_EQ(error.rank(), last);
      EXPECT_SAYS(error.what(), "an illegal memory access");
    }
  }
}

TEST(TensorSession, ADeviceWithoutRoomIsTheSameErrorOnAllRanks) {
  Job job(1);
  const int last = job.data.world->size() - 1;
  const auto error = error_of([&] {
    loader::TensorSession session(
        job.data.config, job.data.tensors, comm::from_mpi(MPI_COMM_WORLD), {},
        [&](comm::Communicator& world) { return loader::open_dataset(job.data.config, world, {}); },
        [&](const std::string&, comm::Communicator& world, comm::Communicator&) {
          auto device = std::make_shared<EmulatedDevice>(1, 0);
          if (world.rank() == last) device->fail_allocation(1);
          return loader::Place{{0, "cuda 0"}, device};
        });
  });
  EXPECT_EQ(error.code(), ErrorCode::memory) << error.what();
  EXPECT_EQ(error.rank(), last);
}

TEST(TensorSession, PageLockedMemoryIsPartOfTheBudget) {
  Job job(1);
  job.data.config.memory = 60'000;
  EXPECT_SAYS(error_of([&] { static_cast<void>(job.open().plan()); }, ErrorCode::memory),
              "bytes of host memory");
}

}  // namespace
}  // namespace faro::test
