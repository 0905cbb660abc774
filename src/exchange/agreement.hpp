// What the ranks agree on before each round: that all are ready for it, or why there is none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "comm/comm.hpp"
#include "store/store.hpp"

namespace faro::exchange {

/// Non-blocking; every rank starts each agreement once.
class Agreement {
 public:
  enum class Standing { ready, busy, failed, leaving };  ///< of a rank; busy: alive, but not ready
  struct Verdict {
    enum class Kind { go, again, end } kind = Kind::go;  ///< again: some rank was busy
    /// Where it ends: the lowest failed rank's error, the same on all; without one, `left` says who
    /// has left.
    std::optional<Error> error;
    int left = -1;
    /// The first of the consumers' meetings to which some rank will not come; all ones: none.
    std::uint64_t missed_from = UINT64_MAX;
  };

  /// \param pressure the highest mark of all ranks is everyone's afterwards; nullptr: nothing
  Agreement(comm::Communicator& comm, std::shared_ptr<store::Pressure> pressure)
      : comm_(comm), pressure_(std::move(pressure)) {}

  /// \param failure this rank's, where it has failed
  /// \param missed_from the first of the consumers' meetings to which this rank will not come
  void start(Standing mine, const std::optional<Error>& failure,
             std::uint64_t missed_from = UINT64_MAX);
  /// The verdict, once all ranks have started; it then may be started again.
  [[nodiscard]] std::optional<Verdict> poll();
  /// Lets go of what is under way, with the memory that it may still write to.
  void abandon();

 private:
  std::optional<Verdict> judge();
  void tell(int failed);

  comm::Communicator& comm_;
  std::shared_ptr<store::Pressure> pressure_;
  std::optional<Error> failure_;
  int failed_ = -1;                         // the rank whose error is being told
  std::uint64_t missed_from_ = UINT64_MAX;  // by any rank, while that is
  std::vector<std::uint64_t> words_;
  std::unique_ptr<comm::Operation> operation_;
};

}  // namespace faro::exchange
