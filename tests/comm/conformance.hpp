// What every communicator must do, whatever is behind it. Each check is called by all ranks.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "comm/comm.hpp"

namespace faro::comm::conformance {

inline std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline void collectives(Communicator& comm) {
  const int rank = comm.rank();
  const int size = comm.size();
  std::array<std::uint64_t, 2> sums{1, static_cast<std::uint64_t>(rank)};
  comm.all_reduce(sums, Op::sum);
  EXPECT_EQ(sums[0], static_cast<std::uint64_t>(size));
  EXPECT_EQ(sums[1], static_cast<std::uint64_t>(size * (size - 1) / 2));

  std::array<std::uint64_t, 1> least{static_cast<std::uint64_t>(rank + 5)};
  const auto operation = comm.start_all_reduce(least, Op::min);
  while (!operation->done()) {
  }
  EXPECT_EQ(least[0], 5U);

  const auto mine = std::string(static_cast<std::size_t>(rank * 3), static_cast<char>('a' + rank));
  const auto parts = comm.gather(bytes(mine), 0);
  ASSERT_EQ(parts.size(), rank == 0 ? static_cast<std::size_t>(size) : 0U);
  for (std::size_t r = 0; r < parts.size(); ++r) EXPECT_EQ(parts[r].size(), 3 * r);
  EXPECT_EQ(broadcast_text(comm, rank == 0 ? "hello" : "", 0), "hello");

  const auto letter = std::string(1, static_cast<char>('a' + rank));
  const auto all = comm.all_gather(bytes(letter));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(size));
  for (int r = 0; r < size; ++r) {
    EXPECT_EQ(all[static_cast<std::size_t>(r)], static_cast<std::byte>('a' + r));
  }
  comm.barrier();
}

inline void sums_of_floats_are_the_same_bits_everywhere_and_each_time(Communicator& comm) {
  for (const std::size_t count : {1, 1000, 100'003}) {  // Open MPI takes another way from 64 KiB on
    std::vector<float> mine(count);
    for (std::size_t i = 0; i < count; ++i) {
      mine[i] = std::sin(static_cast<float>(i * 7 + static_cast<std::size_t>(comm.rank()) * 13));
    }
    std::vector<float> first;
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::vector<float> sums(count);
      const auto operation = comm.start_sum(mine, sums);
      while (!operation->done()) {
      }
      if (repeat == 0) first = sums;
      EXPECT_EQ(sums, first);
    }
    const auto all = comm.all_gather(std::as_bytes(std::span(first)));
    for (int r = 0; r < comm.size(); ++r) {
      const auto* theirs = all.data() + static_cast<std::size_t>(r) * count * sizeof(float);
      EXPECT_EQ(std::memcmp(theirs, first.data(), count * sizeof(float)), 0) << "rank " << r;
    }
    double exact = 0;
    for (int r = 0; r < comm.size(); ++r) exact += std::sin(static_cast<float>(r * 13));
    EXPECT_NEAR(first[0], exact, 1e-5);
  }
}

inline void duplicates_are_apart(Communicator& comm) {
  const auto other = comm.duplicate();
  EXPECT_EQ(other->rank(), comm.rank());
  EXPECT_EQ(other->size(), comm.size());
  const std::string text = "x";
  const auto sent = other->start_send(bytes(text), (comm.rank() + 1) % comm.size(), 7);
  EXPECT_FALSE(comm.probe(7));
  std::optional<Incoming> incoming;
  while (!incoming) incoming = other->probe(7);
  std::byte got{};
  const auto received = other->start_receive(*incoming, std::span(&got, 1));
  while (!received->done() || !sent->done()) {
  }
  EXPECT_EQ(got, std::byte{'x'});
}

inline void messages_are_matched_by_probe(Communicator& comm) {
  const int rank = comm.rank();
  const int size = comm.size();
  const std::string text = "from " + std::to_string(rank);
  const int next = (rank + 1) % size;
  const int before = (rank + size - 1) % size;
  const auto sent = comm.start_send(bytes(text), next, 7);
  std::optional<Incoming> incoming;
  while (!incoming) incoming = comm.probe(7);
  EXPECT_EQ(incoming->source, before);
  std::string got(incoming->bytes, ' ');
  const auto received = comm.start_receive(*incoming, std::as_writable_bytes(std::span(got)));
  while (!received->done() || !sent->done()) {
  }
  EXPECT_EQ(got, "from " + std::to_string(before));
  EXPECT_FALSE(comm.probe(8));
}

