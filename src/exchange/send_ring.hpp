// Memory for what is on its way to other nodes, taken once.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "comm/comm.hpp"
#include "exchange/pages.hpp"

namespace faro::exchange {

/// A ring of private memory. What is sent from it is given back in the order in which it was taken.
class SendRing {
 public:
  explicit SendRing(std::uint64_t bytes) : memory_(bytes, "send buffers") {}
  /// Room for so many bytes in one; empty as long as there is too little. More than the ring has
  /// is Error(internal). What is taken must be sent.
  [[nodiscard]] std::span<std::byte> take(std::uint64_t bytes);
  /// What was taken last is being sent.
  void sent(std::unique_ptr<comm::Operation> operation);
  /// Gives back what has been sent; whether anything was.
  bool collect();
  [[nodiscard]] bool idle() const noexcept { return under_way_.empty(); }
  /// Lets go of what is under way, with its memory.
  void abandon();
  /// Takes its first bytes from the system, ahead of need.
  void prepare(std::uint64_t bytes);

 private:
  struct Sent {
    std::unique_ptr<comm::Operation> operation;
    std::uint64_t end;  // its bytes, and all before them
  };
  PrivateMemory memory_;
  std::uint64_t head_ = 0;  // addresses only grow; the byte is at the address modulo the size
  std::uint64_t tail_ = 0;
  std::deque<Sent> under_way_;
};

}  // namespace faro::exchange
