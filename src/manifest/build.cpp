// Building a manifest over the ranks: rank 0 lists, each rank asks sizes and scans its share of the
// shards, rank 0 puts the blocks together and sends the whole to all.
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <numeric>
#include <queue>
#include <thread>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "comm/comm.hpp"
#include "manifest/bytes.hpp"
#include "manifest/manifest.hpp"
#include "manifest/scan.hpp"
#include "store/store.hpp"

namespace faro::manifest {
namespace {

using std::chrono::milliseconds;

store::Options store_options(const Config& config, const comm::Communicator& comm,
                             const IndexListener& listener) {
  auto options = store::options_of(config);
  options.ranks = narrow<unsigned>(comm.size());
  if (comm.rank() == 0) options.notice = listener.log;
  return options;
}

/// The shards' URIs, listed by rank 0; on all.
std::vector<std::string> list_shards(const Config& config, const format::Spec& spec,
                                     const store::Options& store, comm::Communicator& comm) {
  std::vector<std::byte> bytes;
  comm::together(comm, [&] {
    if (comm.rank() != 0) return;
    const auto uris = store::expand(config.data, format::listing_suffix(spec), store);
    check(!uris.empty(), ErrorCode::not_found, "no shards in {}", store::redacted(config.data));
    check(uris.size() < UINT32_MAX, ErrorCode::invalid_argument, "{} shards in {}", uris.size(),
          store::redacted(config.data));
    ByteWriter out;
    out.value<std::uint64_t>(uris.size());
    for (const auto& uri : uris) out.text(uri);
    bytes = out.take();
  });
  bytes = comm::broadcast_bytes(comm, std::move(bytes), 0);
  ByteReader in(bytes);
  std::vector<std::string> uris(in.count(sizeof(std::uint64_t)));
  for (auto& uri : uris) uri = in.text();
  return uris;
}

/// CRC32C of whole shards, of those whose store keeps one.
using StoreSums = std::vector<std::optional<std::uint32_t>>;

/// Asks size and ETag of every size()-th shard from this rank's number on.
void ask_sizes(std::vector<Shard>& shards, StoreSums& sums, const store::Options& store,
               const comm::Communicator& comm, IndexCost& cost) {
  store::Client client(store);
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  std::uint64_t next = static_cast<std::uint64_t>(comm.rank());
  std::vector<store::Completion> done;
  while (next < shards.size() || client.pending() > 0) {
    // The client queues without limit: a data set may have millions of shards.
    for (; next < shards.size() && client.pending() < 2 * store.max_requests; next += ranks) {
      client.stat(next, shards[next].uri);
    }
    done.clear();
    client.poll(done, milliseconds(1000));
    for (auto& completion : done) {
      if (completion.error) throw *completion.error;
      shards[completion.id].size = completion.info.size;
      shards[completion.id].etag = std::move(completion.info.etag);
      sums[completion.id] = completion.info.crc32c;
    }
  }
  cost.requests += client.counters().requests;
}

/// The shards as they are now; the same on all ranks.
std::vector<Shard> stat_shards(std::vector<std::string> uris, StoreSums& sums,
                               const store::Options& store, comm::Communicator& comm,
                               IndexCost& cost) {
  std::vector<Shard> shards;
  sums.assign(uris.size(), std::nullopt);
  comm::together(comm, [&] {
    for (auto& uri : uris) shards.push_back({std::move(uri), 0, {}});
    ask_sizes(shards, sums, store, comm, cost);
  });
  const auto ranks = static_cast<std::size_t>(comm.size());
  ByteWriter out;
  for (auto i = static_cast<std::size_t>(comm.rank()); i < shards.size(); i += ranks) {
    out.value(shards[i].size);
    out.text(shards[i].etag);
    out.value<std::uint8_t>(sums[i].has_value());
    out.value(sums[i].value_or(0));
  }
  const auto parts = comm.gather(out.take(), 0);
  ByteWriter whole;
  for (const auto& part : parts) whole.array(std::span<const std::byte>(part));
  const auto all = comm::broadcast_bytes(comm, whole.take(), 0);
  ByteReader in(all);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const auto part = in.array<std::byte>();
    ByteReader answers(part);
    for (std::size_t i = rank; i < shards.size(); i += ranks) {
      shards[i].size = answers.value<std::uint64_t>();
      shards[i].etag = answers.text();
      const bool known = answers.value<std::uint8_t>() != 0;
      const auto sum = answers.value<std::uint32_t>();
      if (known) sums[i] = sum;
    }
  }
  return shards;
}

std::uint64_t block_target(const Config& config, const std::vector<Shard>& shards) {
  if (config.block_size != 0) return config.block_size;
  std::uint64_t total = 0;
  for (const Shard& shard : shards) total = checked_add(total, shard.size, ErrorCode::format);
  constexpr std::uint64_t least = 256U << 10U;
  constexpr std::uint64_t most = 8U << 20U;
  return std::bit_floor(std::clamp(total / 256, least, most));
}

/// The shards of one rank, largest first: each goes to the rank that has the fewest bytes.
std::vector<std::uint32_t> share_of(const std::vector<Shard>& shards,
                                    const comm::Communicator& comm) {
  constexpr std::uint64_t overhead = 64U << 10U;  // a shard costs something, empty or not
  std::vector<std::uint32_t> order(shards.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::greater(), [&](auto i) { return shards[i].size; });
  using Load = std::pair<std::uint64_t, int>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (int rank = 0; rank < comm.size(); ++rank) loads.emplace(0, rank);
  std::vector<std::uint32_t> mine;
  for (const std::uint32_t i : order) {
    const auto [bytes, rank] = loads.top();
    loads.pop();
    loads.emplace(bytes + shards[i].size + overhead, rank);
    if (rank == comm.rank()) mine.push_back(i);
  }
  return mine;
}

/// Waits for all ranks' scans, or for the first failure of any. Collective.
void watch(RankScan& scan, comm::Communicator& comm, std::uint64_t shards,
           const IndexListener& listener) {
  for (;;) {
    const auto mine = scan.wait(milliseconds(100));
    std::array<std::uint64_t, 4> sum{mine.shards, mine.bytes, mine.running ? 1U : 0U,
                                     mine.failed ? 1U : 0U};
    const auto reduced = comm.start_all_reduce(sum, comm::Op::sum);
    while (!reduced->done()) std::this_thread::sleep_for(milliseconds(1));
    const auto [done, bytes, running, failed] = sum;
    if (comm.rank() == 0) {
      if (listener.progress) listener.progress(done, shards, bytes);
      if (const auto notice = scan.notice(); notice && listener.log) listener.log(*notice);
    }
    if (running == 0 || failed > 0) return;
  }
}

RankScan::Result scan_share(RankScan::Plan plan, comm::Communicator& comm,
                            const IndexListener& listener) {
  const std::uint64_t shards = plan.shards.size();
  std::optional<RankScan> scan;
  comm::together(comm, [&] { scan.emplace(std::move(plan)); });
  watch(*scan, comm, shards, listener);
  RankScan::Result result;
  comm::together(comm, [&] { result = scan->finish(); });
  return result;
}

/// What was read of a shard must be what its writer gave the store, where the store remembers.
/// \param blocks whole shards' blocks
void check_store_sums(std::vector<Block> blocks, const std::vector<Shard>& shards,
                      const StoreSums& sums) {
  std::ranges::sort(blocks, {}, [](const Block& b) { return std::pair(b.shard, b.offset); });
  for (std::size_t i = 0; i < blocks.size();) {
    const auto shard = blocks[i].shard;
    std::uint32_t sum = 0;
    std::uint64_t bytes = 0;
    for (; i < blocks.size() && blocks[i].shard == shard; ++i) {
      if ((blocks[i].flags & Block::has_crc) == 0) continue;
      sum = crc32c_combine(sum, blocks[i].crc32c, blocks[i].length);
      bytes += blocks[i].length;
    }
    check(!sums[shard] || bytes != shards[shard].size || sum == *sums[shard], ErrorCode::corrupt,
          "{}: its bytes have the CRC32C {:08x}, but its store says {:08x}: upload it again",
          store::redacted(shards[shard].uri), sum, sums[shard].value_or(0));
  }
}

/// Rank 0's: all ranks' blocks in the data set's order, with their samples numbered.
void join_parts(const std::vector<std::vector<std::byte>>& parts, Manifest& manifest) {
  for (const auto& part : parts) {
    ByteReader in(part);
    const auto blocks = in.array<Block>();
    manifest.blocks.insert(manifest.blocks.end(), blocks.begin(), blocks.end());
    SizeHistogram sizes;
    sizes.bucket = in.value<decltype(sizes.bucket)>();
    manifest.sizes.merge(sizes);
  }
  std::ranges::sort(manifest.blocks, [](const Block& a, const Block& b) {
    return std::pair(a.shard, a.offset) < std::pair(b.shard, b.offset);
  });
  std::uint64_t sample = 0;
  for (Block& block : manifest.blocks) {
    block.first_sample = sample;
    sample += block.count;
  }
}

}  // namespace