inline void messages_of_a_sender_keep_their_order(Communicator& comm) {
  constexpr std::uint32_t count = 50;
  const int next = (comm.rank() + 1) % comm.size();
  std::vector<std::vector<std::uint32_t>> texts;
  std::vector<std::unique_ptr<Operation>> sent;
  for (std::uint32_t i = 0; i < count; ++i) texts.emplace_back(1 + i % 7 * 1000, i);
  for (const auto& text : texts) {
    sent.push_back(comm.start_send(std::as_bytes(std::span(text)), next, 9));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    std::optional<Incoming> incoming;
    while (!incoming) incoming = comm.probe(9);
    std::vector<std::uint32_t> got(incoming->bytes / sizeof(i));
    const auto received = comm.start_receive(*incoming, std::as_writable_bytes(std::span(got)));
    while (!received->done()) {
    }
    EXPECT_EQ(got, texts[i]);
  }
  for (const auto& operation : sent) {
    while (!operation->done()) {
    }
  }
}

inline void shared_memory_is_seen_by_the_node(Communicator& comm) {
  const auto node = comm.split_by_node(0);
  const auto memory = node->share(8192);
  std::memset(memory->segment(node->rank()).data(), 'a' + node->rank(), 8192);
  node->barrier();
  for (int r = 0; r < node->size(); ++r) {
    const auto segment = memory->segment(r);
    EXPECT_GE(segment.size(), 8192U);
    EXPECT_EQ(segment[8191], static_cast<std::byte>('a' + r));
  }
  node->barrier();
}

inline void nodes_are_cut_into_groups(Communicator& comm) {
  const auto pairs = comm.split_by_node(2);
  EXPECT_LE(pairs->size(), 2);
  EXPECT_EQ(pairs->rank(), comm.rank() % 2);
}

inline void one_ranks_error_is_thrown_on_all(Communicator& comm) {
  const int who = comm.size() - 1;
  try {
    together(comm, [&] {
      if (comm.rank() == who) throw Error(ErrorCode::corrupt, "shard x is bad");
    });
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_EQ(error.rank(), who);
    EXPECT_STREQ(error.what(), "shard x is bad");
  }
  together(comm, [] {});
}

inline void the_lowest_of_several_errors_wins(Communicator& comm) {
  try {
    together(comm, [&] { throw std::runtime_error("rank " + std::to_string(comm.rank())); });
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
    EXPECT_STREQ(error.what(), "rank 0");
  }
}

inline void errors_of_the_layer_below_are_typed(Communicator& comm) {
  const std::string text = "x";
  try {
    (void)comm.start_send(bytes(text), comm.size() + 3, 1);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::mpi);
    EXPECT_NE(std::string(error.what()).find("end failed"), std::string::npos) << error.what();
  }
}

struct Check {
  const char* name;
  void (*run)(Communicator&);
};
inline constexpr std::array checks = {
    Check{"Collectives", collectives},
    Check{"SumsOfFloatsAreTheSameBitsEverywhereAndEachTime",
          sums_of_floats_are_the_same_bits_everywhere_and_each_time},
    Check{"DuplicatesAreApart", duplicates_are_apart},
    Check{"MessagesAreMatchedByProbe", messages_are_matched_by_probe},
    Check{"MessagesOfASenderKeepTheirOrder", messages_of_a_sender_keep_their_order},
    Check{"SharedMemoryIsSeenByTheNode", shared_memory_is_seen_by_the_node},
    Check{"NodesAreCutIntoGroups", nodes_are_cut_into_groups},
    Check{"OneRanksErrorIsThrownOnAll", one_ranks_error_is_thrown_on_all},
    Check{"TheLowestOfSeveralErrorsWins", the_lowest_of_several_errors_wins},
    Check{"ErrorsOfTheLayerBelowAreTyped", errors_of_the_layer_below_are_typed},
};

}  // namespace faro::comm::conformance
