// Lanes: what one end takes for granted, the other must do.
#include "exchange/route.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace faro::exchange {
namespace {

/// By rank, the number of its node, for nodes of so many ranks; dealt one rank at a time, or not.
std::vector<std::uint32_t> nodes_of(const std::vector<std::uint32_t>& sizes, bool cyclic) {
  std::vector<std::uint32_t> nodes;
  const auto most = *std::max_element(sizes.begin(), sizes.end());
  for (std::uint32_t turn = 0; turn < (cyclic ? most : 1); ++turn) {
    for (std::uint32_t node = 0; node < sizes.size(); ++node) {
      const auto ranks = cyclic ? (turn < sizes[node] ? 1 : 0) : sizes[node];
      nodes.insert(nodes.end(), ranks, 100 + node);
    }
  }
  return nodes;
}

struct Layout {
  std::vector<std::uint32_t> sizes;
  std::uint32_t parts;
};

TEST(Route, EveryPairOfRanksHasOneLaneThatBothEndsKnow) {
  for (const auto& [sizes, parts] : {Layout{{1}, 1},
                                     {{4}, 3},
                                     {{1, 1, 1}, 1},
                                     {{2, 2, 1}, 1},
                                     {{2, 2, 1}, 4},
                                     {{8, 8}, 8},
                                     {{8, 8}, 3},
                                     {{5, 3, 7, 4}, 2},
                                     {{3, 3, 3, 3, 3, 3}, 1}}) {
    for (const auto way : {Way::direct, Way::gathered}) {
      for (const bool cyclic : {false, true}) {
        const auto nodes = nodes_of(sizes, cyclic);
        std::vector<Route> routes;
        for (std::uint32_t rank = 0; rank < nodes.size(); ++rank) {
          routes.emplace_back(nodes, rank, way, parts);
        }
        std::map<std::pair<std::uint32_t, std::uint32_t>, std::set<std::uint32_t>> lanes_between;
        for (std::uint32_t reader = 0; reader < nodes.size(); ++reader) {
          for (std::uint32_t to = 0; to < nodes.size(); ++to) {
            const auto& route = routes[to];
            ASSERT_EQ(route.elsewhere(reader), nodes[reader] != nodes[to]);
            ASSERT_EQ(route.node_rank(reader) < 0, nodes[reader] != nodes[to]);
            if (!route.elsewhere(reader)) continue;
            const auto from = route.group(reader);
            const auto part = route.part(to);
            const auto receivers = route.receivers(route.own_group(), part);
            ASSERT_EQ(std::count(receivers.begin(), receivers.end(), to), 1);
            const auto sender = route.sender(from, route.own_group(), part);
            const auto receiver = route.receiver(from, route.own_group(), part);
            // They can do it: the sender reads the reader's arena, the receiver's memory is shared.
            ASSERT_EQ(nodes[sender], nodes[reader]);
            ASSERT_EQ(nodes[receiver], nodes[to]);
            if (way == Way::direct) {
              ASSERT_EQ(sender, reader);
              ASSERT_EQ(receiver, to);
            }
            // They know it, and what comes from that sender can be no other lane's.
            ASSERT_EQ(routes[sender].sender(from, route.own_group(), part), sender);
            ASSERT_EQ(routes[receiver].received_part(from), part);
            lanes_between[{sender, receiver}].insert(from * 1000 + route.own_group() * 10 + part);
          }
        }
        for (const auto& [pair, lanes] : lanes_between) ASSERT_EQ(lanes.size(), 1U);
      }
    }
  }
}

TEST(Route, LanesAreDealtEvenly) {
  const auto nodes = nodes_of(std::vector<std::uint32_t>(17, 8), false);
  const Route route(nodes, 0, Way::gathered, 1);
  std::map<std::uint32_t, int> sends;
  std::map<std::uint32_t, int> receives;
  for (std::uint32_t from = 0; from < route.groups(); ++from) {
    for (std::uint32_t to = 0; to < route.groups(); ++to) {
      if (from == to) continue;
      ++sends[route.sender(from, to, 0)];
      ++receives[route.receiver(from, to, 0)];
    }
  }
  for (std::uint32_t rank = 0; rank < nodes.size(); ++rank) {
    EXPECT_EQ(sends[rank], 2);  // 16 other nodes over 8 ranks
    EXPECT_EQ(receives[rank], 2);
  }
}

TEST(Choice, GathersWhereMessagesAreShortAndNodesHaveSeveralRanks) {
  // 64 samples of 4 KiB a rank and round.
  EXPECT_EQ(choose_way({4096, 64, 1024, 8}), Way::gathered);
  EXPECT_EQ(choose_way({4096, 64, 1024, 1}), Way::direct);
  EXPECT_EQ(choose_way({4096, 6400, 8, 4}), Way::direct);
  EXPECT_EQ(choose_way({1 << 20, 64, 1024, 8}), Way::direct);
}

TEST(Choice, ExpectsAtLeastASampleAMessage) {
  EXPECT_NEAR(expected_message({1000, 64, 8, 4}, 1, 1), 8000, 10);
  EXPECT_NEAR(expected_message({1000, 64, 1 << 14, 8}, 1, 1), 1000, 5);
  EXPECT_NEAR(expected_message({1000, 64, 8, 4}, 4, 4), 128'000, 10);
}

TEST(Choice, FewNodesHaveParts) {
  EXPECT_EQ(choose_parts({4096, 6400, 16, 8}), 8U);       // two nodes: a part for each rank
  EXPECT_EQ(choose_parts({4096, 6400, 40, 8}), 2U);       // five: two lanes a pair
  EXPECT_EQ(choose_parts({4096, 6400, 8 * 100, 8}), 1U);  // many nodes
  EXPECT_EQ(choose_parts({4096, 2, 16, 8}), 1U);          // nothing to divide
}

}  // namespace
}  // namespace faro::exchange