Manifest build(const Config& config, comm::Communicator& comm, IndexCost* cost,
               const IndexListener& listener) {
  const format::Spec given{config.format, config.raw_header, config.raw_record};
  IndexCost spent;
  const auto store = store_options(config, comm, listener);
  auto uris = list_shards(config, given, store, comm);
  Manifest manifest;
  RankScan::Plan plan;
  comm::together(comm, [&] {
    manifest.format = format::resolve(given, uris.front());
    plan.format = format::make_format(manifest.format);
  });
  StoreSums sums;
  manifest.shards = stat_shards(std::move(uris), sums, store, comm, spent);
  plan.shards = manifest.shards;
  plan.mine = share_of(manifest.shards, comm);
  plan.target = block_target(config, manifest.shards);
  plan.checksums = config.checksums;
  plan.largest_request = config.request_size;
  plan.store = store;
  const auto mine = scan_share(std::move(plan), comm, listener);
  comm::together(comm, [&] { check_store_sums(mine.blocks, manifest.shards, sums); });

  ByteWriter out;
  out.array(std::span<const Block>(mine.blocks));
  out.value(mine.sizes.bucket);
  const auto parts = comm.gather(out.take(), 0);
  std::vector<std::byte> whole;
  comm::together(comm, [&] {
    if (comm.rank() != 0) return;
    join_parts(parts, manifest);
    check(!manifest.blocks.empty(), ErrorCode::format, "no samples in the {} shards of {}",
          manifest.shards.size(), store::redacted(config.data));
    manifest.validate();
    whole = serialise(manifest);
  });
  whole = comm::broadcast_bytes(comm, std::move(whole), 0);
  if (comm.rank() != 0) manifest = deserialise(whole);

  std::array<std::uint64_t, 2> sum{spent.bytes + mine.cost.bytes,
                                   spent.requests + mine.cost.requests};
  comm.all_reduce(sum, comm::Op::sum);
  if (cost != nullptr) *cost = {sum[0], sum[1]};
  return manifest;
}

}  // namespace faro::manifest
