// ns an index of the keyed permutation, forward and inverse, beside std::shuffle of an index
// vector, and the bytes each holds. Time is per index ("items"); run it on a quiet machine:
//   order_bench --benchmark_counters_tabular=true [--benchmark_filter='/1000000$']
// The shuffle of 10^9 indices takes 8 GB and a minute; it is skipped where they are not free.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "order/order.hpp"

namespace {

using faro::order::Permutation;

constexpr std::int64_t indices_per_iteration = 4'096;

void report(benchmark::State& state, double indices, double bytes) {
  // CPU seconds an index, so other programs on the machine do not count; printed as 17.1ns.
  state.counters["per_index"] =
      benchmark::Counter(indices, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes"] = bytes;
}

double bytes_of(const Permutation& permutation) {
  const double table = 2.0 * sizeof(std::uint16_t) * static_cast<double>(permutation.size());
  return sizeof(Permutation) + (permutation.size() <= Permutation::largest_table ? table : 0.0);
}

/// Neighbouring indices, each apart from the others, as the exchange asks for them.
template <class Map>
void run(benchmark::State& state, const Map& map) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  const Permutation permutation(size, 42);
  std::uint64_t next = 0;
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (std::int64_t k = 0; k < indices_per_iteration; ++k) {
      sum += map(permutation, next);
      if (++next == size) next = 0;
    }
    benchmark::DoNotOptimize(sum);
  }
  report(state, static_cast<double>(state.iterations() * indices_per_iteration),
         bytes_of(permutation));
}

void forward(benchmark::State& state) {
  run(state, [](const Permutation& p, std::uint64_t i) { return p(i); });
}

void inverse(benchmark::State& state) {
  run(state, [](const Permutation& p, std::uint64_t i) { return p.inverse(i); });
}

/// Each index from the last one's image: nothing overlaps.
void chained(benchmark::State& state) {
  const Permutation permutation(static_cast<std::uint64_t>(state.range(0)), 42);
  std::uint64_t i = 0;
  for (auto _ : state) {
    for (std::int64_t k = 0; k < indices_per_iteration; ++k) i = permutation(i);
    benchmark::DoNotOptimize(i);
  }
  report(state, static_cast<double>(state.iterations() * indices_per_iteration),
         bytes_of(permutation));
}

void std_shuffle(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  const double bytes = static_cast<double>(size) * sizeof(std::uint64_t);
  const double free_bytes =
      static_cast<double>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (bytes > 0.8 * free_bytes) {
    state.SkipWithError("not enough free memory for the index vector");
    return;
  }
  std::vector<std::uint64_t> indices(size);
  std::iota(indices.begin(), indices.end(), std::uint64_t{0});
  std::mt19937_64 random(42);
  for (auto _ : state) {
    std::shuffle(indices.begin(), indices.end(), random);
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(state.iterations()) * static_cast<double>(size), bytes);
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t size : {100'000, 10'000'000, 1'000'000'000}) benchmark->Arg(size);
}

BENCHMARK(forward)->Arg(Permutation::largest_table)->Apply(sizes);
BENCHMARK(inverse)->Arg(Permutation::largest_table)->Apply(sizes);
BENCHMARK(chained)->Apply(sizes);
BENCHMARK(std_shuffle)->Apply(sizes)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
