// The ways to bring every sample to its slot that exchange_bench sets beside faro's: each an honest
// implementation on memory that is taken once, on huge pages, with all counts known in advance.
#pragma once

#include <mpi.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

namespace bench {

/// Touched memory on huge pages.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) {
    constexpr std::size_t huge = std::size_t{2} << 20;
    size_ = (std::max<std::size_t>(bytes, 1) + huge - 1) / huge * huge;
    raw_ = mmap(nullptr, size_ + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw_ == MAP_FAILED) throw std::runtime_error("no memory");
    const auto at = (reinterpret_cast<std::uintptr_t>(raw_) + huge - 1) / huge * huge;
    data_ = reinterpret_cast<std::byte*>(at);
    madvise(data_, size_, MADV_HUGEPAGE);
    std::memset(data_, 1, size_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { munmap(raw_, size_ + (std::size_t{2} << 20)); }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void* raw_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// What one rank sends and receives in one round. Samples of one pair of ranks stand in the same
/// order on both sides.
struct Round {
  struct Outgoing {
    int to;
    const std::byte* from;
    std::size_t bytes;
    int slot;  // of the receiver
  };
  struct Slot {
    int from;
    std::size_t at;      // in the round's ordered bytes
    std::size_t remote;  // where its reader holds it
    std::size_t bytes;
  };
  std::vector<Outgoing> outgoing;  // by receiver, then slot
  std::vector<Slot> slots;         // in order
  std::size_t bytes = 0;           // of all slots
};

/// All ways write a round's samples in order into `out`.
class Ways {
 public:
  /// \param own this rank's samples; outgoing bytes lie in it
  Ways(MPI_Comm comm, const Buffer& own, const std::vector<Round>& rounds)
      : comm_(comm),
        own_(own),
        out_(most(rounds)),
        send_(most_sent(rounds)),
        receive_(most(rounds)) {
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &ranks_);
    MPI_Win_create(own.data(), static_cast<MPI_Aint>(own.size()), 1, MPI_INFO_NULL, comm, &window_);
  }
  Ways(const Ways&) = delete;
  Ways& operator=(const Ways&) = delete;
  ~Ways() { MPI_Win_free(&window_); }

  [[nodiscard]] std::span<const std::byte> out(const Round& round) const {
    return {out_.data(), round.bytes};
  }
  [[nodiscard]] std::span<std::byte> memory() const { return {out_.data(), out_.size()}; }

  /// The limit: as many bytes, in one piece, into the same memory.
  void copy(const Round& round) {
    if (copied_ + round.bytes > own_.size()) copied_ = 0;
    std::memcpy(out_.data(), own_.data() + copied_, std::min(round.bytes, own_.size()));
    copied_ += round.bytes;
  }

  /// Pack, MPI_Alltoallv, unpack. What stays is copied once, from where it lies to where it goes.
  void all_to_all(const Round& round) {
    const auto ranks = static_cast<std::size_t>(ranks_);
    std::vector<int> sent(ranks), send_at(ranks), received(ranks), receive_at(ranks);
    std::size_t packed = 0;
    for (const auto& sample : round.outgoing) {
      if (sample.to == rank_) continue;
      const auto to = static_cast<std::size_t>(sample.to);
      if (sent[to] == 0) send_at[to] = static_cast<int>(packed);
      std::memcpy(send_.data() + packed, sample.from, sample.bytes);
      packed += sample.bytes;
      sent[to] += static_cast<int>(sample.bytes);
    }
    for (const auto& slot : round.slots) {
      if (slot.from != rank_)
        received[static_cast<std::size_t>(slot.from)] += static_cast<int>(slot.bytes);
    }
    for (std::size_t r = 1; r < ranks; ++r) receive_at[r] = receive_at[r - 1] + received[r - 1];
    MPI_Alltoallv(send_.data(), sent.data(), send_at.data(), MPI_BYTE, receive_.data(),
                  received.data(), receive_at.data(), MPI_BYTE, comm_);
    for (const auto& slot : round.slots) {
      auto& at = receive_at[static_cast<std::size_t>(slot.from)];
      const bool here = slot.from == rank_;
      std::memcpy(out_.data() + slot.at, here ? own_.data() + slot.remote : receive_.data() + at,
                  slot.bytes);
      if (!here) at += static_cast<int>(slot.bytes);
    }
  }

  /// One MPI_Isend and one MPI_Irecv for each sample, from where it lies to where it goes.
  void message_each(const Round& round) {
    requests_.clear();
    for (std::size_t i = 0; i < round.slots.size(); ++i) {
      const auto& slot = round.slots[i];
      if (slot.from == rank_) continue;
      MPI_Irecv(out_.data() + slot.at, static_cast<int>(slot.bytes), MPI_BYTE, slot.from,
                static_cast<int>(i), comm_, &requests_.emplace_back());
    }
    for (const auto& sample : round.outgoing) {
      if (sample.to == rank_) continue;
      MPI_Isend(sample.from, static_cast<int>(sample.bytes), MPI_BYTE, sample.to, sample.slot,
                comm_, &requests_.emplace_back());
    }
    copy_own(round);
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
  }

  /// Lock, get and unlock for each sample, as DDStore does.
  void get_each(const Round& round) {
    for (const auto& slot : round.slots) {
      if (slot.from == rank_) continue;
      MPI_Win_lock(MPI_LOCK_SHARED, slot.from, 0, window_);
      MPI_Get(out_.data() + slot.at, static_cast<int>(slot.bytes), MPI_BYTE, slot.from,
              static_cast<MPI_Aint>(slot.remote), static_cast<int>(slot.bytes), MPI_BYTE, window_);
      MPI_Win_unlock(slot.from, window_);
    }
    copy_own(round);
  }

 private:
  static std::size_t most(const std::vector<Round>& rounds) {
    std::size_t bytes = 0;
    for (const auto& round : rounds) bytes = std::max(bytes, round.bytes);
    return bytes;
  }
  static std::size_t most_sent(const std::vector<Round>& rounds) {
    std::size_t most = 0;
    for (const auto& round : rounds) {
      std::size_t bytes = 0;
      for (const auto& sample : round.outgoing) bytes += sample.bytes;
      most = std::max(most, bytes);
    }
    return most;
  }
  void copy_own(const Round& round) {
    for (const auto& slot : round.slots) {
      if (slot.from == rank_)
        std::memcpy(out_.data() + slot.at, own_.data() + slot.remote, slot.bytes);
    }
  }

  MPI_Comm comm_;
  int rank_ = 0;
  int ranks_ = 1;
  const Buffer& own_;
  Buffer out_;
  Buffer send_;
  Buffer receive_;
  std::size_t copied_ = 0;
  std::vector<MPI_Request> requests_;
  MPI_Win window_ = MPI_WIN_NULL;
};

}  // namespace bench
