// What is kept is what is read soonest: hardly fewer hits than can be had, and fewer writes.
#include "fetch/cache_keeper.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <list>
#include <numeric>
#include <random>
#include <vector>

namespace faro::fetch {
namespace {

constexpr std::uint64_t blocks = 400;
constexpr std::uint64_t epochs = 10;

/// Epochs that read every block once, each in an order of its own; this node reads a part of them.
class Shuffles final : public Foresight {
 public:
  explicit Shuffles(unsigned nodes) {
    std::mt19937_64 random(5);
    for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
      auto& turns = turns_[epoch];
      turns.resize(blocks);
      std::iota(turns.begin(), turns.end(), 0);
      std::shuffle(turns.begin(), turns.end(), random);
      for (std::uint64_t turn = 0; turn < blocks; ++turn) {
        if (random() % nodes == 0) reads_[turns[turn]].push_back(epoch * blocks + turn);
      }
    }
  }
  std::uint64_t advance(std::uint64_t epoch, std::uint64_t turn) override {
    return now_ = epoch * blocks + turn;
  }
  [[nodiscard]] std::uint64_t next_read(std::uint64_t block) const override {
    const auto& reads = reads_[block];
    const auto next = std::upper_bound(reads.begin(), reads.end(), now_);
    return next == reads.end() ? never : *next;
  }
  [[nodiscard]] std::uint64_t block_at(std::uint64_t moment) const {
    return turns_[moment / blocks][moment % blocks];
  }
  [[nodiscard]] bool is_read(std::uint64_t moment) const {
    const auto& reads = reads_[block_at(moment)];
    return std::binary_search(reads.begin(), reads.end(), moment);
  }

 private:
  std::array<std::vector<std::uint64_t>, epochs> turns_;
  std::array<std::vector<std::uint64_t>, blocks> reads_;
  std::uint64_t now_ = 0;
};

struct Outcome {
  std::uint64_t hits = 0;
  std::uint64_t writes = 0;
};

Outcome with_keeper(unsigned nodes, std::uint64_t room) {
  Shuffles order(nodes);
  Keeper keeper(order, blocks);
  std::vector<bool> kept(blocks);
  Outcome outcome;
  for (std::uint64_t moment = 0; moment < epochs * blocks; ++moment) {
    if (!order.is_read(moment)) continue;
    const auto block = order.block_at(moment);
    keeper.advance(moment / blocks, moment % blocks);
    if (kept[block]) {
      ++outcome.hits;
      keeper.add(block);
      continue;
    }
    if (keeper.size() == room) {
      const auto other = keeper.give_up_for(block, moment / blocks);
      if (!other) continue;
      EXPECT_TRUE(kept[*other]);
      kept[*other] = false;
      keeper.forget(*other);
    }
    ++outcome.writes;
    kept[block] = true;
    keeper.add(block);
  }
  return outcome;
}

/// Belady's rule to the letter, written the slow way: no other has more hits.
Outcome with_the_best_rule(unsigned nodes, std::uint64_t room) {
  Shuffles order(nodes);
  std::vector<std::uint64_t> kept;
  Outcome outcome;
  for (std::uint64_t moment = 0; moment < epochs * blocks; ++moment) {
    if (!order.is_read(moment)) continue;
    const auto block = order.block_at(moment);
    order.advance(moment / blocks, moment % blocks);
    const auto found = std::find(kept.begin(), kept.end(), block);
    if (found != kept.end()) {
      ++outcome.hits;
      continue;
    }
    ++outcome.writes;
    kept.push_back(block);
    if (kept.size() <= room) continue;
    kept.erase(std::max_element(kept.begin(), kept.end(), [&](auto a, auto b) {
      return order.next_read(a) < order.next_read(b);
    }));
  }
  return outcome;
}

std::uint64_t hits_of_lru(std::uint64_t room) {
  const Shuffles order(1);
  std::list<std::uint64_t> kept;
  std::uint64_t hits = 0;
  for (std::uint64_t moment = 0; moment < epochs * blocks; ++moment) {
    const auto block = order.block_at(moment);
    const auto found = std::find(kept.begin(), kept.end(), block);
    if (found != kept.end()) {
      ++hits;
      kept.erase(found);
    }
    kept.push_front(block);
    if (kept.size() > room) kept.pop_back();
  }
  return hits;
}

TEST(Keeper, WhereOneNodeReadsAllItsRoomIsItsHits) {
  for (const std::uint64_t room : {std::uint64_t{1}, blocks / 10, blocks / 2, blocks}) {
    const auto outcome = with_keeper(1, room);
    EXPECT_EQ(outcome.hits, (epochs - 1) * room);
    EXPECT_EQ(outcome.writes, room);  // and no block is replaced
    EXPECT_EQ(with_the_best_rule(1, room).hits, outcome.hits);
  }
  EXPECT_LT(hits_of_lru(blocks / 2), (epochs - 1) * blocks / 4);
}

TEST(Keeper, WhereOthersReadTooItHasNearlyTheHitsThatThereAre) {
  for (const unsigned nodes : {2U, 4U, 8U}) {
    for (const std::uint64_t room : {blocks / 40, blocks / 10, blocks / 4, blocks / 2}) {
      const auto mine = with_keeper(nodes, room);
      const auto best = with_the_best_rule(nodes, room);
      EXPECT_GE(static_cast<double>(mine.hits), 0.93 * static_cast<double>(best.hits))
          << nodes << " nodes, room for " << room;
      EXPECT_LE(mine.writes, best.writes);
    }
  }
}

TEST(Keeper, ForgetsWhatItDoesNotKnow) {
  Shuffles order(1);
  Keeper keeper(order, blocks);
  keeper.forget(3);
  EXPECT_FALSE(keeper.give_up_for(1, 0));
  keeper.add(3);
  keeper.add(3);
  EXPECT_EQ(keeper.size(), 1U);
  keeper.forget(3);
  EXPECT_EQ(keeper.size(), 0U);
}

}  // namespace
}  // namespace faro::fetch
