// What GradientSync gives, on the host and on devices.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>

#include "base/half.hpp"
#include "places.hpp"

namespace faro::sync {
namespace {

const auto one = [](int) { return 1.0F; };

class GradientSyncIn : public InEach {};
INSTANTIATE_TEST_SUITE_P(Places, GradientSyncIn, testing::ValuesIn(Where::all()), where_name);

TEST_P(GradientSyncIn, SumsAreThoseOfOneProcessForRandomSizesAndOrders) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    auto model = Model::random(seed);
    auto options = Model::small();
    options.reduction = Reduction::sum;
    Sync sync(GetParam(), model.parameters(), options);
    for (std::uint64_t step = 0; step < 3; ++step) {
      model.fill(step);
      for (const auto p : shuffled(model.gradients.size(), seed)) sync.ready(p);
      sync.wait();
      EXPECT_EQ(model.differs(step, one, 1), std::nullopt) << "seed " << seed;
    }
  }
}

TEST_P(GradientSyncIn, TheMeanIsOverSamplesAndEmptyRanksCountForNothing) {
  auto model = Model::random(5);
  Sync sync(GetParam(), model.parameters(), Model::small());
  const auto weigh = [](std::uint64_t step) {
    return
        [step](int rank) { return static_cast<float>((static_cast<unsigned>(rank) + step) % 3); };
  };
  for (std::uint64_t step = 0; step < 6; ++step) {
    const auto weight = weigh(step);
    float all = 0;
    for (int r = 0; r < job_size(); ++r) all += weight(r);
    if (all == 0) continue;
    const float mine = weight(job_rank());
    sync.set_weight(static_cast<std::uint64_t>(mine));
    model.fill(step);
    if (mine == 0) {  // the mean over no samples; in odd steps without a backward pass
      for (auto& gradient : model.gradients) std::ranges::fill(gradient, std::nanf(""));
    }
    if (mine != 0 || step % 2 == 0) {
      for (const auto p : shuffled(model.gradients.size(), 1)) sync.ready(p);
    }
    sync.wait();
    EXPECT_EQ(model.differs(step, weight, all), std::nullopt) << "step " << step;
  }
  sync.set_weight(0);  // nobody has any
  sync.wait();
  EXPECT_EQ(model.gradients[0][0], 0.0F);
}

TEST_P(GradientSyncIn, WithoutWeightsTheMeanIsOverRanks) {
  auto model = Model::random(6);
  Sync sync(GetParam(), model.parameters(), Model::small());
  model.fill(0);
  for (const auto p : shuffled(model.gradients.size(), 2)) sync.ready(p);
  sync.wait();
  EXPECT_EQ(model.differs(0, one, static_cast<float>(job_size())), std::nullopt);
}

TEST_P(GradientSyncIn, HalvesAreSummedInFloatsAndRoundedOnce) {
  constexpr std::size_t count = 1001;
  std::vector<std::uint16_t> f16(count);
  std::vector<std::uint16_t> bf16(count);
  const auto value = [](int rank, std::size_t i) {
    return 1.0F + static_cast<float>((i * 7 + static_cast<std::size_t>(rank) * 3) % 64) / 64.0F;
  };
  for (std::size_t i = 0; i < count; ++i) {
    f16[i] = f32_to_f16(value(job_rank(), i));
    bf16[i] = f32_to_bf16(value(job_rank(), i));
  }
  auto options = Model::small();
  options.reduction = Reduction::sum;
  Sync sync(GetParam(),
            {{"half", f16.data(), count, GradientType::f16},
             {"brain", bf16.data(), count, GradientType::bf16}},
            options);
  sync.ready(1);
  sync.ready(0);
  sync.wait();
  for (std::size_t i = 0; i < count; ++i) {
    float sum = 0;  // exact: few bits
    for (int r = 0; r < job_size(); ++r) sum += value(r, i);
    EXPECT_EQ(f16[i], f32_to_f16(sum)) << i;
    EXPECT_EQ(bf16[i], f32_to_bf16(sum)) << i;
  }
}

TEST_P(GradientSyncIn, GradientsMayLiveInTheBuckets) {
  const auto model = Model::random(7);
  std::vector<GradientParameter> parameters;
  for (std::size_t p = 0; p < model.gradients.size(); ++p) {
    parameters.push_back({"p" + std::to_string(p), nullptr, model.gradients[p].size(), {}});
  }
  Sync sync(GetParam(), parameters, Model::small());
  for (std::uint64_t step = 0; step < 2; ++step) {
    sync.set_weight(2);
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      std::vector<float> values(parameters[p].elements);
      ASSERT_EQ(sync.gradient(p).size(), values.size());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = whole(job_rank(), step, p, i);
      sync.set_gradient(p, values);
    }
    for (const auto p : shuffled(parameters.size(), 3)) sync.ready(p);
    sync.wait();
    Model result(model);
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      std::ranges::copy(sync.gradient(p), result.gradients[p].begin());
    }
    EXPECT_EQ(result.differs(step, one, static_cast<float>(job_size())), std::nullopt);
  }
}

