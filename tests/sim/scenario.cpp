#include "scenario.hpp"

#include <fmt/ranges.h>

#include <array>
#include <numeric>

#include "order/order.hpp"

namespace faro::sim {
namespace {

using store::Cause;

Config make_config(const Scenario& scenario, Random& random) {
  const auto& manifest = scenario.data.manifest;
  Config config;
  config.data = "http://sim/";
  config.format = manifest.format.name;
  config.raw_header = manifest.format.raw_header;
  config.raw_record = manifest.format.raw_record;
  config.epochs = random.between(1, 3);
  config.first_epoch = random.chance(0.3) ? random.below(1000) : 0;
  config.seed = random.next();
  config.end = std::array{EndPolicy::drop, EndPolicy::pad, EndPolicy::partial}[random.below(3)];
  config.global_batch = random.between(1, random.chance(0.3) ? 150 : 24);
  if (config.end == EndPolicy::drop) {
    config.global_batch = std::min(config.global_batch, manifest.samples);
  }
  config.window = {Window::Kind::bytes, random.between(1, manifest.bytes + manifest.bytes / 2)};
  if (random.chance(0.5)) config.window.bytes = 1 + config.window.bytes / 8;
  if (random.chance(0.1)) config.window = {Window::Kind::full, 0};
  config.memory = std::uint64_t{1} << 40;
  config.request_size = std::uint64_t{4096} << random.below(3);
  config.max_requests = random.chance(0.3) ? random.between(1, 4) : 128;
  config.leases = random.between(1, 4);
  config.node_ranks = random.chance(0.3) ? random.between(1, 3) : 0;
  config.verify = random.chance(0.5);
  config.hedge = random.chance(0.8);
  config.request_timeout = random.real(0.05, 0.3);
  config.outage_deadline = 300;
  config.peer_timeout = random.real(0.15, 0.6);
  return config;
}

void choose_nodes(Scenario& scenario, Random& random) {
  const auto ranks = random.between(1, random.chance(0.25) ? 8 : 4);
  const auto nodes = random.between(1, 3);
  const auto way = random.below(3);
  for (std::uint64_t r = 0; r < ranks; ++r) {
    const auto node = way == 0   ? r * nodes / ranks  // one after the other
                      : way == 1 ? r % nodes          // in turns
                                 : random.below(nodes);
    scenario.node.push_back(static_cast<int>(node));
  }
}

void choose_store_faults(Scenario& scenario, Random& random) {
  auto& store = scenario.store;
  store.latency = random.spread(2e-5, 2e-3);
  store.bandwidth = random.spread(1e7, 1e9);
  if (random.chance(0.3)) store.slow = random.real(0, 0.1);
  if (random.chance(0.15)) store.fail = random.spread(0.003, 0.1);
  if (random.chance(0.08)) store.wrong = random.spread(0.003, 0.1);
  if (random.chance(0.05)) {
    store.outage_from = random.real(0, 0.05);
    store.outage_until = store.outage_from + random.real(0.01, 1.5);
  }
}

/// A shard that has samples.
std::uint32_t some_shard(const Data& data, Random& random) {
  return data.manifest.blocks[random.below(data.manifest.blocks.size())].shard;
}

void choose_ending(Scenario& scenario, Random& random) {
  auto& store = scenario.store;
  auto& ending = scenario.ending;
  const auto victim = static_cast<int>(random.below(scenario.node.size()));
  auto& consumer = scenario.consumers[static_cast<std::size_t>(victim)];
  const double at = random.chance(0.3) ? 0 : random.spread(1e-4, 0.1);
  const double peer_timeout = scenario.config.peer_timeout;
  switch (random.below(20)) {
    case 0:
      ending = Ending::refusal;
      store.refusal = std::array{Cause::not_found, Cause::access_denied, Cause::changed,
                                 Cause::unsupported, Cause::untrusted}[random.below(5)];
      store.refusal_from = random.chance(0.5) ? 0 : at;
      store.refused = some_shard(scenario.data, random);
      scenario.errors = {ErrorCode::not_found, ErrorCode::access_denied, ErrorCode::changed,
                         ErrorCode::network};
      scenario.must_fail = store.refusal_from == 0;
      break;
    case 1:
      ending = Ending::rotten;
      store.rotten = true;
      store.refused = some_shard(scenario.data, random);
      scenario.errors = {ErrorCode::corrupt};
      scenario.must_fail = true;
      break;
    case 2:
      ending = Ending::outage;
      store.outage_from = at;
      store.outage_until = 1e9;
      scenario.config.outage_deadline = random.real(0.1, 1);
      // The last that was heard of the store may be that credentials have expired.
      scenario.errors = {ErrorCode::network, ErrorCode::timeout, ErrorCode::access_denied};
      scenario.must_fail = at == 0;
      break;
    case 3:
    case 4:
      ending = random.chance(0.5) ? Ending::leaves : Ending::throws;
      scenario.errors = {ErrorCode::stopped};
      for (auto& one : scenario.consumers) {
        if (&one != &consumer && !random.chance(0.1)) continue;
        one.ending = ending;
        one.ends_after = random.below(random.chance(0.5) ? 4 : 40);
      }
      break;
    case 5:
      ending = Ending::overholds;
      scenario.errors = {ErrorCode::stopped};
      consumer.ending = ending;
      consumer.ends_after = random.below(10);
      break;
    case 6:
      ending = Ending::mpi;
      scenario.network.failing = victim;
      scenario.network.fails_from = at;
      scenario.network.fails_once = random.chance(0.5);
      scenario.errors = {ErrorCode::mpi, ErrorCode::peer, ErrorCode::stopped};
      break;
    case 7:
      ending = Ending::freezes;
      scenario.frozen = victim;
      scenario.frozen_from = at;
      if (random.chance(0.6)) {
        scenario.frozen_for = peer_timeout * random.real(0.1, 6);
      } else {
        ending = Ending::dies;
      }
      scenario.errors = {ErrorCode::peer, ErrorCode::stopped};
      break;
    case 8:
      ending = Ending::falls_silent;
      consumer.ending = ending;
      consumer.ends_after = random.below(10);
      scenario.errors = {ErrorCode::peer, ErrorCode::stopped};
      break;
    default: break;
  }
}

}  // namespace

std::string describe(const Scenario& scenario) {
  const auto& config = scenario.config;
  const auto& store = scenario.store;
  auto text = fmt::format(
      "ending: {}; nodes of the ranks: {}{}; {} epochs of {} samples in {} blocks; global batch "
      "{}, "
      "window {}, leases {}, peer_timeout {:.3f} s; store: latency {:.6f} s, fail {:.3f}, wrong "
      "{:.3f}, outage {:.3f} to {:.3f} s; network: latency {:.6f} s",
      ending_names[static_cast<std::size_t>(scenario.ending)], fmt::join(scenario.node, " "),
      scenario.concurrent ? "" : ", without threads", config.epochs, scenario.data.manifest.samples,
      scenario.data.manifest.blocks.size(), config.global_batch, config.window.bytes, config.leases,
      config.peer_timeout, store.latency, store.fail, store.wrong, store.outage_from,
      store.outage_until, scenario.network.latency);
  for (const auto& consumer : scenario.consumers) {
    text += fmt::format("; consumer: pause {:.6f} s", consumer.pause);
    if (consumer.ending != Ending::none)
      text += fmt::format(", ends after {}", consumer.ends_after);
  }
  return text;
}

Scenario make_scenario(std::uint64_t seed) {
  Random random(seed * 2 + 1);
  Scenario scenario;
  scenario.seed = seed;
  scenario.data = make_data(random);
  choose_nodes(scenario, random);
  scenario.config = make_config(scenario, random);
  scenario.concurrent = random.chance(0.8);
  const bool uneven = random.chance(0.3);
  for (int r = 0; r < scenario.ranks(); ++r) {
    auto& pace = scenario.paces.emplace_back();
    pace.slowness = uneven ? random.spread(0.3, 30) : 1;
    pace.stalls = random.chance(0.1) ? 0.02 : 0;
    auto& consumer = scenario.consumers.emplace_back();
    consumer.holds = random.below(scenario.config.leases);
    if (random.chance(0.2)) consumer.pause = random.spread(1e-5, 5e-3);
  }
  choose_store_faults(scenario, random);
  scenario.network.latency = random.spread(1e-6, 3e-4);
  scenario.network.late = random.chance(0.3) ? 0.05 : 0;
  scenario.network.eager_bytes = random.chance(0.3) ? 0 : random.chance(0.5) ? 65536 : 512;
  choose_ending(scenario, random);
  return scenario;
}

}  // namespace faro::sim
