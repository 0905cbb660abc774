// The memory and the work of a run, before it begins. docs/architecture.md derives the bounds.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "exchange/exchange.hpp"
#include "exchange/schedule.hpp"
#include "fetch/cache_entry.hpp"
#include "loader/dataset.hpp"

namespace faro::loader {
namespace {

constexpr std::uint64_t page = 4096;
// A rank's share of a round: enough that agreeing on it costs little beside it. What comes from
// other nodes comes in messages to each peer, and these want to be long.
struct RoundTarget {
  std::uint64_t bytes;
  std::uint64_t steps;  // at most
};
constexpr RoundTarget within_node{std::uint64_t{1} << 20, 16};
constexpr RoundTarget between_nodes{std::uint64_t{16} << 20, 64};
// Where a rank's share of a round is pointers alone: samples, and steps at most.
constexpr std::uint64_t round_pointers = 4096;
constexpr std::uint64_t pointer_steps = 64;
// Memory of one descriptor on its way from the order to the consumer: its reference, the public
// view, two fields and their owner.
constexpr std::uint64_t descriptor_bytes = 256;
// libcurl's buffer for each request in flight, with its handle.
constexpr std::uint64_t request_buffer = 320U << 10;
constexpr std::uint64_t epochs_alive = 3;  // fetched, exchanged and consumed
// Of a block, where there is a cache: its next read, its turns in two epochs, its place, and its
// entry in what may be removed; of a shard its key.
constexpr std::uint64_t cache_table_bytes = 8 + 2 * 20 + 8 + 128;
constexpr std::uint64_t cache_shard_bytes = 16;

/// What does not depend on the window.
struct Facts {
  const manifest::Manifest& manifest;
  const Config& config;
  const Machine& machine;
  std::uint64_t steps = 1;          // of an epoch
  std::uint64_t local = 0;          // largest local batch
  std::uint64_t resident = 0;       // largest rank's arena with all blocks in it
  std::uint64_t largest_block = 0;  // footprint
  std::uint64_t cacheable = 0;      // all blocks, as the cache counts them
  double density = 1;               // largest footprint over bytes of a block
  bool remote = false;              // more than one node
};

Facts gather(const manifest::Manifest& manifest, const Config& config, const Machine& machine) {
  Facts facts{manifest, config, machine};
  const order::Steps steps(manifest.samples, config.global_batch, machine.ranks, config.end);
  check(
      steps.count() > 0, ErrorCode::invalid_argument,
      "global_batch = {} is larger than the data set's {} samples, and end = drop leaves nothing: "
      "lower it, or set end to pad or partial",
      config.global_batch, manifest.samples);
  facts.steps = steps.count();
  facts.local = (config.global_batch + machine.ranks - 1) / machine.ranks;
  facts.remote = machine.largest_node < machine.ranks;
  const order::Epoch whole(manifest.blocks, config.seed, config.first_epoch, UINT64_MAX,
                           machine.ranks, order::Readers::by_block);
  std::vector<std::uint64_t> load(machine.ranks);
  for (std::uint64_t turn = 0; turn < whole.turns(); ++turn) {
    const auto& block = manifest.blocks[whole.block(turn)];
    const auto bytes = exchange::footprint(block);
    load[whole.reader(turn)] += bytes;
    facts.largest_block = std::max(facts.largest_block, bytes);
    facts.cacheable += fetch::entry_cost(block.length);
    facts.density =
        std::max(facts.density, static_cast<double>(bytes) / static_cast<double>(block.length));
  }
  facts.resident = *std::max_element(load.begin(), load.end());
  return facts;
}

std::uint64_t scaled(std::uint64_t bytes, double factor) {
  const double result = std::ceil(static_cast<double>(bytes) * factor);
  check(result < 9.0e18, ErrorCode::memory, "a window of {} bytes is more than can be held", bytes);
  return static_cast<std::uint64_t>(result);
}

/// The most that `samples` consecutive positions of a run take, in bytes.
std::uint64_t inside(const Facts& facts, std::uint64_t samples) {
  const auto& manifest = facts.manifest;
  return checked_add(checked_mul(samples / manifest.samples, manifest.bytes),
                     manifest.sizes.largest(samples % manifest.samples));
}

RunPlan with_window(const Facts& facts, std::uint64_t window) {
  const auto& manifest = facts.manifest;
  const auto& config = facts.config;
  const std::uint64_t ranks = facts.machine.ranks;
  RunPlan run;
  auto& plan = run.plan;
  plan.window_bytes = std::min(window, manifest.bytes);
  plan.resident = plan.window_bytes >= manifest.bytes;

  // A round: as many steps as make a message worth sending, but no more windows at once for it.
  // Where all samples stay in one node's arena a round moves pointers alone, and holds no memory
  // up: as many as make its all-reduce and its wake-ups small beside them, whatever the samples'
  // size.
  const auto mean =
      std::max<std::uint64_t>(manifest.bytes / std::max<std::uint64_t>(manifest.samples, 1), 1);
  const auto target = facts.remote ? between_nodes : within_node;
  auto steps =
      std::clamp<std::uint64_t>(target.bytes / checked_mul(mean, facts.local), 1, target.steps);
  if (plan.resident && !facts.remote) {
    steps = std::clamp<std::uint64_t>(round_pointers / facts.local, steps, pointer_steps);
  }
  const auto whole = std::max(plan.window_bytes, manifest.largest_block);
  // What is in use at once: the round, the batches still held, and what `drop` leaves out wherever
  // an epoch ends between them.
  const auto ends = [&] { return (steps + config.leases) / facts.steps + 1; };
  const auto in_use = [&] {
    return inside(facts, checked_mul(steps + config.leases - 1 + ends(), config.global_batch));
  };
  while (!plan.resident && steps > 1 && in_use() > whole / 4) steps /= 2;
  // By its bytes, not its samples: where the largest are far above the mean, a round of fewer steps
  // bounds what comes from other nodes at once.
  const auto most = 4 * std::max(target.bytes, manifest.sizes.largest(facts.local));
  while (facts.remote && steps > 1 &&
         manifest.sizes.largest(checked_mul(facts.local, steps)) > most) {
    steps /= 2;
  }
  plan.steps_per_round = steps;

  if (plan.resident) {
    run.capacity = align_up(facts.resident, page);
  } else {
    // The windows at both ends of what is in use count whole; those between are within it. Own
    // share: balanced to two blocks, one more where an epoch ends, and one that the ring's end
    // leaves unused.
    const auto touched = checked_add(checked_mul(2, whole), in_use());
    const auto bytes =
        checked_add(touched / ranks, checked_mul(2 + ends(), manifest.largest_block));
    run.capacity = align_up(scaled(bytes, facts.density) + facts.largest_block, page);
  }
  plan.arena_bytes = run.capacity + page;

  plan.shared_peak_bytes = plan.arena_bytes;
  if (facts.remote) {
    run.remote = plan_remote(manifest, config, facts.machine, steps);
    const double index = (facts.density - 1) / facts.density;  // share of the arena that is extents
    const auto own_samples = scaled(run.capacity, index) / sizeof(format::Extent);
    const auto bytes = bytes_of(*run.remote, manifest, config, facts.machine, steps, own_samples);
    plan.arrival_bytes = bytes.shared + bytes.private_;
    plan.shared_peak_bytes += bytes.shared;
    plan.exchange = run.remote->way == exchange::Way::gathered ? "gathered" : "direct";
    plan.message_bytes = static_cast<std::uint64_t>(run.remote->message_bytes);
    plan.direct_message_bytes = static_cast<std::uint64_t>(run.remote->direct_bytes);
  }

  const auto blocks = manifest.blocks.size();
  // Two windows in a row always hold more than one window's bytes together.
  const auto windows = std::min<std::uint64_t>(blocks, 2 * (manifest.bytes / window) + 1);
  plan.table_bytes = blocks * sizeof(manifest::Block) +
                     epochs_alive * (blocks * 32 + windows * 40) + ranks * 16 +
                     (2 * steps + config.leases) * facts.local * descriptor_bytes;
  for (const auto& shard : manifest.shards)
    plan.table_bytes += sizeof(shard) + shard.uri.size() + 32;
  if (config.cache != "none") {
    plan.table_bytes += blocks * cache_table_bytes + manifest.shards.size() * cache_shard_bytes;
  }
  if (config.cache == "memory" && !plan.resident) {
    const auto all = std::min(config.cache_limit, facts.cacheable);
    plan.cache_bytes = (all + facts.machine.smallest_node - 1) / facts.machine.smallest_node;
  }
  if (config.verify) plan.table_bytes += epochs_alive * manifest.shards.size() * 64;
  plan.request_bytes = config.max_requests * request_buffer;
  plan.planned_peak_bytes = plan.arena_bytes + plan.arrival_bytes + plan.table_bytes +
                            plan.request_bytes + plan.cache_bytes;
  return run;
}

/// The largest window that budget and shared memory hold; the smallest one where they hold none.
std::uint64_t automatic_window(const Facts& facts) {
  const auto total = facts.manifest.bytes;
  const auto fits = [&](std::uint64_t window) {
    const auto plan = with_window(facts, window).plan;
    return plan.planned_peak_bytes <= facts.machine.budget &&
           plan.shared_peak_bytes <= facts.machine.shared;
  };
  if (fits(total)) return total;
  std::uint64_t low = facts.manifest.largest_block;  // windows below hold one block all the same
  std::uint64_t high = total;
  constexpr std::uint64_t grain = 1U << 20;
  while (high - low > grain) {
    const auto middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

RunPlan make_plan(const manifest::Manifest& manifest, const Config& config,
                  const Machine& machine) {
  const auto facts = gather(manifest, config, machine);
  const auto kind = config.window.kind;
  const auto window = kind == Window::Kind::full    ? manifest.bytes
                      : kind == Window::Kind::bytes ? config.window.bytes
                                                    : automatic_window(facts);
  auto run = with_window(facts, window);
  auto& plan = run.plan;
  plan.ranks = machine.ranks;
  plan.shards = manifest.shards.size();
  plan.blocks = manifest.blocks.size();
  plan.samples = manifest.samples;
  plan.bytes = manifest.bytes;
  const order::Steps steps(manifest.samples, config.global_batch, machine.ranks, config.end);
  plan.steps = steps.count();
  plan.samples_per_epoch = steps.delivered();
  plan.pads_per_epoch =
      (plan.steps - 1) * config.global_batch + steps.slots(plan.steps - 1) - steps.delivered();
  for (const auto& block : manifest.blocks) {
    plan.epoch_requests += (block.length + config.request_size - 1) / config.request_size;
    if ((block.flags & manifest::Block::has_crc) == 0) ++plan.blocks_without_checksum;
  }
  plan.store_bytes = plan.resident ? plan.bytes : checked_mul(plan.bytes, config.epochs);
  plan.budget_bytes = machine.budget;
  plan.shared_bytes = machine.shared;
  plan.smallest_budget_bytes =
      with_window(facts, std::min(manifest.largest_block, manifest.bytes)).plan.planned_peak_bytes;
  plan.smallest_budget_bytes = std::min(plan.smallest_budget_bytes, plan.planned_peak_bytes);
  plan.windows = order::Epoch(manifest.blocks, config.seed, config.first_epoch, plan.window_bytes,
                              machine.ranks, order::Readers::by_turn)
                     .windows();
  plan.digest = manifest.digest();
  return run;
}

void check_budget(const Plan& plan, const Config& config) {
  check(plan.shared_peak_bytes <= plan.shared_bytes, ErrorCode::memory,
        "the arena needs {} of shared memory a rank, and this node's {} has {} for each of its "
        "ranks: "
        "enlarge it, or lower --window or --memory",
        human_bytes(static_cast<double>(plan.shared_peak_bytes)),
        exchange::shared_space().directory, human_bytes(static_cast<double>(plan.shared_bytes)));
  if (plan.planned_peak_bytes <= plan.budget_bytes) return;
  const auto text = [](std::uint64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  std::string advice =
      fmt::format("the smallest budget for this window is --memory {}", plan.planned_peak_bytes);
  if (plan.smallest_budget_bytes < plan.planned_peak_bytes) {
    advice += fmt::format("; with --window auto {} would do", plan.smallest_budget_bytes);
  }
  fail(ErrorCode::memory,
       "the plan needs {} a rank, over the budget of {}{}: {} (no block has been read yet)",
       text(plan.planned_peak_bytes), text(plan.budget_bytes),
       config.memory == 0 ? " (half of what is free on the node, over its ranks)" : "", advice);
}

}  // namespace faro::loader