TEST_P(GradientSyncIn, NothingIsSummedWhileGradientsAreAccumulated) {
  auto model = Model::random(8);
  auto options = Model::small();
  options.reduction = Reduction::sum;
  std::atomic<int> started = 0;
  options.trace = [&](const SyncEvent& event) {
    if (event.what == SyncEvent::What::bucket_start) ++started;
  };
  Sync sync(GetParam(), model.parameters(), options);
  model.fill(0);
  const auto before = model.gradients;
  {
    const auto scope = sync.no_sync();
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (std::size_t p = 0; p < model.gradients.size(); ++p) sync.ready(p);
      sync.wait();
    }
  }
  EXPECT_EQ(started, 0);
  EXPECT_EQ(model.gradients, before);
  for (auto& gradient : model.gradients) {
    for (auto& g : gradient) g *= 2;  // a second backward pass
  }
  for (std::size_t p = 0; p < model.gradients.size(); ++p) sync.ready(p);
  sync.wait();
  EXPECT_EQ(static_cast<std::size_t>(started), sync.buckets());
  EXPECT_EQ(model.differs(
                0, [](int) { return 2.0F; }, 1),
            std::nullopt);
}

TEST_P(GradientSyncIn, InitialParametersAreRootsBitByBit) {
  Model model({10});
  Sync sync(GetParam(), model.parameters(), Model::small());
  const int root = job_size() - 1;
  std::vector<float> values(1000, -0.0F);
  if (job_rank() == root) {
    values[1] = std::nanf("7");
    values[999] = 1e-42F;
  } else {
    std::ranges::fill(values, 3.0F);
  }
  sync.broadcast(std::span(values), root);
  EXPECT_TRUE(std::signbit(values[0]));
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[999], 1e-42F);
}

// The last ready() is called only when the first bucket's sum has been seen under way, and, where
// a thread keeps it going, to end: a sum that waited for wait() would never come.
TEST_P(GradientSyncIn, SumsRunWhileTheBackwardPassDoes) {
  Model model({3000, 3000, 3000, 200});
  auto options = Model::small();
  std::mutex mutex;
  std::vector<SyncEvent> events;
  const auto seen = [&](SyncEvent::What what) {
    const std::scoped_lock lock(mutex);
    return std::ranges::any_of(events,
                               [&](const auto& e) { return e.what == what && e.index == 0; });
  };
  options.trace = [&](const SyncEvent& event) {
    const std::scoped_lock lock(mutex);
    events.push_back(event);
  };
  Sync sync(GetParam(), model.parameters(), options);
  ASSERT_EQ(sync.buckets(), 4U);
  const bool threaded = sync.describe().find("a thread of their own") != std::string::npos;
  int level = 0;
  MPI_Query_thread(&level);
  EXPECT_EQ(threaded, level == MPI_THREAD_MULTIPLE);
  model.fill(0);
  sync.ready(3);
  const auto until = threaded ? SyncEvent::What::bucket_end : SyncEvent::What::bucket_start;
  const auto start = std::chrono::steady_clock::now();
  while (!seen(until) && std::chrono::steady_clock::now() - start < std::chrono::seconds(60)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(seen(until));
  for (const std::size_t p : {2, 1, 0}) sync.ready(p);
  sync.wait();
  EXPECT_EQ(model.differs(0, one, static_cast<float>(job_size())), std::nullopt);

  std::size_t starts = 0;
  double last = 0;
  for (const auto& event : events) {
    EXPECT_GE(event.seconds, last);
    last = event.seconds;
    if (event.what == SyncEvent::What::bucket_start) {
      EXPECT_EQ(event.index, starts++);
    }
  }
  EXPECT_EQ(starts, 4U);
  EXPECT_EQ(events.back().what, SyncEvent::What::wait_end);
}

TEST_P(GradientSyncIn, TheSameGradientsGiveTheSameBits) {
  Model model({50'000, 70'000, 33, 1001});
  const auto run = [&](unsigned seed) {
    auto options = Model::small();
    options.bucket_bytes = 300'000;  // beyond what Open MPI sums by its simplest way
    Sync sync(GetParam(), model.parameters(), options);
    for (std::size_t p = 0; p < model.gradients.size(); ++p) {
      for (std::size_t i = 0; i < model.gradients[p].size(); ++i) {
        model.gradients[p][i] = std::sin(whole(job_rank(), 0, p, i) * 1.7F);
      }
    }
    sync.set_weight(static_cast<std::uint64_t>(job_rank()) + 3);
    for (const auto p : shuffled(model.gradients.size(), seed)) {
      if ((static_cast<unsigned>(job_rank()) + seed) % 3 == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      sync.ready(p);
    }
    sync.wait();
    return model.gradients;
  };
  const auto first = run(0);
  for (unsigned seed = 1; seed < 5; ++seed) EXPECT_EQ(run(seed), first);
  for (const auto& gradient : first) {  // and on all ranks
    auto roots = gradient;
    MPI_Bcast(roots.data(), static_cast<int>(roots.size()), MPI_FLOAT, 0, MPI_COMM_WORLD);
    EXPECT_EQ(roots, gradient);
  }
}

}  // namespace
}  // namespace faro::sync
